package hub

import (
	"time"

	"github.com/tidings-sse/tidings/internal/feed"
)

// A cohort is a [feed.Group] that a [Fanout] serves.
type cohort struct {
	*feed.Group
	fanout *Fanout
	feed   *feed.Feed
	woken  bool

	// Only the Fanout's goroutine uses what follows.
	next       int  // the place of the stream to serve next
	due        int  // how many streams, from next on and around, are still to be served in this round
	again      bool // an event came after the round began
	began      time.Time
	restsUntil time.Time // when the next round may begin
}

// Wake implements [Waker].
func (c *cohort) Wake() {
	fo := c.fanout
	fo.mu.Lock()
	if !c.woken {
		c.woken = true
		fo.woken = append(fo.woken, c)
	}
	fo.mu.Unlock()
	fo.sink.Wake()
}

// add adds a stream, and reports whether it did.
func (c *cohort) add(st *Stream, tag int32) bool {
	if !c.Add(&st.cursor, tag) {
		return false
	}
	if c.due > 0 {
		c.due++ // the new place may lie within the part of the round that is still to be served
	}
	return true
}

// remove takes a stream out of the cohort.
func (c *cohort) remove(st *Stream) { c.left(c.Remove(&st.cursor)) }

// left continues the round after the stream at a place has left, and the last one has
// moved there.
func (c *cohort) left(place int) {
	n := c.Len()
	if c.due > 0 && place != c.next { // the moved stream may be due, and now be outside the rest of the round: make all due again
		c.due = n
	}
	c.due = min(c.due, n)
	if c.next == n {
		c.next = 0
	}
	if n == 0 {
		c.fanout.forget(c.feed)
	}
}

// After a round that took at least minRest, a cohort rests for as long as the round took,
// at most maxRest. A write costs the same for one event as for a hundred, and a shard
// that never rests takes the CPU from publishers and receivers.
const (
	minRest = time.Millisecond
	maxRest = 25 * time.Millisecond
)

// rest returns how long the cohort still has to rest.
func (c *cohort) rest(now time.Time) time.Duration {
	if c.due > 0 {
		return 0
	}
	return max(c.restsUntil.Sub(now), 0)
}

// serve serves seats that are due, makes at most n writes, and returns how many it made.
func (c *cohort) serve(n int, now time.Time) (writes int) {
	if c.due == 0 {
		if c.rest(now) > 0 {
			return 0
		}
		c.due, c.again, c.began = c.Len(), false, time.Now() // now was read before other cohorts were served
	}
	if c.due == 0 { // the cohort is empty
		return 0
	}
	p := c.Begin()
	for looked := 0; c.due > 0 && writes < n && looked < 64*n; looked++ {
		b, tag, ok := p.Pending(c.next)
		switch {
		case !ok:
			c.leave(&p, tag, 0, nil)
		case len(b) == 0:
			c.pass()
		default:
			writes++
			if n, err := c.fanout.sink.Write(tag, b); n < len(b) {
				c.leave(&p, tag, n, err)
			} else if p.Sent(c.next) {
				c.pass()
			}
		}
	}
	p.End()
	if c.due == 0 {
		now = time.Now()
		if took := now.Sub(c.began); took >= minRest {
			c.restsUntil = now.Add(min(took, maxRest))
		}
	}
	return writes
}

// pass moves on to the next stream.
func (c *cohort) pass() {
	c.due--
	if c.next++; c.next == c.Len() {
		c.next = 0
	}
}

// leave removes the next stream from the cohort after its socket accepted n bytes, and
// reports that to the sink with Write's error, if any.
func (c *cohort) leave(p *feed.Pass, tag int32, n int, err error) {
	place := c.next
	p.Leave(place, n)
	c.left(place)
	c.fanout.sink.Leave(tag, err)
}
