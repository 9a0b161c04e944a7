package hub

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// activity remembers when something was last published.
type activity struct{ last atomic.Int64 } // in Unix nanoseconds

// liveFor is for how long after it who catches up makes room for who is live.
const liveFor = 100 * time.Millisecond

func (a *activity) note() { a.last.Store(time.Now().UnixNano()) }

// recent reports whether that was within liveFor of now: not after it, for the system's
// clock may have been set back.
func (a *activity) recent(now time.Time) bool {
	return time.Duration(now.UnixNano()-a.last.Load()).Abs() < liveFor
}

// turn is how long the log is read at a time for those who catch up.
const turn = 500 * time.Microsecond

// pace limits work that fills a processor to half of the time while events are being
// published: after each slice it sleeps for as long as the slice took. An event that is
// published passes through half a dozen goroutines, and through the peers' side of the
// network, which all wait for a processor.
type pace struct {
	begun  time.Time // the slice
	spent  time.Duration
	looked int  // see over
	costly bool // each look takes long
	live   *activity
	slot   chan struct{} // that end gives back; nil: none
}

// keep is called often, and rests when it is time.
func (p *pace) keep() {
	now := time.Now()
	took := now.Sub(p.begun)
	if took < turn {
		return
	}
	p.spent += took
	if p.live.recent(now) {
		time.Sleep(took)
	} else {
		runtime.Gosched()
	}
	p.begun = time.Now()
}

// over is called before each look at an event or a topic. It reports whether others
// are to get their turn.
func (p *pace) over() bool {
	if p.looked++; p.costly || p.looked%32 == 0 {
		p.keep()
	}
	return p.looked >= pageScan || p.spent > pageTime
}

// Rest is called often by work that fills a processor and has no slot, with what it
// returned before, or the time when the work began. While events are being published it
// makes the work rest for as long as it has taken since, but no longer than 10 ms: a peer
// may have held it up.
func (h *Hub) Rest(begun time.Time) (again time.Time) {
	took := time.Since(begun)
	if took < turn {
		return begun
	}
	if h.Live() {
		time.Sleep(min(took, pageTime))
	}
	return time.Now()
}

// end gives the slot back.
func (p *pace) end() { <-p.slot }

// turns is work that goes through all streams or feeds. It is done in turn with reads of
// the log, at their pace: each turn takes a slot, and ends when others are to get theirs.
type turns struct {
	ctx   context.Context
	pages *pages
	sel   *Selectors // what is looked for, which decides whose slots it takes
	pace  *pace
	err   error // the context's; then no turn comes any more
}

// turns waits for the first turn. The caller ends the last.
func (p *pages) turns(ctx context.Context, sel *Selectors) *turns {
	t := &turns{ctx: ctx, pages: p, sel: sel}
	t.begin()
	return t
}

func (t *turns) begin() {
	if t.pace, t.err = t.pages.begin(t.ctx, t.sel); t.err == nil {
		t.pace.costly = true // a look may be at two templates of a kilobyte each
	}
}

// look is called before each look at a feed, and before each template that is tried. It
// waits for the next turn when this one is over. The caller sees from err whether the
// context has ended.
func (t *turns) look() {
	if t.err == nil && t.pace.over() {
		t.pace.end()
		t.begin()
	}
}

func (t *turns) end() {
	if t.err == nil {
		t.pace.end()
	}
}
