package feed

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// ErrClosed reports a set that was closed, or whose log was.
var ErrClosed = errors.New("hub: closed")

// ErrDeleted reports a cursor that has sent a part of an event which has been deleted.
var ErrDeleted = errors.New("hub: an event that was being sent has been deleted")

// Peek returns the bytes to write next, and does not block. The bytes are shared and must
// not be modified; they are valid until [Cursor.Advance], which must be called with the
// number of bytes written. If there are none, the waker will be woken when there may be
// some.
//
// The error is an [eventlog.TrimmedError] if retention has dropped what comes next, see
// [Cursor.Skip], [ErrDeleted], [ErrClosed], the log's, or that of [Set.Err].
func (c *Cursor) Peek() ([]byte, error) {
	for {
		if c.attached {
			if r := c.feed.peek(c); len(r.bytes) > 0 {
				c.hold(r)
				c.catchesUp = false
				return r.bytes, nil
			}
			c.release()
			if c.attached {
				return nil, c.feed.set.Err()
			}
		}
		if c.page == nil {
			c.passPending()
		}
		var head eventlog.ID
		if len(c.pending) == 0 {
			var ok bool
			var err error
			if head, ok, err = c.feed.set.Routed(c.place, c); err != nil || !ok {
				return nil, err
			}
			if c.part == 0 && c.feed.attach(c) {
				c.leavePage()
				continue
			}
		}
		if wait, err := c.catchUp(head); err != nil || wait {
			return nil, err
		}
		if c.run != nil {
			return c.run.bytes, nil
		}
	}
}

// hold keeps r until it has been written.
func (c *Cursor) hold(r run) {
	if c.run == nil {
		c.run = runs.Get().(*run)
	}
	*c.run = r
}

// release returns the run to the pool. Most cursors of a large hub have nothing to write.
func (c *Cursor) release() {
	if c.run != nil {
		*c.run = run{}
		runs.Put(c.run)
		c.run = nil
	}
}

// A Step is how a cursor changes when some bytes have been written.
type Step struct {
	Bytes  int
	Events int         // how many events end within the bytes
	oldest int64       // when the first of those was appended, in Unix nanoseconds; 0: it is not live
	place  eventlog.ID // the last event that has been sent whole
	partOf eventlog.ID // if part > 0, the event that has been sent in part,
	part   int         // and how many bytes of it
}

// Step returns how c changes when the first n bytes of what Peek returned have been
// written.
func (c *Cursor) Step(n int) Step {
	s := Step{Bytes: n, place: c.place}
	r := c.run
	end := r.base + uint64(n)
	if s.Events = r.upTo(end); s.Events > 0 {
		s.place, s.oldest = r.marks[s.Events-1].id, r.marks[0].at
	}
	if s.part = int(end - r.starts(s.Events)); s.part > 0 {
		s.partOf = r.marks[s.Events].id
		if s.Events == 0 {
			s.part += c.part
		}
	}
	return s
}

// Advance applies s and reports whether there may be more to send; if not, the waker will
// be woken when there is.
func (c *Cursor) Advance(s Step) (more bool) {
	c.release()
	more = c.feed.advance(c, &s)
	t := &c.feed.set.totals
	t.delivered(s.Events, s.Bytes)
	if s.oldest != 0 {
		t.Latency.Add(time.Duration(time.Now().UnixNano() - s.oldest))
	}
	return more
}

// Whole returns how many of the n bytes that Peek returned to write at once, at most
// limit: whole events, or part of one that is larger.
func (c *Cursor) Whole(n, limit int) int {
	if n <= limit {
		return n
	}
	if end := c.run.starts(c.run.upTo(c.run.base + uint64(limit))); end > c.run.base {
		return int(end - c.run.base)
	}
	return limit
}

// passPending drops pending events that c has passed. After the last one, c continues in
// the log from resume.
func (c *Cursor) passPending() {
	if len(c.pending) == 0 {
		return
	}
	n, found := slices.BinarySearchFunc(c.pending, c.place, eventlog.ID.Compare)
	if found {
		n++
	}
	if c.pending = c.pending[n:]; len(c.pending) > 0 {
		return
	}
	c.pending = nil
	if c.place.Compare(c.resume) < 0 { // a gap may have moved it further
		c.place = c.resume
	}
}

// catchUp finds the next run in a page of the log. It reports whether c must wait until
// the page has been read. If it need not wait and there is no run, c has reached the end
// of the page.
func (c *Cursor) catchUp(head eventlog.ID) (wait bool, err error) {
	if !c.catchesUp && len(c.pending) == 0 {
		c.catchesUp = true
		c.feed.set.totals.CatchUps.Add(1)
	}
	c.release()
	pg, err := c.getPage(head)
	switch {
	case err != nil:
		return false, err
	case pg == nil:
		return true, nil
	}
	next := pg.after(c.place)
	if c.part > 0 {
		if next = pg.find(c.partOf); next < 0 {
			return false, ErrDeleted
		}
	}
	if first := pg.hidden(c.grant, next, len(pg.marks)); first > next {
		next, c.place = first, pg.marks[first-1].id
	}
	if next == len(pg.marks) {
		c.place = pg.next
		atEnd := len(c.pending) == 0 && pg.next == c.page.head
		c.leavePage()
		if atEnd { // the end may have moved on, but the next page will reach what the feed keeps from now on
			c.feed.join(c)
		}
		return false, nil
	}
	c.hold(pg.slice(pg.starts(next)+uint64(c.part), next, pg.visible(c.grant, next, len(pg.marks))))
	return false, nil
}

// getPage returns the page that c is in, or nil while it is being read. If c left a page
// before its end and the cache still has it, getPage returns that one, so that a slow
// stream does not cause reads of its own.
func (c *Cursor) getPage(head eventlog.ID) (*page, error) {
	p := c.feed.set.pages
	if c.page != nil && c.page.banned != p.bans.Load() {
		c.leavePage()
	}
	if c.page == nil && len(c.pending) > 0 {
		c.page = p.recall(c.feed, c.pending, c)
	}
	if c.page == nil {
		if c.page = p.cached(c.feed, c.pageAt, c.place, c); c.page == nil {
			c.page, c.pageAt = p.get(c.feed, c.place, head, c), c.place
		}
	}
	if !c.page.done.Load() {
		return nil, nil
	}
	pg := &c.page.page
	if pg.err == nil {
		return pg, nil
	}
	c.leavePage()
	if errors.Is(pg.err, context.Canceled) { // only closing the set cancels a read
		return nil, ErrClosed
	}
	return nil, pg.err
}

// leavePage releases c's page, if it has one.
func (c *Cursor) leavePage() {
	if c.page != nil {
		c.feed.set.pages.leave(c.page, c)
		c.page = nil
	}
}

// Rest releases memory that c does not need while its peer accepts nothing. It releases
// the page if cursors hold too many pages, or if the page has not been read yet: reading
// it would be useless for now, and the page would then stay.
func (c *Cursor) Rest() {
	c.release()
	if c.joining {
		c.feed.part(c)
	}
	if c.page != nil && (c.feed.set.pages.crowded() || !c.page.done.Load()) {
		c.leavePage()
	}
}
