package park

import (
	"maps"
	"time"

	"github.com/tidings-sse/tidings/internal/feed"
)

// A group is the streams of one feed that a shard writes to together, because they are
// caught up. Only the shard's loop may use it, apart from Wake.
type group struct {
	*feed.Group // tags are slots of the shard's table
	shard       *shard
	feed        *feed.Feed
	woken       bool // it is in the shard's called; guarded by the shard's lock

	next       int  // the place of the stream to serve next
	due        int  // how many streams, from next on and around, are still to be served in this round
	again      bool // an event came after the round began
	began      time.Time
	restsUntil time.Time // when the next round may begin
}

// Wake makes the shard serve the group.
func (g *group) Wake() {
	s := g.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if !g.woken {
		g.woken = true
		s.called = append(s.called, g)
		s.rouse()
	}
}

// After a round that took at least minRest, a group rests for as long as the round took,
// at most maxRest. A write costs the same for one event as for a hundred, and a shard
// that never rests takes the CPU from publishers and receivers.
const (
	minRest = time.Millisecond
	maxRest = 25 * time.Millisecond
)

// rest returns how long the group still has to rest.
func (g *group) rest(now time.Time) time.Duration {
	if g.due > 0 {
		return 0
	}
	return max(g.restsUntil.Sub(now), 0)
}

// isDone reports whether the group has nothing to write until it is woken.
func (g *group) isDone() bool { return g.due == 0 && !g.again }

// serve serves streams that are due, makes at most n writes, and returns how many it made.
func (g *group) serve(n int, now time.Time) (writes int) {
	if g.due == 0 {
		if g.rest(now) > 0 {
			return 0
		}
		g.due, g.again, g.began = g.Len(), false, time.Now() // now was read before other groups were served
	}
	if g.due == 0 { // the group is empty
		return 0
	}
	p := g.Begin()
	for looked := 0; g.due > 0 && writes < n && looked < 64*n; looked++ {
		b, slot, ok := p.Pending(g.next)
		switch {
		case !ok:
			g.leave(&p, slot, 0, nil)
		case len(b) == 0:
			g.pass()
		default:
			writes++
			if n, err := g.shard.write(slot, b); n < len(b) {
				g.leave(&p, slot, n, err)
			} else if p.Sent(g.next) {
				g.pass()
			}
		}
	}
	p.End()
	if g.due == 0 {
		now = time.Now()
		if took := now.Sub(g.began); took >= minRest {
			g.restsUntil = now.Add(min(took, maxRest))
		}
	}
	return writes
}

// pass moves on to the next stream.
func (g *group) pass() {
	g.due--
	if g.next++; g.next == g.Len() {
		g.next = 0
	}
}

// leave makes the next stream go on alone, after its socket accepted n bytes. err is the
// error from writing them, if any.
func (g *group) leave(p *feed.Pass, slot int32, n int, err error) {
	place := g.next
	p.Leave(place, n)
	g.left(place)
	g.shard.alone(slot, err)
}

// left continues the round after the stream at a place has left, and the last one has
// moved there.
func (g *group) left(place int) {
	n := g.Len()
	if g.due > 0 && place != g.next { // the moved stream may be due, and now be outside the rest of the round: make all due again
		g.due = n
	}
	g.due = min(g.due, n)
	if g.next == n {
		g.next = 0
	}
	if n == 0 {
		g.shard.groups.forget(g.feed)
	}
}

// groups holds the groups of a shard, by feed.
type groups struct {
	of    map[*feed.Feed]*group
	most  int       // the largest size of the map since it was made
	due   []*group  // those that may have something to write
	spare []*group  // the previous array of due, to be reused
	next  time.Time // when the first of them is to be served; zero: when one is woken
}

// add adds a parked stream to the group of its feed, and reports whether it did: it does
// not if the stream has something to send, or is alone on its feed.
func (gs *groups) add(p *parked) bool {
	c := p.st.Cursor()
	f := c.Feed()
	g := gs.of[f]
	if g == nil {
		if !c.CanJoin() {
			return false
		}
		g = &group{shard: p.shard, feed: f}
		g.Group = feed.NewGroup(f, g)
		if gs.of == nil {
			gs.of = map[*feed.Feed]*group{}
		}
		gs.of[f] = g
		gs.most = max(gs.most, len(gs.of))
	}
	if !g.Add(c, p.key.slot) {
		if g.Len() == 0 {
			gs.forget(f)
		}
		return false
	}
	if g.due > 0 {
		g.due++ // its place may lie within the part of the round that is still to be served
	}
	return true
}

// remove removes a stream, if it is in a group, so that it is served alone.
func (gs *groups) remove(p *parked) {
	if c := p.st.Cursor(); c.IsGrouped() {
		g := gs.of[c.Feed()]
		g.left(g.Remove(c))
	}
}

// forget drops the group of a feed, which is empty. A Go map does not shrink, so forget
// makes a new one when few of many groups are left.
func (gs *groups) forget(f *feed.Feed) {
	delete(gs.of, f)
	if gs.most < 64 || len(gs.of) > gs.most/4 {
		return
	}
	gs.most = len(gs.of)
	left := make(map[*feed.Feed]*group, gs.most)
	maps.Copy(left, gs.of)
	gs.of = left
}

// call queues groups that were woken.
func (gs *groups) call(woken []*group) {
	for _, g := range woken {
		g.woken = false
		if g.isDone() {
			gs.due = append(gs.due, g)
		}
		g.again = true
	}
}

// serve makes about n writes for groups that are due and do not rest, and finds out when
// to go on.
func (gs *groups) serve(n int, now time.Time) {
	served := 0
	for ; n > 0 && served < len(gs.due); served++ {
		n -= gs.due[served].serve(n, now)
	}
	next := append(gs.spare[:0], gs.due[served:]...) // these come first at the next call
	for _, g := range gs.due[:served] {
		if !g.isDone() {
			next = append(next, g)
		}
	}
	clear(gs.due) // do not keep groups that have gone in memory
	gs.due, gs.spare = next, gs.due
	gs.next = time.Time{}
	for _, g := range next {
		if at := now.Add(g.rest(now)); gs.next.IsZero() || at.Before(gs.next) {
			gs.next = at
		}
	}
}
