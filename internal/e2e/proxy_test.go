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

// A proxy forwards TCP connections between a browser and a hub. It records the
// requests, and can cut connections and refuse new ones.
type proxy struct {
	t        *testing.T
	addr     string // it listens here
	upstream string

	mu       sync.Mutex
	listener net.Listener // nil while it refuses
	links    map[*link]struct{}
	requests []request
	tearAt   int // after how many bytes of its first body to cut the next connection; 0: never
}

// A request is a request that the proxy has seen, and when.
type request struct {
	*http.Request
	at time.Time
}

// A link is a connection of a client, the one to the server, and what the server
// has sent through them.
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
		if t.Failed() {
			p.log()
		}
		p.refuse()
		p.cut(false)
	})
	return p
}

// log logs what a failed test needs to know: which requests came, and what the open
// connections returned.
func (p *proxy) log() {
	for _, r := range p.seen() {
		p.t.Logf("%s %s %s, Last-Event-ID %q", r.at.Format(time.TimeOnly), r.Method, r.URL, r.Header.Get("Last-Event-ID"))
	}
	p.t.Logf("%d connections are open and have returned %q", p.open(), p.returned())
}

func (p *proxy) url(path string) string { return "http://" + p.addr + path }

// accept starts to accept connections, also after refuse.
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

// refuse refuses new connections from now on. Open ones stay open.
func (p *proxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
}

// cut closes all connections: with FIN, so that the browser gets what was sent so
// far, or with RST, which may discard some of that.
func (p *proxy) cut(reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close(reset)
	}
}

// tear cuts the next connection after n bytes of its first response's body, chunk
// sizes included, even within an event. It passes the headers in full: Chromium
// accepts incomplete headers as complete, and a response without the Content-Type of
// an event stream closes an EventSource for good.
func (p *proxy) tear(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tearAt = n
}

// seen returns the requests so far, in the order in which they came.
func (p *proxy) seen() []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]request(nil), p.requests...)
}

// open returns how many connections are open.
func (p *proxy) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// returned returns what the server has sent through the open connections.
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
		// Reset the connection, as the host of a dead hub would.
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
		_, _ = io.Copy(server, io.TeeReader(client, note)) // either end may break; tests cause that
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

// note records the requests of a connection.
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

// back passes on what the server sends until that ends, or, if limit is not 0, until
// limit bytes of the first body have passed.
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
