package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"
)

// TestStreamsForgetHeads opens unparked streams with heads of several sizes, and checks
// that large heads are freed while the streams are open, and that small ones are
// counted.
func TestStreamsForgetHeads(t *testing.T) {
	const streams = 100
	for _, tt := range []struct {
		why                   string
		query, header, lastID int // bytes
	}{
		{"small", 100, 1500, 10},
		{"a long query", 60_000, 100, 10},
		{"long headers", 100, 60_000, 10},
		{"a long last event ID", 100, 100, 60_000},
	} {
		for protocol, open := range map[string]func(*testing.T, *httptest.Server, int, [][2]string){"HTTP/1.1": openOverHTTP1, "HTTP/2": openOverHTTP2} {
			t.Run(tt.why+" over "+protocol, func(t *testing.T) {
				s := newServer(t, eventlog.Retention{}, edge.Options{Unparked: true})
				served := httptest.NewUnstartedServer(s.Config.Handler)
				served.Config.Protocols = new(http.Protocols)
				served.Config.Protocols.SetHTTP1(true)
				served.Config.Protocols.SetUnencryptedHTTP2(true)
				served.Start()
				t.Cleanup(served.Close)
				t.Cleanup(func() { _ = s.hub.Close() }) // ends the streams
				before := liveHeap()
				open(t, served, streams, [][2]string{
					{":path", "/events?topic=news&x=" + strings.Repeat("q", tt.query)},
					{"accept", "text/event-stream"},
					{"cookie", strings.Repeat("c", tt.header)},
					{"last-event-id", strings.Repeat("i", tt.lastID)},
				})
				held := (liveHeap() - before) / streams
				counted := s.hub.Budget().Share(budget.Subscriptions).Used() / streams
				t.Logf("a stream holds %d bytes, and %d are counted", held, counted)
				least := int64(min(tt.query+tt.header+tt.lastID, 4000))
				if protocol == "HTTP/1.1" && tt.query > 4000 {
					least = int64(tt.query) // net/http keeps the request line
				}
				if held > 30_000+least {
					t.Errorf("a stream holds %d bytes", held)
				}
				if counted < least || counted > least+6000 {
					t.Errorf("%d bytes of each stream are counted", counted)
				}
			})
		}
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // the second collection frees what the first has only found
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// openOverHTTP1 opens streams, each on its own connection.
func openOverHTTP1(t *testing.T, s *httptest.Server, streams int, head [][2]string) {
	for range streams {
		conn := dial(t, s)
		t.Cleanup(func() { _ = conn.Close() })
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: hub\r\n", head[0][1])
		for _, h := range head[1:] {
			fmt.Fprintf(conn, "%s: %s\r\n", h[0], h[1])
		}
		_, _ = io.WriteString(conn, "\r\n")
		in := bufio.NewReaderSize(conn, 256)
		for line := ""; line != "data: {}\n" && !strings.HasPrefix(line, `data: {"requested`); {
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// openOverHTTP2 opens streams on one connection.
func openOverHTTP2(t *testing.T, s *httptest.Server, streams int, head [][2]string) {
	f := framer(t, s)
	for i := range streams {
		ask(t, f, uint32(2*i+1), head)
		for {
			if frame, err := f.ReadFrame(); err != nil {
				t.Fatal(err)
			} else if frame.Header().Type == http2.FrameData {
				break
			}
		}
	}
}

// framer begins an HTTP/2 connection.
func framer(t *testing.T, s *httptest.Server, settings ...http2.Setting) *http2.Framer {
	t.Helper()
	conn := dial(t, s)
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return f
}

// ask sends a GET. None of its head's fields is in an HPACK table, so that each is sent
// in full (RFC 7541 §6.2.2).
func ask(t *testing.T, f *http2.Framer, id uint32, head [][2]string) {
	t.Helper()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range append([][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "hub"}}, head...) {
		if err := enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1], Sensitive: true}); err != nil {
			t.Fatal(err)
		}
	}
	first := block.Next(16 << 10)
	err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndHeaders: block.Len() == 0, EndStream: true})
	for err == nil && block.Len() > 0 {
		more := block.Next(16 << 10)
		err = f.WriteContinuation(id, block.Len() == 0, more)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestTokensAreHeldOnce opens streams with different tokens that have the same payload
// of 45 KB and the same grant, and checks that all streams share one copy.
func TestTokensAreHeldOnce(t *testing.T) {
	const streams = 1000
	s := newServer(t, eventlog.Retention{}, edge.Options{Unparked: true, Auth: authority(t, nil)})
	served := httptest.NewUnstartedServer(s.Config.Handler)
	served.Config.Protocols = new(http.Protocols)
	served.Config.Protocols.SetUnencryptedHTTP2(true)
	served.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	served.Start()
	t.Cleanup(served.Close)
	t.Cleanup(func() { _ = s.hub.Close() }) // ends the streams
	f := framer(t, served)
	before := liveHeap()
	for i := range streams {
		ask(t, f, uint32(2*i+1), [][2]string{
			{":path", "/events?topic=news"},
			{"accept", "text/event-stream"},
			{"authorization", "Bearer " + token(t, "", "users/a/{id} users/b/{+id} users{/c} users/{d}/e", subject("ann"), func(c *auth.Claims) {
				c.Mercure.Payload = json.RawMessage(`"` + strings.Repeat("p", 45_000) + `"`)
				c.ExpiresAt.Time = c.ExpiresAt.Add(time.Duration(i) * time.Second) // makes it another token
			})},
		})
		for {
			if frame, err := f.ReadFrame(); err != nil {
				t.Fatal(err)
			} else if frame.Header().Type == http2.FrameData {
				break
			}
		}
	}
	held := (liveHeap() - before) / streams // includes what the verifier remembers for a minute
	counted := s.hub.Budget().Share(budget.Subscriptions).Used() / streams
	t.Logf("a stream holds %d bytes, and %d are counted", held, counted)
	if held > 25_000 || counted > 7000 {
		t.Errorf("a stream holds %d bytes, and %d are counted", held, counted)
	}
}

// openOn opens a stream on a topic that no client serves, until the test ends.
func openOn(t *testing.T, h *hub.Hub, name string) *hub.Stream {
	t.Helper()
	sel, err := topic.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	st, err := h.Stream(t.Context(), hub.Subscription{Selectors: sel}, hub.StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	return st
}

// TestAnswersForgetHeads sends requests with long heads on an HTTP/2 connection whose
// window is 0, and checks that the waiting answers do not keep those heads.
func TestAnswersForgetHeads(t *testing.T) {
	const answers = 100
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	for i := range 200 {
		s.publish(t, fmt.Sprint("topic", i), "hello")
	}
	for i := range 3000 { // a waiting answer does not keep the hub's audience, either
		openOn(t, s.hub, fmt.Sprint("other", i))
	}
	served := httptest.NewUnstartedServer(s.Config.Handler)
	served.Config.Protocols = new(http.Protocols)
	served.Config.Protocols.SetUnencryptedHTTP2(true)
	served.Start()
	t.Cleanup(served.Close)
	for _, path := range []string{"/nothing?", "/topics?", "/topics?limit=0", "/subscriptions?limit=1", "/events?topic=*", "/healthz?"} {
		f := framer(t, served, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		before := liveHeap()
		for i := range answers {
			ask(t, f, uint32(2*i+1), [][2]string{
				{":path", path + "&x=" + strings.Repeat("q", 30_000)},
				{"accept", "application/x-ndjson"},
				{"cookie", strings.Repeat("c", 30_000)},
			})
			for {
				if frame, err := f.ReadFrame(); err != nil {
					t.Fatal(err)
				} else if _, answered := frame.(*http2.MetaHeadersFrame); answered {
					break
				}
			}
		}
		if held := (liveHeap() - before) / answers; held > 85_000 || path != "/events?topic=*" && held > 50_000 {
			t.Errorf("%s: an answer holds %d bytes", path, held)
		} else {
			t.Logf("%s: an answer holds %d bytes", path, held)
		}
	}
}

// TestReadsCountWhatTheyAskFor checks that an answer of events counts its selectors.
func TestReadsCountWhatTheyAskFor(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	for range 200 {
		s.publish(t, "news", strings.Repeat("x", 1000))
	}
	served := httptest.NewUnstartedServer(s.Config.Handler)
	served.Config.Protocols = new(http.Protocols)
	served.Config.Protocols.SetUnencryptedHTTP2(true)
	served.Start()
	t.Cleanup(served.Close)
	lists := s.hub.Budget().Share(budget.Lists)
	var counted []int64
	for i, path := range []string{"/events?topic=news", "/events?topic=news"} {
		for j := range i * 60 {
			path += fmt.Sprint("&topic=", j+1, "/{x}", strings.Repeat("a", 900))
		}
		f := framer(t, served, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		before := lists.Used()
		ask(t, f, 1, [][2]string{{":path", path}, {"accept", "application/x-ndjson"}})
		for {
			if frame, err := f.ReadFrame(); err != nil {
				t.Fatal(err)
			} else if h, answered := frame.(*http2.MetaHeadersFrame); answered {
				if status := h.PseudoValue("status"); status != "200" {
					t.Fatalf("the answer is %s", status)
				}
				break
			}
		}
		counted = append(counted, lists.Used()-before)
	}
	if more := counted[1] - counted[0]; more < 3*60*900 {
		t.Errorf("an answer counts for %d bytes, and with 60 templates of 900 bytes for %d", counted[0], counted[1])
	}
}
