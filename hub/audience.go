package hub

import (
	"context"

	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/topic"
)

// An Audience counts the streams that receive the events of a topic, as of the time of
// [Hub.Audience].
type Audience struct {
	slots    *feed.Slots // in which Of compares selectors
	exact    map[string]int
	all      int
	patterns []crowd
}

// A crowd is the number of streams of one feed.
type crowd struct {
	sel  *topic.Selectors
	size int
}

// Audience counts the open streams by what they ask for. It takes turns with reads of the
// log, so it may wait.
func (h *Hub) Audience() *Audience {
	sizes := map[*feed.Feed]int{}
	for i := range h.registry {
		part := &h.registry[i]
		part.mu.Lock()
		for _, st := range part.streams {
			sizes[st.cursor.Feed()]++
		}
		part.mu.Unlock()
	}
	a := &Audience{slots: &h.feeds.Slots, exact: map[string]int{}}
	turns := h.feeds.Slots.Turns(context.Background(), &topic.Selectors{})
	defer turns.End()
	for f, n := range sizes {
		turns.Look()
		switch {
		case f.Selectors().All():
			a.all += n
		case f.Selectors().IsOpen():
			a.patterns = append(a.patterns, crowd{f.Selectors(), n})
		default:
			for _, name := range f.Selectors().Texts() {
				a.exact[name] += n
			}
		}
	}
	return a
}

// Of returns how many streams ask for a topic's events, whatever their types and grants.
// It takes turns with reads of the log if streams have URI Templates.
func (a *Audience) Of(name string) int {
	n := a.all + a.exact[name]
	if len(a.patterns) == 0 {
		return n
	}
	turns := a.slots.Turns(context.Background(), &topic.Selectors{})
	defer turns.End()
	for _, c := range a.patterns {
		if c.sel.MatchInTurns([]string{name}, turns.Look) {
			n += c.size
		}
	}
	return n
}
