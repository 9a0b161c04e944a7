package hub

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
)

// TestDeleteReachesCachedPages deletes an event that a cached page holds, in each
// possible way. A stream that reads the log afterwards does not receive it.
func TestDeleteReachesCachedPages(t *testing.T) {
	for _, tt := range []struct {
		why   string
		drop  func(h *Hub, id eventlog.ID) (int, error)
		wants int // events deleted
	}{
		{"by topic", func(h *Hub, _ eventlog.ID) (int, error) { return h.Delete(t.Context(), mustSelect(t, "b")) }, 1},
		{"by template", func(h *Hub, _ eventlog.ID) (int, error) { return h.Delete(t.Context(), mustSelect(t, "{x}")) }, 301},
		{"by the hub's id", func(h *Hub, id eventlog.ID) (int, error) { return h.DeleteID(t.Context(), id.String()) }, 1},
		{"by the publisher's id", func(h *Hub, _ eventlog.ID) (int, error) { return h.DeleteID(t.Context(), "its id") }, 1},
	} {
		h, _ := newTestHub(t, eventlog.Retention{})
		results, err := h.Publish(t.Context(), eventlog.Record{Topics: []string{"b"}, Data: []byte("secret"), PublisherID: "its id"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 300 { // several pages: the last one is not cached
			put(t, h, "a", fmt.Sprint(i, strings.Repeat("x", feed.PageBytes/100)))
		}
		put(t, h, "c/d", "end")
		idle(t, h)
		before := openStream(t, h, From{LastEventID: Earliest}, "*") // keeps its feed, and so the cache, in use
		if got := dataUntil(t, before, "end"); len(got) == 0 || got[0] != "secret" {
			t.Fatalf("%s: before, a stream begins with %.20q", tt.why, got)
		}
		if n, err := tt.drop(h, results[0].ID); n != tt.wants || err != nil {
			t.Errorf("%s: %d events were deleted (%v), want %d", tt.why, n, err, tt.wants)
		}
		if got := dataUntil(t, openStream(t, h, From{LastEventID: Earliest}, "*"), "end"); got[0] == "secret" {
			t.Errorf("%s: a stream gets what was deleted", tt.why)
		}
	}
}
