package feed

import (
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

// A Cursor is how far one stream has got in its feed, and the bytes that it sends next.
// [Cursor.Open] opens one, and [Cursor.Close] must be called in the end. One goroutine at
// a time may use it, apart from Feed, Grant, Progress and Wake.
//
// A cursor is caught up and sends from its feed's window, or it catches up and sends from
// pages of the log until it can join the window.
type Cursor struct {
	Waiter // the feed's lock guards its waker, too
	feed   *Feed
	grant  *topic.Selectors // selects the private events that it may see

	// The cursor's goroutine changes what follows with the feed's lock held, because
	// others read it.
	off      uint64      // the next byte to send from the window
	reached  eventlog.ID // the client has been sent everything up to this position
	group    *Group      // nil: none
	seat     int32       // its index in the group's seats
	attached bool
	joining  bool

	catchesUp bool          // it has read from the log since it last sent from the window
	place     eventlog.ID   // the last event that was sent or passed
	partOf    eventlog.ID   // if part > 0, the event that was sent in part,
	part      int           // and how many bytes of it were sent
	run       *run          // what Peek has returned, until it is written; nil: nothing
	page      *pageEntry    // the page that it sends from or waits for; nil: none
	pageAt    eventlog.ID   // the position that the page follows, or the last page did
	pending   []eventlog.ID // positions of events to send first, see Recall
	resume    eventlog.ID   // the position to read the log from after those
}

// Open opens c in a feed that was joined, at a position: the client has everything before.
// grant selects the private events that it may see, and w is woken as Peek says.
func (c *Cursor) Open(f *Feed, at eventlog.ID, grant *topic.Selectors, w Waker) {
	*c = Cursor{Waiter: NewWaiter(w), feed: f, grant: grant, place: at, reached: at}
}

// Recall makes c send the events with the given IDs, in log order, before it continues in
// the log after resume. events are the same events, if they are few and small, or nil.
func (c *Cursor) Recall(ids []eventlog.ID, events []*eventlog.Event, resume eventlog.ID) {
	c.pending, c.resume = ids, resume
	if p := c.feed.set.pages; len(events) > 0 && !p.crowded() {
		c.page = p.made(c.feed, events, c)
	}
}

// Recalls reports whether c has events of [Cursor.Recall] still to send.
func (c *Cursor) Recalls() bool { return len(c.pending) > 0 }

// Close releases what c holds and leaves the feed. It reports whether this call did so.
func (c *Cursor) Close() (left bool) {
	c.leavePage()
	c.pending = nil // others may refer to c for a while, and the list is not counted any more
	c.feed.leave(c)
	return c.feed.set.part(c.feed, &c.Waiter)
}

// leave takes c out of the window.
func (f *Feed) leave(c *Cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dequeue(&c.Waiter)
	f.joined(c)
	if c.attached {
		f.detach(c)
	}
	f.tidy()
}

// Feed returns the feed that c is in.
func (c *Cursor) Feed() *Feed { return c.feed }

// Grant returns the selectors of the private events that c may see.
func (c *Cursor) Grant() *topic.Selectors { return c.grant }

// SetWaker makes c wake w from now on.
func (c *Cursor) SetWaker(w Waker) {
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	c.waker = w
}

// Waker returns what c wakes.
func (c *Cursor) Waker() Waker { return c.waker }

// Wake wakes the goroutine or shard that serves c.
func (c *Cursor) Wake() {
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	c.waker.Wake()
}

// CatchingUp reports whether c reads from the log rather than from its feed's window.
func (c *Cursor) CatchingUp() bool { return !c.attached }

// Within reports whether c has sent a part of an event. No other bytes may come before
// the rest.
func (c *Cursor) Within() bool { return c.part > 0 }

// Place returns the position up to which the client has all that it asked for, once it
// has received what Peek has returned.
func (c *Cursor) Place() eventlog.ID {
	if len(c.pending) > 0 {
		return c.reached
	}
	return c.place
}

// Reached returns the position up to which the client has been sent everything.
func (c *Cursor) Reached() eventlog.ID { return c.reached }

// Reach records that the client has been sent everything up to a position.
func (c *Cursor) Reach(at eventlog.ID) {
	c.feed.mu.Lock()
	defer c.feed.mu.Unlock()
	c.reached = at
}

// PassTo moves a cursor that is caught up to a later position, up to which there was
// nothing to send. It does nothing to others.
func (c *Cursor) PassTo(at eventlog.ID) {
	if c.attached && at.Compare(c.place) > 0 {
		c.place = at
	}
}

// Skip moves a cursor that catches up to a position, because it is to begin there or what
// was before is not retained. It returns where the cursor was.
func (c *Cursor) Skip(to eventlog.ID) (from eventlog.ID) {
	from, c.place = c.place, to
	return from
}

// Progress is how far a cursor has got.
type Progress struct {
	CatchingUp bool        // it reads from the log
	Behind     int         // bytes of the window that it has still to send
	Reached    eventlog.ID // the client has been sent everything up to this position
}

// Progress returns how far c has got. Any goroutine may call it.
func (c *Cursor) Progress() Progress {
	f := c.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	off, p := c.off, Progress{Reached: c.reached}
	if c.group != nil {
		if at := c.group.seats[c.seat].at.Load(); at.off != off {
			off, p.Reached = at.off, at.place
		}
	}
	p.CatchingUp = !c.attached || off < f.base // one that has fallen out of the window will notice at its next Peek
	if !p.CatchingUp {
		p.Behind = int(f.end() - off)
	}
	return p
}

// join makes the feed keep new events because c is about to attach. A feed without
// attached cursors keeps nothing, so on a busy topic c would otherwise never catch up.
func (f *Feed) join(c *Cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !c.joining {
		c.joining = true
		f.joining++
	}
}

// part undoes join for a cursor that cannot attach for now.
func (f *Feed) part(c *Cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joined(c)
	f.tidy()
}

func (f *Feed) joined(c *Cursor) {
	if c.joining {
		c.joining = false
		f.joining--
	}
}

// attach attaches c to the window at c.place. It reports false if the window begins after
// that position.
func (f *Feed) attach(c *Cursor) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.place.Compare(f.start) < 0 {
		return false
	}
	f.joined(c)
	c.off = f.starts(f.after(c.place))
	f.reached = max(f.reached, c.off)
	c.attached = true
	f.setAttached(f.attached + 1)
	if c.off < f.end() {
		f.setBehind(f.behind + 1)
	} else {
		f.tidy()
	}
	return true
}

// peek returns what c has still to send, up to the next event that it may not see. It
// returns an empty run for a cursor that is caught up, which the next event will wake,
// and for one that has fallen out of the window, which it detaches.
func (f *Feed) peek(c *Cursor) run {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.off < f.base {
		f.detach(c)
		return run{}
	}
	if c.off < f.end() && c.part == 0 {
		f.stepOver(c)
	}
	if c.off == f.end() {
		f.enqueue(&c.Waiter)
		return run{}
	}
	r := f.from(c.off)
	return r.slice(c.off, 0, r.visible(c.grant, 1, len(r.marks))) // the first event is visible, or has been sent in part
}

// advance moves c forward by s. It reports whether there is more to send; if not, c is
// caught up, and the next event will wake it.
func (f *Feed) advance(c *Cursor, s *Step) (more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.place, c.partOf, c.part = s.place, s.partOf, s.part
	if s.Events > 0 {
		c.reached = s.place
	}
	if !c.attached {
		return true
	}
	c.off += uint64(s.Bytes)
	f.reached = max(f.reached, c.off)
	switch {
	case c.off < f.base: // the window dropped events meanwhile
		f.detach(c)
	case c.off == f.end():
		f.caughtUp()
		f.enqueue(&c.Waiter)
		return false
	}
	return true
}

// stepOver moves c past events that it may not see.
func (f *Feed) stepOver(c *Cursor) {
	from := f.upTo(c.off)
	next := f.hidden(c.grant, from, len(f.marks))
	if next > from {
		c.off, c.place = f.marks[next-1].end, f.marks[next-1].id
		f.reached = max(f.reached, c.off)
		if c.off == f.end() {
			f.caughtUp()
		}
	}
}

func (f *Feed) detach(c *Cursor) {
	c.attached = false
	f.setAttached(f.attached - 1)
	if c.off < f.end() {
		f.caughtUp()
	}
}

// caughtUp notes that one cursor fewer is behind.
func (f *Feed) caughtUp() {
	f.setBehind(f.behind - 1)
	f.tidy()
}

// setAttached and setBehind update the totals together with the feed's numbers.
func (f *Feed) setAttached(n int) {
	f.set.totals.attached.Add(int64(n - f.attached))
	f.attached = n
}

func (f *Feed) setBehind(n int) {
	if n != f.behind { // usually nothing changes, and an atomic write would cost
		f.set.totals.behind.Add(int64(n - f.behind))
		f.behind = n
	}
}

// tidy empties the window when no cursor is behind or about to attach. No cursor then
// refers to its memory: one that has sent only part of it still counts as behind, in a
// [Group] too.
func (f *Feed) tidy() {
	if f.behind == 0 && f.joining == 0 && f.room != nil {
		w, r := f.window, f.room
		f.empty()
		r.release(w)
	}
}
