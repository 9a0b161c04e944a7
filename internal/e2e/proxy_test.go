package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A proxy stands between a browser and a hub, at the level of TCP: it sees
// every request, cuts connections, and refuses new ones for a while.
type proxy struct {
	t        *testing.T
	addr     string // where it listens
	upstream string

	mu       sync.Mutex
	listener net.Listener // nil while it refuses
	links    map[*link]struct{}
	requests []request
	tearAt   int // bytes of the next connection's first body to pass before it is cut; 0: no limit
}

// A request is one that went through, with when it came.
type request struct {
	*http.Request
	at time.Time
}

// A link is one connection, on both sides, and what came back through it.
type link struct {
	client, server *net.TCPConn

	mu       sync.Mutex
	returned bytes.Buffer
}

func startProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	p := &proxy{t: t, addr: address(freePort(t)), upstream: upstream, links: map[*link]struct{}{}}
	p.accept()
	t.Cleanup(func() {
		p.refuse()
		p.cut(false)
	})
	return p
}

func (p *proxy) url(path string) string { return "http://" + p.addr + path }

// accept takes connections, again if it has refused them.
func (p *proxy) accept() {
	p.t.Helper()
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listener = ln
	p.mu.Unlock()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // refuse closed it
			}
			go p.serve(conn.(*net.TCPConn))
		}
	}()
}

// refuse has new connections refused, and leaves the open ones alone.
func (p *proxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
}

// cut breaks all connections: in order (FIN), so that the browser gets what
// was sent so far, or by a reset, which may take that away from it.
func (p *proxy) cut(reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close(reset)
	}
}

// tear has the next connection cut when n bytes of its first response's body
// have come back through it, chunk lengths included, wherever in an event that
// is. Headers are let through: Chromium takes part of them for all of them, and
// an event stream without its Content-Type ends an EventSource for good.
func (p *proxy) tear(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tearAt = n
}

// seen returns the requests so far, oldest first.
func (p *proxy) seen() []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]request(nil), p.requests...)
}

// open is how many connections there are.
func (p *proxy) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// returned is what has come back through the connections that are open.
func (p *proxy) returned() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b bytes.Buffer
	for l := range p.links {
		l.mu.Lock()
		b.Write(l.returned.Bytes())
		l.mu.Unlock()
	}
	return b.String()
}

func (p *proxy) serve(client *net.TCPConn) {
	server, err := net.Dial("tcp", p.upstream)
	if err != nil {
		// What a dead hub would do itself, had the browser asked it.
		_ = client.SetLinger(0)
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server.(*net.TCPConn)}
	p.mu.Lock()
	p.links[l] = struct{}{}
	limit := p.tearAt
	p.tearAt = 0
	p.mu.Unlock()

	heads, note := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { p.note(heads) })
	wg.Go(func() {
		_, _ = io.Copy(server, io.TeeReader(client, note)) // either end may break: that is its job
		_ = note.Close()
		l.close(false)
	})
	wg.Go(func() {
		l.back(limit)
		l.close(false)
	})
	wg.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// note records the requests of one connection.
func (p *proxy) note(heads *io.PipeReader) {
	defer func() { _, _ = io.Copy(io.Discard, heads) }()
	for r := bufio.NewReader(heads); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.requests = append(p.requests, request{req, time.Now()})
		p.mu.Unlock()
	}
}

// back passes on what the server sends, to its end, or to the limit within the
// first body.
func (l *link) back(limit int) {
	to := io.MultiWriter(l.client, l)
	from := bufio.NewReader(l.server)
	for limit > 0 {
		line, err := from.ReadBytes('\n')
		if _, werr := to.Write(line); err != nil || werr != nil {
			return
		}
		if len(line) == len("\r\n") {
			_, _ = io.CopyN(to, from, int64(limit))
			return
		}
	}
	_, _ = io.Copy(to, from)
}

func (l *link) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.returned.Write(b)
}

func (l *link) close(reset bool) {
	if reset {
		_ = l.client.SetLinger(0)
	}
	_ = l.client.Close()
	_ = l.server.Close()
}
