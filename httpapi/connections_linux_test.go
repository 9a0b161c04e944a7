package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
)

// HTTP/1 streams count as memory of connections until they end. A stream that would
// take the last quarter of it gets only a reconnection time.
func TestStreamsKeepToMemoryOfConnections(t *testing.T) {
	for name, unparked := range map[string]bool{"parked": false, "unparked": true} {
		b := budget.New(0)
		held := b.Share(budget.Connections)
		const limit = 1 << 20
		b.LimitConnections(limit)
		s := newServer(t, eventlog.Retention{}, edge.Options{Heartbeat: time.Hour, Unparked: unparked, Budget: b})
		var streams []*http.Response
		open := func() (again bool) {
			req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/events/a", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept", "text/event-stream")
			resp, err := s.Client().Do(req)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %+v, %v", name, resp, err)
			}
			streams = append(streams, resp)
			return resp.Header.Get("Last-Event-ID") == "" // only a stream that opens has the header
		}
		for !open() {
			if len(streams) == limit/1024 {
				t.Fatalf("%s: %d streams of %d bytes in all", name, len(streams), held.Used())
			}
		}
		if used := held.Used(); used < limit/4*3 || used > limit {
			t.Errorf("%s: %d streams hold %d bytes of %d", name, len(streams), used, limit)
		}
		for _, resp := range streams {
			_ = resp.Body.Close()
		}
		for deadline := time.Now().Add(20 * time.Second); held.Used() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d bytes are held after all streams have gone", name, held.Used())
			}
		}
	}
}
