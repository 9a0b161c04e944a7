package hub

import (
	"context"

	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/topic"
)

// Audience counts the open streams by what they ask for, and returns a function that
// returns how many of them asked for a topic's events, whatever their types and grants.
// Audience, and the function if streams have URI Templates, takes turns with reads of the
// log, so it may wait.
func (h *Hub) Audience() (of func(name string) int) {
	a := &audience{slots: &h.feeds.Slots, exact: map[string]int{}}
	turns := a.slots.Turns(context.Background(), &topic.Selectors{})
	defer turns.End()
	for f, n := range h.registry.feeds() {
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
	return a.of
}

// An audience is how many streams ask for what.
type audience struct {
	slots    *feed.Slots
	exact    map[string]int
	all      int
	patterns []crowd
}

// A crowd is the number of streams of one feed.
type crowd struct {
	sel  *topic.Selectors
	size int
}

func (a *audience) of(name string) int {
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

// feeds returns how many open streams each feed has.
func (g *registry) feeds() map[*feed.Feed]int {
	sizes := map[*feed.Feed]int{}
	for i := range g {
		part := &g[i]
		part.mu.Lock()
		for _, st := range part.streams {
			sizes[st.cursor.Feed()]++
		}
		part.mu.Unlock()
	}
	return sizes
}
