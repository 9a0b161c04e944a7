package hub

import (
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// A cohort is the streams of one feed in a [Fanout].
type cohort struct {
	fanout *Fanout
	feed   *feed
	cursor cursor // only ever waits, for all of them
	woken  bool

	// The Fanout's goroutine alone changes what follows: the seats with the
	// feed's lock held, as others look at them, too.
	seats      []seat
	next       int   // the seat to look at next
	due        int   // how many, from there in a circle, have still to be looked at
	again      bool  // something has come since the circle began
	last       *stop // the end of the window
	began      time.Time
	restsUntil time.Time // when the next circle may begin
}

// A seat is a stream in a cohort. The stream itself is as it was when it came in.
type seat struct {
	st  *Stream
	at  atomic.Pointer[stop] // what it has taken
	tag int32
}

// A stop is a place in a feed's window. Streams that stand there share it.
type stop struct {
	off   uint64
	place eventlog.ID
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

// add seats a stream. The feed's lock is held.
func (c *cohort) add(st *Stream, tag int32) {
	f := c.feed
	f.dequeue(&st.cursor)
	f.enqueue(&c.cursor)
	at := &stop{st.cursor.off, st.cursor.place}
	if n := len(c.seats); n > 0 {
		if before := c.seats[n-1].at.Load(); *before == *at {
			at = before
		}
	}
	st.cohort, st.seat = c, int32(len(c.seats))
	c.seats = append(c.seats, seat{st: st, tag: tag})
	c.seats[st.seat].at.Store(at)
	if c.due > 0 {
		c.due++ // the new seat may lie within that part of the circle
	}
}

// remove has a stream go on by itself, from where it stands.
func (c *cohort) remove(st *Stream) {
	f := c.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if at := c.seats[st.seat].at.Load(); at.off != st.cursor.off {
		st.stand(at)
	}
	st.cohort = nil
	c.vacate(st.seat)
	if len(c.seats) == 0 {
		f.dequeue(&c.cursor)
		c.fanout.forget(f)
	}
}

// vacate gives a seat to the last in the row.
func (c *cohort) vacate(seat int32) {
	i, last := int(seat), len(c.seats)-1
	if i < last {
		from, to := &c.seats[last], &c.seats[i]
		to.st, to.tag = from.st, from.tag
		to.at.Store(from.at.Load())
		to.st.seat = seat
	}
	c.seats[last].st = nil
	c.seats[last].at.Store(nil)
	c.seats = c.seats[:last]
	if c.due > 0 && i != c.next { // who has moved may be due, and out of that part of the circle: better to look once too often
		c.due = last
	}
	c.due = min(c.due, last)
	if c.next == last {
		c.next = 0
	}
}

// stand puts a stream at the stop that its cohort has brought it to. The feed's
// lock is held.
func (st *Stream) stand(at *stop) {
	st.cursor.off, st.cursor.place = at.off, at.place
	st.catchesUp = false
	st.reach(at.place)
}

// After a circle a cohort rests as long as that took, if it is so long. A write
// costs the same for one event as for a hundred, and a shard that never rests
// takes the processor from those who publish and those who receive.
const (
	minRest = time.Millisecond
	maxRest = 25 * time.Millisecond
)

// rest is how long it has still to rest.
func (c *cohort) rest(now time.Time) time.Duration {
	if c.due > 0 {
		return 0
	}
	return max(c.restsUntil.Sub(now), 0)
}

// serve looks at those who are due, makes at most n writes, and returns how many
// those were.
func (c *cohort) serve(n int, now time.Time) (writes int) {
	if c.due == 0 {
		if c.rest(now) > 0 {
			return 0
		}
		c.due, c.again, c.began = len(c.seats), false, time.Now() // now is from before others were served
	}
	if c.due == 0 { // all have left
		return 0
	}
	r := c.begin()
	for looked := 0; c.due > 0 && writes < n && looked < 64*n; looked++ {
		s := &c.seats[c.next]
		at := s.at.Load()
		switch {
		case at.off == c.last.off:
			c.pass()
		case !r.find(at.off) || r.secret && !r.sees(s.st):
			r.leave(s, 0, nil)
		default:
			writes++
			r.write(s)
		}
	}
	r.end()
	if c.due == 0 {
		now = time.Now()
		if took := now.Sub(c.began); took >= minRest {
			c.restsUntil = now.Add(min(took, maxRest))
		}
	}
	return writes
}

// pass goes on to the next seat.
func (c *cohort) pass() {
	c.due--
	if c.next++; c.next == len(c.seats) {
		c.next = 0
	}
}

// A round is some writes after one look at the window.
type round struct {
	*cohort
	window   window
	caughtUp int // of those who were behind
	tally    tally

	// What was looked up last: mostly the next stream stands where that one did.
	run    run
	to     *stop // where it ends
	secret bool  // some of it is private
}

// begin looks at the feed.
func (c *cohort) begin() round {
	f := c.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enqueue(&c.cursor)
	if c.last == nil || c.last.off != f.end() {
		c.last = &stop{f.end(), f.last()}
	}
	return round{cohort: c, window: f.window, tally: tally{to: &c.fanout.hub.counters}}
}

// end tells the feed and the counters what was done.
func (r *round) end() {
	r.tally.flush()
	f := r.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.end() == r.last.off { // else all are behind again
		f.setBehind(f.behind - r.caughtUp)
		f.tidy()
	}
}

// find looks up what there is to take from an offset on. There is nothing if the
// window begins after that.
func (r *round) find(off uint64) bool {
	if len(r.run.bytes) > 0 && r.run.base == off {
		return true
	}
	if off < r.window.base {
		return false
	}
	r.run = r.window.from(off)
	r.secret = false
	for i := range r.run.marks {
		r.secret = r.secret || r.run.marks[i].private != nil
	}
	if r.to = r.last; r.run.end() != r.last.off {
		r.to = &stop{r.run.end(), r.run.marks[len(r.run.marks)-1].id}
	}
	return true
}

// sees reports whether a stream may see all that was found.
func (r *round) sees(st *Stream) bool {
	for i := range r.run.marks {
		if !st.cursor.grant.sees(r.run.marks[i].private) {
			return false
		}
	}
	return true
}

// write writes what was found.
func (r *round) write(s *seat) {
	n, err := r.fanout.sink.Write(s.tag, r.run.bytes)
	if n < len(r.run.bytes) {
		r.leave(s, n, err)
		return
	}
	s.at.Store(r.to)
	r.tally.add(len(r.run.marks), n, r.run.marks[0].at)
	if r.to == r.last {
		r.caughtUp++
		r.pass()
	}
}

// leave has a stream go on by itself, which has taken n bytes of what was found.
func (r *round) leave(s *seat, n int, err error) {
	st, tag := s.st, s.tag
	r.remove(st)
	if n > 0 {
		st.hold(r.run)
		st.Advance(n)
	}
	r.fanout.sink.Leave(tag, err)
}
