package hub

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/topic"
)

// activity records when an event was last routed, and how much works in the background.
type activity struct {
	last  atomic.Int64  // in Unix nanoseconds
	paces atomic.Int64  // paces that have begun and not ended
	half  time.Duration // half the number of processors: how many paces may each run half the time
}

// liveFor is how long after an event catching up makes room for live delivery.
const liveFor = 100 * time.Millisecond

func (a *activity) note() { a.last.Store(time.Now().UnixNano()) }

// recent reports whether an event was routed within liveFor of now. A time far in the
// future does not count: the system's clock may have been set back.
func (a *activity) recent(now time.Time) bool {
	return time.Duration(now.UnixNano()-a.last.Load()).Abs() < liveFor
}

// turn is how long background work runs before it rests or yields.
const turn = 500 * time.Microsecond

// pace limits background work to half the time while events are being published: after
// each slice it sleeps for as long as the slice took, and longer while much other work
// is paced, so that all of it together takes about half of the processors. A published
// event passes through half a dozen goroutines, and through the peers' side of the
// network, which all need a CPU.
type pace struct {
	begun  time.Time // start of the slice
	spent  time.Duration
	looked int  // calls of over
	costly bool // each look takes long, so over calls keep every time
	live   *activity
	rests  time.Duration // how many times as long as it has worked it rests; 0: once
	slot   chan struct{} // released by end; nil: none
	later  func() error  // waits for a slot among long reads; nil: the pace may go on in its slot
}

// begin returns a pace. The caller must call its end method.
func (a *activity) begin(costly bool, slot chan struct{}) *pace {
	a.paces.Add(1)
	return &pace{begun: time.Now(), costly: costly, live: a, slot: slot}
}

// searchRests is how many times as long as it has worked a search rests while events are
// being published. A client that asks for one waits for an answer; a stream that catches
// up falls further behind.
const searchRests = 3

// end ends the pace and releases its slot.
func (p *pace) end() {
	p.live.paces.Add(-1)
	p.release()
}

func (p *pace) release() {
	if p.slot != nil {
		<-p.slot
		p.slot = nil
	}
}

// shortLooks is how many events a short read may look at.
const shortLooks = 1024

// yield gives a slot for short reads back and waits for one among the long reads. If the
// read is not wanted any more by then, over reports true from now on.
func (p *pace) yield() {
	if p.later == nil {
		return
	}
	p.release()
	p.live.paces.Add(-1) // waiting does not count as work
	err := p.later()
	p.live.paces.Add(1)
	p.later, p.spent = nil, 0
	if err != nil {
		p.looked = pageScan
	}
	p.begun = time.Now()
}

// rest returns how long work rests after a slice.
func (a *activity) rest(took time.Duration) time.Duration {
	half := max(a.half, 1)
	return took * max(time.Duration(a.paces.Load()), half) / half
}

// keep ends the slice and rests if the slice has lasted for turn. Call it often.
func (p *pace) keep() {
	now := time.Now()
	took := now.Sub(p.begun)
	if p.later != nil {
		if p.looked >= shortLooks || took >= pageTime { // mostly looks: the goroutine may have waited for a processor
			p.yield()
		}
		return
	}
	if took < turn {
		return
	}
	p.spent += took
	if p.live.recent(now) {
		time.Sleep(p.live.rest(took) * max(p.rests, 1))
	} else {
		runtime.Gosched()
	}
	p.begun = time.Now()
}

// over reports whether others are to get their turn: after pageScan looks or pageTime.
// Call it before each look at an event or a topic; it also calls keep.
func (p *pace) over() bool {
	if p.looked++; p.costly || p.looked%32 == 0 {
		p.keep()
	}
	return p.looked >= pageScan || p.spent > pageTime
}

// Rest limits background work that has no slot to half the time while events are being
// published. Call it often, first with the time when the work began and then with the
// time that the last call returned. After 500 µs of work it sleeps for as long as the
// work took, but at most 10 ms, since a slow peer may have been the reason.
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

// turns limits work that goes through all streams or feeds. The work takes turns with
// reads of the log, at their pace: each turn holds a slot, and ends when others are to
// get theirs.
type turns struct {
	ctx   context.Context
	pages *pages
	sel   *topic.Selectors // the selectors to compare; they decide which slots it uses
	pace  *pace
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
		t.pace.costly = true // one look may compare two templates of a kilobyte each
	}
}

// look waits for the next turn if this one is over. Call it before each look at a feed
// and before each template that is tried, and check err, which is set once the context
// has ended.
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
