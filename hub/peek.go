package hub

import (
	"errors"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
)

// Peek returns the bytes to write next, and does not block. The bytes are shared and must
// not be modified; they are valid until [Stream.Advance], which must be called with the
// number of bytes written. If there are none, the waker will be woken when there may be
// some. The errors are those of [Stream.Serve], except its context's and write's.
func (st *Stream) Peek() ([]byte, error) {
	if len(st.own) > 0 {
		return st.own, nil
	}
	if !st.cursor.Within() { // no other block may come within an event
		if retry := st.leave.Swap(0); retry > 0 { // even if the stream's time to end has come already
			st.namePosition(time.Duration(retry))
			return st.own, nil
		}
		if err := st.Over(); err != nil {
			return nil, err
		}
	}
	b, err := st.cursor.Peek()
	if st.listed > 0 && !st.cursor.Recalls() {
		st.uncountList()
	}
	if err != nil {
		return st.peekGap(err)
	}
	return b, nil
}

// peekGap returns a gap if retention has dropped what comes next. Otherwise it returns the
// given error of the cursor.
func (st *Stream) peekGap(err error) ([]byte, error) {
	var trimmed *eventlog.TrimmedError
	switch {
	case !errors.As(err, &trimmed):
		return nil, err
	case st.cursor.Within():
		return nil, ErrEventTrimmed
	}
	as := st.form()
	from := st.cursor.Skip(trimmed.Origin)
	st.own, st.ownPlace = as.Append(nil, st.hub.gap(as, as.place(from), trimmed.Origin, Trimmed)), trimmed.Origin
	return st.own, nil
}

// uncountList gives back the bytes that were counted for positions to be sent first.
func (st *Stream) uncountList() {
	st.hub.budget.Share(budget.Lists).Give(st.listed)
	st.listed = 0
}

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
	if f := st.form().framing; f != nil && IsFinal(st.ended()) && !st.cursor.Within() && len(st.own) == 0 {
		return f.End
	}
	return ""
}

// Advance records that the first n bytes of what Peek returned have been written. It
// reports whether there may be more; if not, the waker will be woken when there is.
func (st *Stream) Advance(n int) (more bool) { return st.advance(st.step(n)) }

// A step is how a stream changes when some bytes have been written.
type step struct {
	own bool // the bytes are the stream's own
	feed.Step
}

// step returns how the stream changes when the first n bytes of what Peek returned have
// been written.
func (st *Stream) step(n int) step {
	if len(st.own) > 0 {
		return step{own: true, Step: feed.Step{Bytes: n}}
	}
	return step{Step: st.cursor.Step(n)}
}

// advance applies s and reports whether there may be more.
func (st *Stream) advance(s step) (more bool) {
	if !s.own {
		return st.cursor.Advance(s.Step)
	}
	if st.own = st.own[s.Bytes:]; len(st.own) == 0 {
		st.own = nil
		if !st.ownPlace.IsZero() {
			st.cursor.Reach(st.ownPlace)
		}
	}
	return true
}

// whole returns how many of the n bytes that Peek returned to write at once, at most
// limit: whole events, or part of one that is larger.
func (st *Stream) whole(n, limit int) int {
	if len(st.own) > 0 {
		return min(n, limit)
	}
	return st.cursor.Whole(n, limit)
}
