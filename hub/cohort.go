package hub

import (
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// A cohort is the group of streams of one feed that a [Fanout] serves together.
type cohort struct {
	fanout *Fanout
	feed   *feed
	cursor cursor // never attached; it only waits for the next event, for all seats
	woken  bool

	// Only the Fanout's goroutine changes what follows. It changes seats with the feed's
	// lock held, because other goroutines read them.
	seats      []seat
	next       int   // index of the seat to serve next
	due        int   // how many seats, from next on and around, are still to be served in this round
	again      bool  // an event came after the round began
	last       *stop // the end of the window at the last look
	began      time.Time
	restsUntil time.Time // when the next round may begin
}

// A seat is a stream in a cohort. The Stream's own cursor stays as it was when the stream
// joined; at holds its progress since.
type seat struct {
	st  *Stream
	at  atomic.Pointer[stop] // how far the stream has got
	tag int32
}

// A stop is a position in a feed's window. Streams at the same position share one stop.
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

// add gives a stream a seat. The feed's lock is held.
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
		c.due++ // the new seat may lie within the part of the round that is still to be served
	}
}

// remove takes a stream out of the cohort. The stream continues alone from where it
// stands.
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

// vacate frees a seat by moving the last one into it.
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
	if c.due > 0 && i != c.next { // the moved stream may be due, and now be outside the rest of the round: make all due again
		c.due = last
	}
	c.due = min(c.due, last)
	if c.next == last {
		c.next = 0
	}
}

// stand moves a stream to the position that its cohort has brought it to. The feed's lock
// is held.
func (st *Stream) stand(at *stop) {
	st.cursor.off, st.cursor.place = at.off, at.place
	st.catchesUp = false
	st.reach(at.place)
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
		c.due, c.again, c.began = len(c.seats), false, time.Now() // now was read before other cohorts were served
	}
	if c.due == 0 { // the cohort is empty
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

// pass moves on to the next seat.
func (c *cohort) pass() {
	c.due--
	if c.next++; c.next == len(c.seats) {
		c.next = 0
	}
}

// A round is the writes of one call of serve, after one look at the window.
type round struct {
	*cohort
	window   window
	caughtUp int // streams that were behind and no longer are
	tally    tally

	// The last lookup. Usually the next stream stands at the same position.
	run    run
	to     *stop // where run ends
	secret bool  // run contains private events
}

// begin takes a snapshot of the feed's window.
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

// end updates the feed and the counters.
func (r *round) end() {
	r.tally.flush()
	f := r.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.end() == r.last.off { // otherwise an event came meanwhile, and all are behind again
		f.setBehind(f.behind - r.caughtUp)
		f.tidy()
	}
}

// find looks up the run to send from an offset. It reports false if the window begins
// after the offset.
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

// sees reports whether a stream's grant covers all events of the run.
func (r *round) sees(st *Stream) bool {
	for i := range r.run.marks {
		if !sees(st.cursor.grant, r.run.marks[i].private) {
			return false
		}
	}
	return true
}

// write writes the run to one stream.
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

// leave removes a stream from the cohort after its socket accepted n bytes of the run,
// and reports that to the sink with Write's error, if any.
func (r *round) leave(s *seat, n int, err error) {
	st, tag := s.st, s.tag
	r.remove(st)
	if n > 0 {
		st.hold(r.run)
		st.Advance(n)
	}
	r.fanout.sink.Leave(tag, err)
}
