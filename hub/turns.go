package hub

import (
	"context"
	"time"

	"github.com/tidings-sse/tidings/internal/pace"
	"github.com/tidings-sse/tidings/topic"
)

// Rest limits background work that has no slot to half the time while events are being
// published. Call it often, first with the time when the work began and then with the
// time that the last call returned. After 500 µs of work it sleeps for as long as the
// work took, but at most 10 ms, since a slow peer may have been the reason.
func (h *Hub) Rest(begun time.Time) (again time.Time) { return h.live.RestAfter(begun) }

// turns limits work that goes through all streams or feeds. The work takes turns with
// reads of the log, at their pace: each turn holds a slot, and ends when others are to
// get theirs.
type turns struct {
	ctx   context.Context
	pages *pages
	sel   *topic.Selectors // the selectors to compare; they decide which slots it uses
	pace  *pace.Pace
	err   error // the context's; once it is set there are no more turns
}

// turns waits for the first turn. The caller must call end.
func (p *pages) turns(ctx context.Context, sel *topic.Selectors) *turns {
	t := &turns{ctx: ctx, pages: p, sel: sel}
	t.begin()
	return t
}

func (t *turns) begin() {
	if t.pace, t.err = t.pages.search(t.ctx, t.sel); t.err == nil {
		t.pace.EachCounts() // one look may compare two templates of a kilobyte each
	}
}

// look waits for the next turn if this one is over. Call it before each look at a feed
// and before each template that is tried, and check err, which is set once the context
// has ended.
func (t *turns) look() {
	if t.err == nil && t.pace.Over() {
		t.pace.End()
		t.begin()
	}
}

func (t *turns) end() {
	if t.err == nil {
		t.pace.End()
	}
}
