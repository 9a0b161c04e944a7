package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server is a hub behind its API on a real socket.
type server struct {
	*httptest.Server
	hub *hub.Hub
}

func newServer(t *testing.T, r eventlog.Retention, o edge.Options) *server {
	t.Helper()
	return serveLog(t, eventlog.NewMemory(r), o)
}

func serveLog(t *testing.T, log eventlog.Log, o edge.Options) *server {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h, err := hub.New(log, hub.Options{Logger: o.Logger, Budget: o.Budget})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{httptest.NewServer(httpapi.New(edge.New(h, o), httpapi.Options{Version: "v1"})), h}
	t.Cleanup(func() {
		s.Client().CloseIdleConnections()
		s.Close()
		if err := errors.Join(h.Close(), log.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// do sends a request; header is names and values by turns.
func (s *server) do(t *testing.T, method, path, body string, header ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() }) // a second close is harmless
	return resp
}

func (s *server) publish(t *testing.T, topic, data string) (id string) {
	t.Helper()
	resp := s.do(t, "POST", "/events?topic="+topic, data, "Content-Type", "text/plain")
	var answer struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("publish: %s, %v", resp.Status, err)
	}
	return answer.ID
}

// A stream reads a response block by block.
type stream struct {
	*http.Response
	lines *bufio.Reader
}

func (s *server) subscribe(t *testing.T, path string, header ...string) *stream {
	t.Helper()
	resp := s.do(t, "GET", path, "", append([]string{"Accept", "text/event-stream"}, header...)...)
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("subscribe: %s: %s", resp.Status, body)
	}
	return &stream{resp, bufio.NewReader(resp.Body)}
}

// block returns the next block without its blank line. A comment counts as a block.
func (s *stream) block(t *testing.T) string {
	t.Helper()
	var block string
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", block+line, err)
		}
		if line == "\n" {
			return strings.TrimSuffix(block, "\n")
		}
		if block += line; block[0] == ':' {
			return strings.TrimSuffix(block, "\n")
		}
	}
}

// expect reads blocks and checks that they equal the given ones.
func (s *stream) expect(t *testing.T, blocks ...string) {
	t.Helper()
	for _, want := range blocks {
		if got := s.block(t); got != want {
			t.Fatalf("got the block %q, want %q", got, want)
		}
	}
}

// place reads the beginning of a stream and returns its position.
func (s *stream) place(t *testing.T) (id string) {
	t.Helper()
	return s.position(t, "retry: 3000\n")
}

// position reads a block that names the stream's position, after other fields.
func (s *stream) position(t *testing.T, fields string) (id string) {
	t.Helper()
	block := s.block(t)
	id, ok := strings.CutPrefix(block, fields+"event: position\nid: ")
	id, ok2 := strings.CutSuffix(id, "\ndata: {}")
	if !ok || !ok2 || strings.Contains(id, "\n") {
		t.Fatalf("got %q, not a position", block)
	}
	return id
}

func wantProblem(t *testing.T, why string, resp *http.Response, status int, says string) {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p edge.Problem
	if resp.StatusCode != status || resp.Header.Get("Content-Type") != "application/problem+json" ||
		json.Unmarshal(body, &p) != nil || p.Status != status || !strings.Contains(p.Detail, says) {
		t.Errorf("%s: %s, %s; want a problem %d that says %q", why, resp.Status, body, status, says)
	}
}
