package sse

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serve runs handler on a real socket, over HTTP/1.1 or HTTP/2.
func serve(t *testing.T, http2 bool, handler http.HandlerFunc, configure ...func(*http.Server)) (*httptest.Server, *http.Client) {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	for _, c := range configure {
		c(srv.Config)
	}
	if http2 {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	t.Cleanup(srv.Client().CloseIdleConnections)
	return srv, srv.Client()
}

func fetch(t *testing.T, c *http.Client, url string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() }) // a second close is harmless
	return resp
}

func eachProtocol(t *testing.T, test func(t *testing.T, http2 bool)) {
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, true) })
}

func TestAcceptSendsHeadersAtOnce(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		srv, c := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Set-Cookie", "of=middleware")
			w.Header().Set("Content-Length", "5")
			s, err := Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			<-s.Context().Done() // not one event
		})
		resp := fetch(t, c, srv.URL, "Accept", MediaType)
		for name, want := range map[string]string{
			"Content-Type":      "text/event-stream",
			"Cache-Control":     "no-cache, no-transform",
			"X-Accel-Buffering": "no",
			"Set-Cookie":        "of=middleware",
			"Content-Length":    "",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %q; want %q", name, got, want)
			}
		}
		if http2 != (resp.ProtoMajor == 2) {
			t.Errorf("served over %s", resp.Proto)
		}
	})
}

func TestStreamSends(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		srv, c := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
			s, err := Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for _, err := range []error{
				s.SetReconnectionTime(2 * time.Second),
				s.SetLastEventID(s.LastEventID() + "+1"),
				s.Comment("hello"),
				s.Send(Event{Type: "greeting", Data: "a\nb", ID: "8"}),
			} {
				if err != nil {
					t.Error(err)
				}
			}
			if err := s.Send(Event{ID: "a\nb"}); !errors.Is(err, ErrInvalidField) || s.Context().Err() != nil {
				t.Errorf("an event that cannot be sent: %v, stream %v; want ErrInvalidField, and the stream alive", err, s.Context().Err())
			}
			if _, err := s.Write([]byte("data: raw\n\n")); err != nil {
				t.Error(err)
			}
		})
		body, err := io.ReadAll(fetch(t, c, srv.URL, "Last-Event-ID", "7").Body)
		want := "retry: 2000\n\nid: 7+1\n\n: hello\nevent: greeting\nid: 8\ndata: a\ndata: b\n\ndata: raw\n\n"
		if err != nil || string(body) != want {
			t.Errorf("got %q, %v; want %q", body, err, want)
		}
	})
}

// The server's own timeouts limit requests, and would end every stream.
func TestStreamOutlivesServerTimeouts(t *testing.T) {
	const timeout = 50 * time.Millisecond
	eachProtocol(t, func(t *testing.T, http2 bool) {
		srv, c := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
			s, err := Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for range 2 {
				select {
				case <-time.After(4 * timeout): // both timeouts must have passed
				case <-s.Context().Done():
					t.Errorf("the stream ended: %v", context.Cause(s.Context()))
				}
				if err := s.Send(Event{Data: "alive"}); err != nil {
					t.Error(err)
				}
			}
		}, func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = timeout, timeout })
		body, err := io.ReadAll(fetch(t, c, srv.URL).Body)
		if err != nil || string(body) != "data: alive\n\ndata: alive\n\n" {
			t.Errorf("got %q, %v", body, err)
		}
	})
}

// Middleware may bound how long a request's body takes. A read deadline that it has set
// would end the request's context.
func TestStreamOutlivesReadDeadline(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		srv, c := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
			deadline := time.Now().Add(500 * time.Millisecond)
			if err := http.NewResponseController(w).SetReadDeadline(deadline); err != nil {
				t.Error(err)
			}
			s, err := Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			select {
			case <-time.After(time.Until(deadline) + 100*time.Millisecond):
			case <-s.Context().Done():
				t.Errorf("the stream ended: %v", context.Cause(s.Context()))
			}
			if err := s.Send(Event{Data: "alive"}); err != nil {
				t.Error(err)
			}
		})
		body, err := io.ReadAll(fetch(t, c, srv.URL).Body)
		if err != nil || string(body) != "data: alive\n\n" {
			t.Errorf("got %q, %v", body, err)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		srv, c := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
			s, err := Accept(w, r, &AcceptOptions{Heartbeat: time.Millisecond})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			<-s.Context().Done()
		})
		lines := bufio.NewReader(fetch(t, c, srv.URL).Body)
		for range 3 {
			if line, err := lines.ReadString('\n'); err != nil || line != ":\n" {
				t.Fatalf("got %q, %v; want a heartbeat", line, err)
			}
		}
	})
}

func TestContextEndsWhenThePeerGoes(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		gone := make(chan error, 1)
		srv, c := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
			s, err := Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			<-s.Context().Done()
			gone <- s.Send(Event{Data: "to nobody"})
		})
		resp := fetch(t, c, srv.URL)
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			t.Fatal("the stream did not end when the peer disconnected")
		}
	})
}

// A peer that takes no bytes must not block the handler for ever, and the server's
// timeouts must not decide how long it does.
func TestWriteTimeoutEndsAStalledStream(t *testing.T) {
	eachProtocol(t, func(t *testing.T, http2 bool) {
		ended := make(chan error, 1)
		srv, c := serve(t, http2, func(w http.ResponseWriter, r *http.Request) {
			s, err := Accept(w, r, &AcceptOptions{WriteTimeout: 50 * time.Millisecond})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for err == nil {
				err = s.Send(Event{Data: strings.Repeat("x", 64<<10)})
			}
			if s.Context().Err() == nil {
				t.Error("a write failed, but the context did not end")
			}
			ended <- err
		})
		fetch(t, c, srv.URL) // and read nothing
		select {
		case err := <-ended:
			if err == nil {
				t.Error("the stream ended without an error")
			}
		case <-time.After(20 * time.Second):
			t.Fatal("a stalled peer holds the stream")
		}
	})
}

func TestAcceptHeader(t *testing.T) {
	for _, tt := range []struct {
		why, accept string
		want        bool
	}{
		{"no header accepts anything", "", true},
		{"by name", "text/event-stream", true},
		{"names are case-insensitive", "Text/Event-Stream", true},
		{"anything", "*/*", true},
		{"any text", "text/*;q=0.1", true},
		{"among others", "application/json, text/event-stream;q=0.5", true},
		{"another type", "application/json", false},
		{"a name that begins alike", "text/event-streams", false},
		{"refused by name beats a wildcard", "*/*, text/event-stream;q=0", false},
		{"allowed by name beats a refused wildcard", "*/*;q=0, text/event-stream", true},
		{"refused by its class", "text/*;q=0.0, */*", false},
		{"a weight behind a parameter", "text/event-stream;charset=utf-8; q=0", false},
		{"a weight in a parameter's value does not count", `text/event-stream;a="x;q=0"`, true},
		{"and a comma there separates nothing", `application/json;a="\",text/event-stream,"`, false},
		{"refused and allowed alike", "text/event-stream;q=0, text/event-stream", true},
		{"an invalid weight", "text/event-stream;q=none", true},
		{"no number", "text/event-stream;q=NaN", true},
		{"one with space", "text/event-stream; q = 0", false},
		{"a class of another's", "application/*", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if tt.accept != "" {
			r.Header.Set("Accept", tt.accept)
		}
		if got := Accepts(r); got != tt.want {
			t.Errorf("%s: Accepts(%q) = %v", tt.why, tt.accept, got)
		}
		w := httptest.NewRecorder()
		s, err := Accept(w, r, nil)
		if tt.want {
			if err != nil {
				t.Errorf("%s: %v", tt.why, err)
				continue
			}
			_ = s.Close()
		} else if !errors.Is(err, ErrNotAcceptable) || w.Code != http.StatusNotAcceptable {
			t.Errorf("%s: status %d, %v; want 406 and ErrNotAcceptable", tt.why, w.Code, err)
		}
	}
}

func TestStop(t *testing.T) {
	w := httptest.NewRecorder()
	Stop(w)
	if w.Code != http.StatusNoContent {
		t.Errorf("status %d; want 204", w.Code)
	}
}

func TestClosedStream(t *testing.T) {
	s, err := Accept(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	_ = s.Close() // twice is harmless
	if err := s.Send(Event{Data: "x"}); !errors.Is(err, ErrStreamClosed) {
		t.Errorf("Send after Close: %v", err)
	}
	if cause := context.Cause(s.Context()); !errors.Is(cause, ErrStreamClosed) {
		t.Errorf("the context ended by %v", cause)
	}
}

// buffered buffers like middleware that compresses: its bytes leave only when it is
// flushed itself, not when the writer inside is.
type buffered struct {
	http.ResponseWriter
	buf bytes.Buffer
}

func (w *buffered) Write(p []byte) (int, error) { return w.buf.Write(p) }

func (w *buffered) Flush() {
	_, _ = w.ResponseWriter.Write(w.buf.Bytes())
	w.buf.Reset()
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// wrapped hides all methods but Unwrap, as logging middleware should, and records the
// status.
type wrapped struct {
	http.ResponseWriter
	status int
}

func (w *wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w *wrapped) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func TestStreamThroughMiddleware(t *testing.T) {
	for name, wrap := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"buffering":  func(w http.ResponseWriter) http.ResponseWriter { return &buffered{ResponseWriter: w} },
		"unwrapping": func(w http.ResponseWriter) http.ResponseWriter { return &wrapped{ResponseWriter: w} },
		"unwrapping buffered": func(w http.ResponseWriter) http.ResponseWriter {
			return &wrapped{ResponseWriter: &buffered{ResponseWriter: w}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			next := make(chan struct{})
			srv, c := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
				w = wrap(w)
				s, err := Accept(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				if l, ok := w.(*wrapped); ok && l.status != http.StatusOK {
					t.Errorf("the middleware got status %d", l.status)
				}
				for range 3 {
					<-next
					if err := s.Send(Event{Data: "x"}); err != nil {
						t.Error(err)
					}
				}
			})
			events := bufio.NewReader(fetch(t, c, srv.URL).Body)
			for range 3 { // each arrives before the next is sent
				next <- struct{}{}
				if line, err := events.ReadString('\n'); err != nil || line != "data: x\n" {
					t.Fatalf("got %q, %v", line, err)
				}
				if _, err := events.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestAcceptWithoutFlush(t *testing.T) {
	type opaque struct{ http.ResponseWriter }
	w := httptest.NewRecorder()
	_, err := Accept(opaque{w}, httptest.NewRequest(http.MethodGet, "/", nil), nil)
	if err == nil || w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, %v; want 500 and an error", w.Code, err)
	}
}

func TestStreamOverHTTP10(t *testing.T) {
	srv, _ := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
		s, err := Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		if err := s.Send(Event{Data: "x"}); err != nil {
			t.Error(err)
		}
	})
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(answer), "\r\n\r\ndata: x\n\n") || strings.Contains(string(answer), "chunked") {
		t.Errorf("got %q, %v; want the event without chunked coding, up to the end of the connection", answer, err)
	}
}

func TestAccepted(t *testing.T) {
	for _, tt := range []struct {
		why, accept, mediaType string
		weight                 float64
		named                  bool
	}{
		{"no header", "", "application/x-ndjson", 1, false},
		{"by name", "text/html, Application/X-NDJSON;q=0.5", "application/x-ndjson", 0.5, true},
		{"refused by name", "application/x-ndjson;q=0, */*", "application/x-ndjson", 0, true},
		{"by its class, which is more specific than anything", "*/*, application/*;q=0.1", "application/x-ndjson", 0.1, false},
		{"by anything", "text/*;q=0.9, */*;q=0.2", "application/x-ndjson", 0.2, false},
		{"not at all", "text/*", "application/x-ndjson", 0, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if tt.accept != "" {
			r.Header.Set("Accept", tt.accept)
		}
		if weight, named := Accepted(r, tt.mediaType); weight != tt.weight || named != tt.named {
			t.Errorf("%s: Accepted(%q, %s) = %v, %v", tt.why, tt.accept, tt.mediaType, weight, named)
		}
	}
}

// TestLargeEventsLeaveNoBuffer sends a large event between small ones. The stream must
// keep only a small buffer.
func TestLargeEventsLeaveNoBuffer(t *testing.T) {
	s, err := Accept(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, size := range []int{10, 1 << 20, 10} {
		if err := s.Send(Event{Data: strings.Repeat("x", size)}); err != nil {
			t.Fatal(err)
		}
		if cap(s.buf) > 64<<10 {
			t.Errorf("after an event of %d bytes the stream keeps %d", size, cap(s.buf))
		}
	}
}
