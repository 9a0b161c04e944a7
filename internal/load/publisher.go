package load

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// A ticket is a batch of events to send, with consecutive numbers from first on.
type ticket struct{ first, due int64 }

// A press publishes over several connections. Each connection sends its next request when
// the last one has been answered.
type press struct {
	endpoint *endpoint
	size     int
	batch    int
	topics   []string
	tickets  chan ticket
	clock    func() int64
	window   *window

	sent      []atomic.Int64 // for each topic, how many events were sent
	published atomic.Int64   // events that the server has accepted
	answers   *rig.Latency
	wg        sync.WaitGroup
}

// start opens n connections, and publishes over them the batches in tickets, until
// tickets is closed.
func (p *press) start(ctx context.Context, n int, fail func(error)) error {
	addr, err := resolve(p.endpoint.publish)
	if err != nil {
		return err
	}
	conns := make([]net.Conn, 0, n)
	for range n {
		conn, err := p.endpoint.dial(p.endpoint.publish, addr)
		if err != nil {
			for _, c := range conns {
				_ = c.Close() // not used
			}
			return fmt.Errorf("connect publisher %d of %d: %w", len(conns)+1, n, err)
		}
		conns = append(conns, conn)
	}
	for i, conn := range conns {
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		p.wg.Go(func() {
			defer stop()
			defer func() { _ = conn.Close() }() // all answers have been read
			if err := p.publish(conn, int64(i)); err != nil && ctx.Err() == nil {
				fail(fmt.Errorf("publish: %w", err))
			}
		})
	}
	return nil
}

func (p *press) publish(conn net.Conn, publisher int64) error {
	in := bufio.NewReader(conn)
	var request, body, answer []byte
	messages := make([]message, p.batch)
	for t := range p.tickets {
		if t.due < 0 { // there is no rate; it is due now
			t.due = p.clock()
		}
		for i := range messages {
			number := t.first + int64(i)
			messages[i] = message{p.topics[number%int64(len(p.topics))], rig.Event{Number: number, Publisher: publisher, At: t.due}}
		}
		request, body = p.endpoint.appendPublish(request[:0], body, messages, p.size)
		for i := range messages {
			p.sent[messages[i].event.Number%int64(len(p.topics))].Add(1)
		}
		if _, err := conn.Write(request); err != nil {
			return err
		}
		var err error
		if answer, err = readAnswer(in, answer[:0]); err != nil {
			return err
		}
		if p.batch > 1 && bytes.Count(answer, []byte(`"id"`)) != p.batch {
			return fmt.Errorf("the server did not accept all events of a batch: %.300s", answer)
		}
		p.published.Add(int64(p.batch))
		if p.window.holds(t.due) {
			p.answers.Add(time.Duration(p.clock() - t.due))
		}
	}
	return nil
}

// readAnswer reads a response and appends its body to dst. Another status than 2xx is an
// error.
func readAnswer(in *bufio.Reader, dst []byte) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return dst, err
	}
	if len(line) < 12 {
		return dst, fmt.Errorf("the server answered %q", line)
	}
	success, status := line[9] == '2', ""
	if !success {
		status = string(bytes.TrimSpace(line[9:]))
	}
	length, chunked := int64(-1), false
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return dst, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(name) == 14 && bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		case len(name) == 17 && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
		if err != nil {
			return dst, err
		}
	}
	switch {
	case chunked:
		dst, err = readChunks(in, dst)
	case length < 0:
		err = fmt.Errorf("the server's answer to a publisher has no length")
	default:
		at := len(dst)
		dst = append(dst, make([]byte, length)...)
		_, err = io.ReadFull(in, dst[at:])
	}
	if err == nil && !success {
		err = fmt.Errorf("the server answered %s: %.300s", status, bytes.TrimSpace(dst))
	}
	return dst, err
}

func readChunks(in *bufio.Reader, dst []byte) ([]byte, error) {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return dst, err
		}
		size, n, err := chunkHead(line)
		if err != nil || n == 0 {
			return dst, fmt.Errorf("the server's answer is torn: %w", err)
		}
		at := len(dst)
		dst = append(dst, make([]byte, size+2)...)
		if _, err := io.ReadFull(in, dst[at:]); err != nil {
			return dst, err
		}
		dst = dst[:at+size]
		if size == 0 {
			return dst, nil
		}
	}
}
