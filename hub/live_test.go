package hub

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

// TestFewListsAtATime checks that only a few lists of topics are made at a time,
// including those that wait for their consumer.
func TestFewListsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newTestHub(t, eventlog.Retention{})
		put(t, h, "a", "x")
		const lists, most = 20, 2
		held, release := make(chan struct{}, lists), make(chan struct{})
		var all sync.WaitGroup
		for range lists {
			all.Go(func() {
				for _, err := range h.TopicsSeen(t.Context(), topic.Everything(), topic.Everything()) {
					if err != nil {
						t.Error(err)
					}
					held <- struct{}{}
					<-release
				}
			})
		}
		synctest.Wait()
		if len(held) != most {
			t.Errorf("%d lists are made at a time, want %d", len(held), most)
		}
		close(release)
		all.Wait()
		if len(held) != lists {
			t.Errorf("%d of %d lists were made", len(held), lists)
		}
	})
}
