package hub

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/pace"
	"github.com/tidings-sse/tidings/topic"
)

// costlySelectors returns selectors that are slow to match.
func costlySelectors(t testing.TB) topic.Selectors {
	t.Helper()
	texts := make([]string, 40)
	for i := range texts {
		texts[i] = "{+a}" + string(rune('a'+i%20)) + "{x}/" + string(rune('a'+i/20))
	}
	return mustSelect(t, texts...)
}

// takeSlots takes all slots for reads of the log. release gives n of each kind back, or
// all that are left if n is negative.
func takeSlots(t testing.TB, h *Hub) (release func(n int)) {
	t.Helper()
	var taken [2][]*pace.Pace
	for i, sel := range []topic.Selectors{mustSelect(t, "a"), costlySelectors(t)} {
		for {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			p, err := h.feeds.Slots.Begin(ctx, &sel)
			cancel()
			if err != nil {
				break
			}
			taken[i] = append(taken[i], p)
		}
	}
	return func(n int) {
		for i := range taken {
			for range min(uint(n), uint(len(taken[i]))) { // all, if n is negative
				taken[i][0].End()
				taken[i] = taken[i][1:]
			}
		}
	}
}

func listStreams(t *testing.T, h *Hub, f StreamFilter) {
	page, err := h.Streams(context.Background(), f, StreamID{}, 100)
	if err != nil {
		t.Error(err)
		return
	}
	page.Close()
}

// TestWalksTakeTurns checks that walks through all streams, or through the templates of
// all feeds, wait for a slot and release it to others before they are done.
func TestWalksTakeTurns(t *testing.T) {
	templates := func(first string) (texts []string) {
		for i := range MaxTopics {
			texts = append(texts, fmt.Sprintf("%s%d/{x}", first, i))
		}
		return texts
	}
	topics := make([]string, MaxTopics)
	for i := range topics {
		topics[i] = fmt.Sprint("a", i)
	}
	for name, walk := range map[string]func(h *Hub, e *eventlog.Event, audience func(string) int){
		"the list of streams to topics": func(h *Hub, _ *eventlog.Event, _ func(string) int) {
			listStreams(t, h, StreamFilter{Topics: mustSelect(t, templates("other")...)})
		},
		"the end of streams to topics": func(h *Hub, _ *eventlog.Event, _ func(string) int) {
			h.End(StreamFilter{Topics: mustSelect(t, templates("other")...)}, ErrKicked)
		},
		"a ban": func(h *Hub, _ *eventlog.Event, _ func(string) int) { ban(t, h, time.Hour, templates("b")...) },
		"what became of an event": func(h *Hub, e *eventlog.Event, _ func(string) int) {
			listStreams(t, h, StreamFilter{Event: e})
		},
		"how many get a topic": func(_ *Hub, _ *eventlog.Event, audience func(string) int) { audience("c") },
	} {
		synctest.Test(t, func(t *testing.T) {
			h, _ := newTestHub(t, eventlog.Retention{})
			for i := range 90 {
				openStream(t, h, From{}, append(templates(fmt.Sprint("s", i)), topics[:20]...)...)
				openStream(t, h, From{}, fmt.Sprint("s", i))
			}
			putTopics(t, h, "x", topics[20:]...)
			bounds, err := h.Bounds(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			e, err := h.Event(t.Context(), bounds.Last.String())
			if err != nil {
				t.Fatal(err)
			}
			audience := h.Audience()
			release := takeSlots(t, h)
			done, hold := false, make(chan struct{})
			go func() {
				walk(h, e, audience)
				done = true
			}()
			synctest.Wait()
			if done {
				t.Errorf("%s waits for no slot", name)
				return
			}
			var got atomic.Int32
			costly, cheap := costlySelectors(t), mustSelect(t, "a")
			for _, sel := range []*topic.Selectors{&costly, &cheap} { // the walk needs a slot of either kind
				go func() {
					p, err := h.feeds.Slots.Begin(t.Context(), sel)
					if err != nil {
						t.Error(err)
						return
					}
					got.Add(1)
					<-hold
					p.End()
				}()
			}
			synctest.Wait()
			release(1)
			synctest.Wait()
			if got.Load() != 2 || done {
				t.Errorf("%s: it is done: %v, before others got its slot: %v", name, done, got.Load() == 2)
			}
			release(-1)
			close(hold)
			synctest.Wait()
			if !done {
				t.Errorf("%s does not come to its end", name)
			}
		})
	}
}
