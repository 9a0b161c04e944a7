package hub

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
)

// A run is what a stream can have at once: adjacent events, in a window or in
// a page, neither of which changes while the stream holds it.
type run struct {
	bytes  []byte
	marks  []mark
	before uint64 // the offset of bytes[0], as marks count
	live   bool   // it is of the window
}

// runs are those that no stream holds.
var runs = sync.Pool{New: func() any { return new(run) }}

// hold keeps what was found until it is written.
func (st *Stream) hold(r run) {
	if st.run == nil {
		st.run = runs.Get().(*run)
	}
	*st.run = r
}

// release lets go of it: most streams of a crowd have nothing to write.
func (st *Stream) release() {
	if st.run != nil {
		*st.run = run{}
		runs.Put(st.run)
		st.run = nil
	}
}

// end is the offset at which it ends.
func (r *run) end() uint64 { return r.marks[len(r.marks)-1].end }

// Peek returns what is to be written next, without waiting: [Stream.Advance]
// says how much of it was. The bytes are shared; they are not to be kept beyond
// that. If there is nothing, the waker will be woken when that has changed.
// Errors are those of [Stream.Next].
func (st *Stream) Peek() ([]byte, error) {
	if len(st.own) > 0 {
		return st.own, nil
	}
	if st.cursor.part == 0 { // nothing comes between the parts of an event
		st.drain.begin(&st.hub.drain, st.over)
		if retry, ok := st.drain.retry(); ok { // also when the moment came before anybody looked
			st.namePosition(retry)
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

// CatchingUp reports whether the stream reads from the log, and not yet what is
// published now.
func (st *Stream) CatchingUp() bool { return !st.cursor.attached }

// Over tells why the stream has to end, or nil.
func (st *Stream) Over() error {
	if err := st.hub.Err(); err != nil {
		return err
	}
	if err := st.ended(); err != nil {
		return err
	}
	if st.drain.due() {
		return ErrDrained
	}
	return nil
}

// Farewell returns the last chunk if the stream was over for good between two
// events, see [IsFinal], and is in chunks; else nothing.
func (st *Stream) Farewell() string {
	if IsFinal(st.ended()) && st.Chunked() && st.cursor.part == 0 && len(st.own) == 0 {
		return "0\r\n\r\n"
	}
	return ""
}

// Advance notes that the first n bytes of what was peeked at have been written,
// and reports whether there may be more. If not, the waker will be woken.
func (st *Stream) Advance(n int) (more bool) {
	gave, more := st.advance(n)
	st.gave(gave, n, &st.hub.counters)
	return more
}

// advance tells what is given with those bytes, too.
func (st *Stream) advance(n int) (gives batch, more bool) {
	if len(st.own) > 0 {
		if st.own = st.own[n:]; len(st.own) == 0 {
			st.own = nil
			gives = batch{place: st.ownPlace, events: st.ownEvents}
		}
		return gives, true
	}
	passed, partOf, part := st.run.at(n)
	place := st.cursor.place
	if passed > 0 {
		place = st.run.marks[passed-1].id
		gives = batch{place: place, events: passed}
		if st.run.live {
			gives.oldest = st.run.marks[0].at
		}
		st.cursor.part = 0
	}
	if part > 0 && passed == 0 {
		part += st.cursor.part
	}
	st.release()
	return gives, st.feed.advance(&st.cursor, n, place, partOf, part)
}

// whole returns how many of the n bytes that were peeked at to take, if it is to
// be no more than limit: whole events, or a part of one that is larger.
func (st *Stream) whole(n, limit int) int {
	if n <= limit || len(st.own) > 0 {
		return min(n, limit)
	}
	if passed := marksUpTo(st.run.marks, st.run.before+uint64(limit)); passed > 0 {
		return int(st.run.marks[passed-1].end - st.run.before)
	}
	return limit
}

// at returns how many events end within the first n bytes of a run, and which
// one is taken in part, and how much of it.
func (r *run) at(n int) (passed int, partOf eventlog.ID, part int) {
	end := r.before + uint64(n)
	passed = marksUpTo(r.marks, end)
	from := r.before
	if passed > 0 {
		from = r.marks[passed-1].end
	}
	if part = int(end - from); part > 0 {
		partOf = r.marks[passed].id
	}
	return passed, partOf, part
}

// marksUpTo returns how many marks are at or before an offset: mostly none, or
// all.
func marksUpTo(marks []mark, off uint64) int {
	if len(marks) == 0 || off < marks[0].end {
		return 0
	}
	if off >= marks[len(marks)-1].end {
		return len(marks)
	}
	n, _ := slices.BinarySearchFunc(marks, off, func(m mark, off uint64) int {
		if m.end <= off {
			return -1
		}
		return 1
	})
	return n
}

// passPending drops what the cursor has passed from what is pending. After the last
// of that, the stream reads the log on from resume.
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
	if st.cursor.place.Compare(st.resume) < 0 { // retention may have moved it beyond
		st.cursor.place = st.resume
	}
}

// forgetPending lets go of what is pending.
func (st *Stream) forgetPending() {
	st.hub.budget.Share(budget.Lists).Give(st.listed)
	st.pending, st.listed = nil, 0
}

// catchUp finds the next run in a page of the log, or a gap. It reports whether
// the page has yet to be read; without that, and without a run, the stream is at
// the page's end.
func (st *Stream) catchUp(head eventlog.ID) (wait bool, err error) {
	if !st.catchesUp && len(st.pending) == 0 {
		st.catchesUp = true
		st.hub.counters.catchUps.Add(1)
	}
	st.release()
	pg, err := st.getPage(head)
	var trimmed *eventlog.ErrTrimmed
	switch {
	case errors.As(err, &trimmed) && st.cursor.part == 0:
		gap := st.hub.gap(st.feed.key.form, st.feed.key.form.place(st.cursor.place), trimmed.Origin, Trimmed)
		st.cursor.place = trimmed.Origin
		st.own, st.ownPlace, st.ownEvents = appendWire(nil, gap, st.feed.key.form), trimmed.Origin, 0
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
	for ; next < len(pg.marks) && !c.grant.sees(pg.marks[next].private); next++ {
		c.place = pg.marks[next].id
	}
	if next == len(pg.marks) {
		c.place = pg.next
		st.leavePage()
		if len(st.pending) == 0 && pg.next == head {
			st.feed.join(c)
		}
		return false, nil
	}
	to := next
	for to < len(pg.marks) && c.grant.sees(pg.marks[to].private) {
		to++
	}
	r := run{marks: pg.marks[next:to], before: uint64(c.part)}
	if next > 0 {
		r.before += pg.marks[next-1].end
	}
	r.bytes = pg.bytes[r.before:pg.marks[to-1].end]
	st.hold(r)
	return false, nil
}

// getPage returns the page that the stream is in, or nil while it is not read.
// Of a page that it has let go of it finds the rest, if the cache still has it,
// so that a stream that is slow reads no pages of its own.
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
	if errors.Is(pg.err, context.Canceled) { // by the hub: nobody else could
		return nil, ErrClosed
	}
	return nil, pg.err
}

// leavePage lets go of the page.
func (st *Stream) leavePage() {
	if st.page != nil {
		st.hub.pages.leave(st.page, st)
		st.page = nil
	}
}

// Rest lets go of memory that the stream has no use for while its peer takes
// nothing: of the page, if such streams have too many of them. A page that is not read
// yet would be read in vain, and then stay.
func (st *Stream) Rest() {
	st.release()
	if st.page != nil && (st.hub.pages.crowded() || !st.page.done.Load()) {
		st.leavePage()
	}
}
