package hub

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// checkTotals compares the totals with the sums over all feeds. Only the pump may change
// anything meanwhile.
func checkTotals(t *testing.T, h *Hub) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	attached, behind := 0, 0
	for _, f := range h.feeds {
		f.mu.Lock()
		attached += f.attached
		behind += f.behind
		f.mu.Unlock()
	}
	all := &h.totals
	if all.feeds.Load() != int64(len(h.feeds)) || all.attached.Load() != int64(attached) || all.behind.Load() != int64(behind) {
		t.Fatalf("the totals are %d feeds, %d streams attached, %d behind; the feeds say %d, %d, %d",
			all.feeds.Load(), all.attached.Load(), all.behind.Load(), len(h.feeds), attached, behind)
	}
}

// TestStatsLeavesThePumpAlone checks that Stats takes none of the locks that the pump
// needs.
func TestStatsLeavesThePumpAlone(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	st := openStream(t, h, From{}, "a")
	asked := make(chan error, 1)
	h.mu.Lock()
	st.feed.mu.Lock()
	go func() {
		_, err := h.Stats(t.Context())
		asked <- err
	}()
	select {
	case err := <-asked:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the figures wait for the hub's lock, or a feed's")
	}
	st.feed.mu.Unlock()
	h.mu.Unlock()
}

// BenchmarkStats measures figures of a hub with 100,000 feeds. Only the time of Stats
// does not grow with the feeds; none of the three holds the pump's lock.
func BenchmarkStats(b *testing.B) {
	h, _ := newTestHub(b, eventlog.Retention{})
	for i := range 100_000 {
		openStream(b, h, From{}, fmt.Sprint("topic/", i))
	}
	for name, ask := range map[string]func(){
		"Stats": func() { _, _ = h.Stats(b.Context()) },
		"Streams": func() {
			if page, err := h.Streams(b.Context(), StreamFilter{}, StreamID{}, 100); err == nil {
				page.Close()
			}
		},
		"Audience": func() { h.Audience() },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ask()
			}
		})
	}
}
