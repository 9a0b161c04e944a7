package feed

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/pace"
	"github.com/tidings-sse/tidings/topic"
)

// Slots limit how many reads of the log, and searches through topics, streams or feeds,
// run at a time, so that live delivery does not suffer.
type Slots struct {
	live  *pace.Activity
	bans  *atomic.Pointer[Banned]
	short chan struct{}    // slots for reads that are expected to be short, see beginRead
	slots [2]chan struct{} // [0] for selectors that are fast to match, [1] for others
	lists [2]chan struct{} // likewise, for listing topics
}

func newSlots(live *pace.Activity, bans *atomic.Pointer[Banned]) Slots {
	half := max(runtime.GOMAXPROCS(0)/2, 1)
	return Slots{
		live:  live,
		bans:  bans,
		short: make(chan struct{}, half),
		slots: [2]chan struct{}{make(chan struct{}, half), make(chan struct{}, 1)},
		lists: [2]chan struct{}{make(chan struct{}, 2), make(chan struct{}, 1)},
	}
}

// costly is how many passes over a topic selectors may need before they count as slow.
// Slow selectors have slots of their own, so that other reads do not wait for them.
const costly = 64

// Begin waits for a slot to read the log for sel, and returns a pace to read at. The
// caller must call its End method, which releases the slot. The error is ctx's.
func (s *Slots) Begin(ctx context.Context, sel *topic.Selectors) (*pace.Pace, error) {
	slow := sel.Cost() > costly
	slot := s.slots[0]
	if slow {
		slot = s.slots[1]
	}
	select {
	case slot <- struct{}{}:
		takesLong := slow || s.bans.Load().cost() > costly
		return s.live.Begin(takesLong, slot), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// searchRests is how many times as long as it has worked a search rests while events are
// being published. A client that asks for one waits for an answer; a stream that catches
// up falls further behind.
const searchRests = 3

// Search does what Begin does, for work that goes through topics, streams or feeds.
func (s *Slots) Search(ctx context.Context, sel *topic.Selectors) (*pace.Pace, error) {
	pace, err := s.Begin(ctx, sel)
	if err == nil {
		pace.SlowDown(searchRests)
	}
	return pace, err
}

// nearEnd is how many positions before the end of the log a read may begin that is
// expected to be short, unless it is of exact topics: for those the log has an index.
const nearEnd = 8192

// cheap is how many passes over a topic selectors may need, with the bans, for a read to
// be short.
const cheap = 16

// isShort reports whether a read of the log for sel, from a position to an end, is
// expected to be short.
func (s *Slots) isShort(sel *topic.Selectors, from, end eventlog.ID) bool {
	return sel.Cost()+s.bans.Load().cost() <= cheap && (!sel.IsOpen() || from.Epoch == end.Epoch && end.Lo-from.Lo <= nearEnd)
}

// List waits for a turn to list topics. The caller must call done. These turns are
// separate from the slots for reading the log. The error is ctx's.
func (s *Slots) List(ctx context.Context, sel *topic.Selectors) (done func(), err error) {
	turn := s.lists[0]
	if sel.Cost() > costly {
		turn = s.lists[1]
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Turns limits work that goes through all streams or feeds. The work takes turns with
// reads of the log, at their pace: each turn holds a slot, and ends when others are to
// get theirs.
type Turns struct {
	ctx   context.Context
	slots *Slots
	sel   *topic.Selectors // the selectors to compare; they decide which slots it uses
	pace  *pace.Pace
	err   error
}

// Turns waits for the first turn. The caller must call End.
func (s *Slots) Turns(ctx context.Context, sel *topic.Selectors) *Turns {
	t := &Turns{ctx: ctx, slots: s, sel: sel}
	t.begin()
	return t
}

func (t *Turns) begin() {
	if t.pace, t.err = t.slots.Search(t.ctx, t.sel); t.err == nil {
		t.pace.EachCounts() // one look may compare two templates of a kilobyte each
	}
}

// Look waits for the next turn if this one is over. Call it before each look at a feed
// and before each template that is tried, and check Err afterwards.
func (t *Turns) Look() {
	if t.err == nil && t.pace.Over() {
		t.pace.End()
		t.begin()
	}
}

// Err returns the context's error once that has ended. There are no more turns then.
func (t *Turns) Err() error { return t.err }

// End ends the last turn.
func (t *Turns) End() {
	if t.err == nil {
		t.pace.End()
	}
}
