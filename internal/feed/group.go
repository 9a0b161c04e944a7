package feed

import (
	"sync/atomic"

	"github.com/tidings-sse/tidings/eventlog"
)

// A Group is cursors of one feed that are caught up and sent to in one pass: the pending
// bytes are looked up once, and of each cursor only an entry in a contiguous array is
// touched, because thousands of streams would not fit into the CPU cache.
//
// One goroutine at a time may use it. While a cursor is in a group, only its methods
// CatchingUp, Feed, Grant, IsGrouped, Progress and Wake may be called.
type Group struct {
	feed   *Feed
	waiter Waiter // waits for the next event, for all cursors
	last   *stop  // the end of the window at the last look
	seats  []seat // changed with the feed's lock held, because other goroutines read them
}

// A seat is a cursor in a group. The cursor itself stays as it was when it joined; at
// holds its progress since.
type seat struct {
	cursor *Cursor
	at     atomic.Pointer[stop] // how far it has got
	tag    int32
}

// A stop is a position in a feed's window. Cursors at the same position share one stop.
type stop struct {
	off   uint64
	place eventlog.ID
}

// minTogether is how many attached cursors a feed needs, over all groups, to be sent to
// in one. For a single cursor a group would only cost memory.
const minTogether = 2

// NewGroup returns an empty group of a feed's cursors. w is woken by the feed's next event
// after each [Group.Begin].
func NewGroup(f *Feed, w Waker) *Group { return &Group{feed: f, waiter: NewWaiter(w)} }

// CanJoin reports whether a group may take c: it has nothing to send for now, and is not
// alone on its feed.
func (c *Cursor) CanJoin() bool {
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	return c.canJoin()
}

func (c *Cursor) canJoin() bool {
	return c.attached && c.off == c.feed.end() && c.feed.attached >= minTogether
}

// IsGrouped reports whether c is in a group.
func (c *Cursor) IsGrouped() bool { return c.group != nil }

// Add adds a cursor with a number by which the caller knows it, and reports whether it
// did, see [Cursor.CanJoin]. The waker of c is then not woken by new events any more.
func (g *Group) Add(c *Cursor, tag int32) bool {
	f := g.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if !c.canJoin() {
		return false
	}
	f.dequeue(&c.Waiter)
	f.enqueue(&g.waiter)
	at := &stop{c.off, c.place}
	if n := len(g.seats); n > 0 {
		if before := g.seats[n-1].at.Load(); *before == *at {
			at = before
		}
	}
	c.group, c.seat = g, int32(len(g.seats))
	g.seats = append(g.seats, seat{cursor: c, tag: tag})
	g.seats[c.seat].at.Store(at)
	return true
}

// Remove removes a cursor, which continues alone from where it stands, and moves the last
// one to its place in the order. It returns that place.
func (g *Group) Remove(c *Cursor) (at int) {
	f := g.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if at := g.seats[c.seat].at.Load(); at.off != c.off {
		c.off, c.place, c.reached = at.off, at.place, at.place
		c.catchesUp = false
	}
	c.group = nil
	i, last := int(c.seat), len(g.seats)-1
	if i < last {
		from, to := &g.seats[last], &g.seats[i]
		to.cursor, to.tag = from.cursor, from.tag
		to.at.Store(from.at.Load())
		to.cursor.seat = c.seat
	}
	g.seats[last].cursor = nil
	g.seats[last].at.Store(nil)
	if g.seats = g.seats[:last]; last == 0 {
		f.dequeue(&g.waiter)
	}
	return i
}

// Len returns how many cursors there are.
func (g *Group) Len() int { return len(g.seats) }

// A Pass is one look at a feed's window for a group, with which some of its cursors are
// sent what is pending. It begins with [Group.Begin] and ends with [Pass.End].
type Pass struct {
	*Group
	window   window
	caughtUp int // cursors that were behind and no longer are
	tally    tally

	// The last lookup. Usually the next cursor stands at the same position.
	run    run
	to     *stop // where run ends
	secret bool  // run contains private events
}

// Begin looks at the feed's window. The next event will wake the group.
func (g *Group) Begin() Pass {
	f := g.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enqueue(&g.waiter)
	if g.last == nil || g.last.off != f.end() {
		g.last = &stop{f.end(), f.last()}
	}
	return Pass{Group: g, window: f.window, tally: tally{to: &f.set.totals}}
}

// End updates the feed and the totals.
func (p *Pass) End() {
	p.tally.flush()
	f := p.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.end() == p.last.off { // otherwise an event came meanwhile, and all are behind again
		f.setBehind(f.behind - p.caughtUp)
		f.tidy()
	}
}

// Pending returns the bytes to write for the cursor at place i, and its tag. If there are
// none, the cursor is caught up if ok, and must leave the group if not: it may not see the
// next event, or has fallen out of the window.
func (p *Pass) Pending(i int) (b []byte, tag int32, ok bool) {
	s := &p.seats[i]
	at := s.at.Load()
	switch {
	case at.off == p.last.off:
		return nil, s.tag, true
	case !p.find(at.off) || p.secret && !p.sees(s.cursor):
		return nil, s.tag, false
	}
	return p.run.bytes, s.tag, true
}

// Sent records that all that Pending returned has been written for the cursor at place i.
// It reports whether the cursor is caught up.
func (p *Pass) Sent(i int) (caughtUp bool) {
	p.seats[i].at.Store(p.to)
	p.tally.add(len(p.run.marks), len(p.run.bytes), p.run.marks[0].at)
	if p.to != p.last {
		return false
	}
	p.caughtUp++
	return true
}

// Leave removes the cursor at place i, after the first n bytes of what Pending returned
// have been written for it.
func (p *Pass) Leave(i, n int) {
	c := p.seats[i].cursor
	p.Remove(c)
	if n > 0 {
		c.hold(p.run)
		c.Advance(c.Step(n))
	}
}

// find looks up the run to send from an offset. It reports false if the window begins
// after the offset.
func (p *Pass) find(off uint64) bool {
	if len(p.run.bytes) > 0 && p.run.base == off {
		return true
	}
	if off < p.window.base {
		return false
	}
	p.run = p.window.from(off)
	p.secret = false
	for i := range p.run.marks {
		p.secret = p.secret || p.run.marks[i].private != nil
	}
	if p.to = p.last; p.run.end() != p.last.off {
		p.to = &stop{p.run.end(), p.run.marks[len(p.run.marks)-1].id}
	}
	return true
}

// sees reports whether a cursor's grant covers all events of the run.
func (p *Pass) sees(c *Cursor) bool {
	for i := range p.run.marks {
		if !sees(c.grant, p.run.marks[i].private) {
			return false
		}
	}
	return true
}
