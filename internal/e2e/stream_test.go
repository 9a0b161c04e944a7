package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A rawStream is an open stream whose lines the test reads itself.
type rawStream struct {
	header http.Header
	lines  <-chan string
}

// openRaw opens a stream with net/http. It neither parses nor reconnects.
func openRaw(t *testing.T, target string) *rawStream {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return openRawRequest(t, req)
}

func openRawRequest(t *testing.T, req *http.Request) *rawStream {
	t.Helper()
	ctx, cancel := context.WithCancel(req.Context())
	late := time.AfterFunc(patience, cancel)
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if !late.Stop() || err != nil {
		t.Fatalf("GET %s: no headers within %s: %v", req.URL, patience, err)
	}
	if resp.StatusCode != http.StatusOK {
		cancel()
		t.Fatalf("GET %s: %s", req.URL, resp.Status)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		defer cancel()
		defer func() { _ = resp.Body.Close() }()
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-t.Context().Done():
				return
			}
		}
	}()
	return &rawStream{resp.Header, lines}
}

// subscribeOn opens a stream on a connection and reads only its first block. What
// follows stays in the sockets and the hub until the caller reads on.
func subscribeOn(t *testing.T, conn net.Conn, h *hub, topic string) *bufio.Reader {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, err := fmt.Fprintf(conn, "GET /events/%s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", topic, h.addr)
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewReader(conn); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("no position at the beginning of a stream: %v", err)
		}
		if line == "\n" { // the end of the first block
			return lines
		}
	}
}

// A block holds the fields between two blank lines, by name.
type block map[string]string

// next waits for the next block that has the given field. Positions do not count as
// blocks with data.
func (s *rawStream) next(t *testing.T, field string) block {
	t.Helper()
	deadline := time.After(patience)
	b := block{}
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				t.Fatalf("the stream ended before a block with %q", field)
			}
			if name, value, ok := strings.Cut(line, ":"); ok && name != "" {
				b[name] = strings.TrimPrefix(value, " ")
			}
			if _, has := b[field]; line == "" && has && (field != "data" || b["event"] != "position") {
				return b
			} else if line == "" {
				b = block{}
			}
		case <-deadline:
			t.Fatalf("no block with %q within %s", field, patience)
		}
	}
}
