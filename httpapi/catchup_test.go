package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
)

// A stream that searches a long history for few events sends its position with each
// heartbeat. Even if it breaks again and again, it makes progress and never starts
// over.
func TestPositionWhileCatchingUp(t *testing.T) {
	if testing.Short() {
		t.Skip("fills and searches a long history")
	}
	const heartbeat = 20 * time.Millisecond
	log := eventlog.NewMemory(eventlog.Retention{})
	s := serveLog(t, log, edge.Options{Heartbeat: heartbeat})
	fill := func(n int, topic string) (last eventlog.ID) {
		recs := make([]eventlog.Record, n)
		for i := range recs {
			recs[i] = eventlog.Record{Topics: []string{topic}, Data: []byte("x")}
		}
		results, err := s.hub.Publish(t.Context(), recs...)
		if err != nil {
			t.Fatal(err)
		}
		return results[n-1].ID
	}
	first := fill(1, "history")
	for range 10 {
		fill(250, "history"+strings.Repeat("/x7", 150))
	}
	wanted := fill(1, "t7/wanted/x")
	// Many templates that nearly match the topics make a page slow.
	q := url.Values{"topic": {"{a}7/{b}/x"}}
	for i := range hub.MaxTopics - 1 {
		q.Add("topic", fmt.Sprintf("{+a}7{+b}x{+c}7{+d}z%d{e}", i))
	}

	over := httptest.NewUnstartedServer(httpapi.New(edge.New(s.hub, edge.Options{Heartbeat: heartbeat}), httpapi.Options{}))
	over.EnableHTTP2 = true
	over.StartTLS()
	t.Cleanup(over.Close)
	unparked := httptest.NewServer(httpapi.New(edge.New(s.hub, edge.Options{Heartbeat: heartbeat, Unparked: true}), httpapi.Options{}))
	t.Cleanup(unparked.Close)
	for name, server := range map[string]*httptest.Server{"parked": s.Server, "unparked": unparked, "HTTP/2": over} {
		t.Run(name, func(t *testing.T) {
			place := first
			for connections := 1; ; connections++ {
				at, arrived := follow(t, server, "/events?"+q.Encode(), place, wanted)
				if arrived {
					if connections < 3 {
						t.Errorf("it took %d connections, too few to see that they go on", connections)
					}
					return
				}
				place = at
			}
		})
	}
}

// follow resumes after a position, reads until the stream names a later one, and breaks
// it there. It reports whether the wanted event came instead.
func follow(t *testing.T, server *httptest.Server, path string, place, wanted eventlog.ID) (at eventlog.ID, arrived bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Last-Event-ID", place.String())
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	st := &stream{resp, bufio.NewReader(resp.Body)}
	if begun := st.place(t); begun != place.String() {
		t.Fatalf("resumed at %s, it begins at %s", place, begun)
	}
	for {
		block := st.block(t)
		if block == ":" {
			continue
		}
		if block == "id: "+wanted.String()+"\ndata: x" {
			return wanted, true
		}
		var id string
		if _, err := fmt.Sscanf(block, "event: position\nid: %s\ndata: {}", &id); err != nil {
			t.Fatalf("got %q", block)
		}
		at, err := eventlog.ParseID(id)
		if err != nil || at.Compare(place) <= 0 || at.Compare(wanted) >= 0 {
			t.Fatalf("after %s the stream is at %s, %v; what it asks for is %s", place, id, err, wanted)
		}
		return at, false
	}
}
