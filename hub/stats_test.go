package hub

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestStatsLeavesThePumpAlone checks that Stats takes none of the locks that the pump
// holds while it wakes streams.
func TestStatsLeavesThePumpAlone(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	st := openStream(t, h, From{}, "a")
	next(t, st) // its position
	if b, err := st.Peek(); err != nil || len(b) > 0 {
		t.Fatalf("%q, %v", b, err)
	}
	pumps, asked := make(chan struct{}), make(chan error, 1)
	st.Cursor().SetWaker(wakeFunc(sync.OnceFunc(func() {
		close(pumps)
		select {
		case err := <-asked:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the figures wait for a lock that the pump holds")
		}
	})))
	put(t, h, "a", "x")
	<-pumps
	_, err := h.Stats(t.Context())
	asked <- err
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
