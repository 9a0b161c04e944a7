package hub

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
)

// hold keeps r until it has been written.
func (st *Stream) hold(r run) {
	if st.run == nil {
		st.run = runs.Get().(*run)
	}
	*st.run = r
}

// release returns the run to the pool. Most streams of a large hub have nothing to write.
func (st *Stream) release() {
	if st.run != nil {
		*st.run = run{}
		runs.Put(st.run)
		st.run = nil
	}
}

// Peek returns the bytes to write next, and does not block. The bytes are shared and must
// not be modified; they are valid until [Stream.Advance], which must be called with the
// number of bytes written. If there are none, the waker will be woken when there may be
// some. The errors are those of [Stream.Serve], except its context's and write's.
func (st *Stream) Peek() ([]byte, error) {
	if len(st.own) > 0 {
		return st.own, nil
	}
	if st.cursor.part == 0 { // no other block may come within an event
		if retry := st.leave.Swap(0); retry > 0 { // even if the stream's time to end has come already
			st.namePosition(time.Duration(retry))
			return st.own, nil
		}
		if err := st.Over(); err != nil {
			return nil, err
		}
	}
	for {
		if st.cursor.attached {
			if r := st.feed.peek(&st.cursor); len(r.bytes) > 0 {
				st.hold(r)
				st.catchesUp = false
				return r.bytes, nil
			}
			st.release()
			if st.cursor.attached {
				return nil, st.hub.Err()
			}
		}
		if st.page == nil {
			st.passPending()
		}
		var head eventlog.ID
		if len(st.pending) == 0 {
			var ok bool
			var err error
			if head, ok, err = st.hub.reached(st.cursor.place, wakes{st}); err != nil || !ok {
				return nil, err
			}
			if st.cursor.part == 0 && st.feed.attach(&st.cursor) {
				st.leavePage()
				continue
			}
		}
		if wait, err := st.catchUp(head); err != nil || wait {
			return nil, err
		}
		if len(st.own) > 0 {
			return st.own, nil
		}
		if st.run != nil {
			return st.run.bytes, nil
		}
	}
}

// CatchingUp reports whether the stream reads from the log rather than from its feed's
// window.
func (st *Stream) CatchingUp() bool { return !st.cursor.attached }

// Over returns why the stream has to end, or nil. It is the hub's error, or the cause
// given to [Stream.End].
func (st *Stream) Over() error {
	if err := st.hub.Err(); err != nil {
		return err
	}
	return st.ended()
}

// Farewell returns the end of the stream's framing if the stream has ended for good, see
// [IsFinal], between two events. Otherwise it returns "".
func (st *Stream) Farewell() string {
	if f := st.Framing(); f != nil && IsFinal(st.ended()) && st.cursor.part == 0 && len(st.own) == 0 {
		return f.End
	}
	return ""
}

// Advance records that the first n bytes of what Peek returned have been written. It
// reports whether there may be more; if not, the waker will be woken when there is.
func (st *Stream) Advance(n int) (more bool) { return st.advance(st.step(n)) }

// A step is how a stream changes when some bytes have been written.
type step struct {
	bytes  int
	own    bool        // the bytes are the stream's own
	events int         // how many events end within the bytes
	oldest int64       // when the first of those was appended, in Unix nanoseconds; 0: it is not live
	pos    eventlog.ID // the client then has everything up to here; zero: unchanged
	place  eventlog.ID // the last event that has been sent whole
	partOf eventlog.ID // if part > 0, the event that has been sent in part,
	part   int         // and how many bytes of it
}

// step returns how the stream changes when the first n bytes of what Peek returned have
// been written.
func (st *Stream) step(n int) step {
	if len(st.own) > 0 {
		s := step{bytes: n, own: true}
		if n == len(st.own) {
			s.pos = st.ownPlace
		}
		return s
	}
	s := step{bytes: n, place: st.cursor.place}
	r := st.run
	end := r.base + uint64(n)
	if s.events = r.upTo(end); s.events > 0 {
		s.place = r.marks[s.events-1].id
		s.pos, s.oldest = s.place, r.marks[0].at
	}
	if s.part = int(end - r.starts(s.events)); s.part > 0 {
		s.partOf = r.marks[s.events].id
		if s.events == 0 {
			s.part += st.cursor.part
		}
	}
	return s
}

// advance applies s and reports whether there may be more.
func (st *Stream) advance(s step) (more bool) {
	if s.own {
		if st.own = st.own[s.bytes:]; len(st.own) == 0 {
			st.own = nil
		}
		more = true
	} else {
		st.release()
		more = st.feed.advance(&st.cursor, s.bytes, s.place, s.partOf, s.part)
		st.hub.counters.delivered(s.events, s.bytes)
	}
	if !s.pos.IsZero() {
		st.reach(s.pos)
	}
	if s.oldest != 0 {
		st.hub.counters.latency.add(time.Duration(time.Now().UnixNano() - s.oldest))
	}
	return more
}

// whole returns how many of the n bytes that Peek returned to write at once, at most
// limit: whole events, or part of one that is larger.
func (st *Stream) whole(n, limit int) int {
	if n <= limit || len(st.own) > 0 {
		return min(n, limit)
	}
	if end := st.run.starts(st.run.upTo(st.run.base + uint64(limit))); end > st.run.base {
		return int(end - st.run.base)
	}
	return limit
}

// passPending drops pending events that the cursor has passed. After the last one, the
// stream continues in the log from resume.
func (st *Stream) passPending() {
	if len(st.pending) == 0 {
		return
	}
	n, found := slices.BinarySearchFunc(st.pending, st.cursor.place, eventlog.ID.Compare)
	if found {
		n++
	}
	if st.pending = st.pending[n:]; len(st.pending) > 0 {
		return
	}
	st.forgetPending()
	if st.cursor.place.Compare(st.resume) < 0 { // a gap may have moved it further
		st.cursor.place = st.resume
	}
}

// forgetPending drops the list of pending events and uncounts it.
func (st *Stream) forgetPending() {
	st.hub.budget.Share(budget.Lists).Give(st.listed)
	st.pending, st.listed = nil, 0
}

// catchUp finds the next run in a page of the log, or a gap. It reports whether the
// stream must wait until the page has been read. If it need not wait and there is no run,
// the stream has reached the end of the page.
func (st *Stream) catchUp(head eventlog.ID) (wait bool, err error) {
	if !st.catchesUp && len(st.pending) == 0 {
		st.catchesUp = true
		st.hub.counters.catchUps.Add(1)
	}
	st.release()
	pg, err := st.getPage(head)
	var trimmed *eventlog.TrimmedError
	switch {
	case errors.As(err, &trimmed) && st.cursor.part == 0:
		gap := st.hub.gap(st.feed.key.form, st.feed.key.form.place(st.cursor.place), trimmed.Origin, Trimmed)
		st.cursor.place = trimmed.Origin
		st.own, st.ownPlace = appendWire(nil, gap, st.feed.key.form), trimmed.Origin
		return false, nil
	case errors.As(err, &trimmed):
		return false, ErrEventTrimmed
	case err != nil:
		return false, err
	case pg == nil:
		return true, nil
	}
	c := &st.cursor
	next := pg.after(c.place)
	if c.part > 0 {
		if next = pg.find(c.partOf); next < 0 {
			return false, ErrEventDeleted
		}
	}
	if first := pg.hidden(c.grant, next, len(pg.marks)); first > next {
		next, c.place = first, pg.marks[first-1].id
	}
	if next == len(pg.marks) {
		c.place = pg.next
		atEnd := len(st.pending) == 0 && pg.next == st.page.head
		st.leavePage()
		if atEnd { // the end may have moved on, but the next page will reach what the feed keeps from now on
			st.feed.join(c)
		}
		return false, nil
	}
	st.hold(pg.slice(pg.starts(next)+uint64(c.part), next, pg.visible(c.grant, next, len(pg.marks))))
	return false, nil
}

// getPage returns the page that the stream is in, or nil while it is being read. If the
// stream left a page before its end and the cache still has it, getPage returns that one,
// so that a slow stream does not cause reads of its own.
func (st *Stream) getPage(head eventlog.ID) (*page, error) {
	p, place := st.hub.pages, st.cursor.place
	if st.page != nil && st.page.banned != p.bans.now.Load() {
		st.leavePage()
	}
	if st.page == nil && len(st.pending) > 0 {
		st.page = p.recall(st.feed, st.pending, st)
	}
	if st.page == nil {
		if st.page = p.cached(st.feed, st.pageAt, place, st); st.page == nil {
			st.page, st.pageAt = p.get(st.feed, place, head, st), place
		}
	}
	if !st.page.done.Load() {
		return nil, nil
	}
	pg := &st.page.page
	if pg.err == nil {
		return pg, nil
	}
	st.leavePage()
	if errors.Is(pg.err, context.Canceled) { // only closing the hub cancels a read
		return nil, ErrClosed
	}
	return nil, pg.err
}

// leavePage releases the stream's page, if it has one.
func (st *Stream) leavePage() {
	if st.page != nil {
		st.hub.pages.leave(st.page, st)
		st.page = nil
	}
}

// Rest releases memory that the stream does not need while its peer accepts nothing. It
// releases the page if streams hold too many pages, or if the page has not been read yet:
// reading it would be useless for now, and the page would then stay.
func (st *Stream) Rest() {
	st.release()
	if st.cursor.joining {
		st.feed.part(&st.cursor)
	}
	if st.page != nil && (st.hub.pages.crowded() || !st.page.done.Load()) {
		st.leavePage()
	}
}
