package feed

import (
	"slices"
	"sync"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
)

const (
	// MaxWindow is how many bytes of events one feed keeps for streams that are behind.
	// When the budget has no room, a window keeps about 1 KiB of its newest events. When
	// it has no room for those either, the window keeps nothing, and its streams read the
	// log.
	MaxWindow = 1 << 20
	// smallWindow is how many bytes a window may take that draws from a share of its own.
	// That share is for feeds with a stream that lags by no more than nearEvents: those
	// that lag further cannot take it all from them.
	smallWindow = 8 << 10
	nearEvents  = 3
)

// A windowShare is the shares of the budget that windows draw from.
type windowShare struct{ small, large *budget.Share }

func newWindowShare(b *budget.Budget) windowShare {
	return windowShare{b.Share(budget.SmallWindows), b.Share(budget.Windows)}
}

// used returns how many bytes all windows hold.
func (s windowShare) used() int64 { return s.small.Used() + s.large.Used() }

// A window is the newest events of a feed.
type window struct {
	run
	start eventlog.ID // it holds every event routed to the feed after this position
}

// A room is memory for a window. It is reused once no stream refers to it.
type room struct {
	buf   []byte
	marks []mark
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// A window larger than this leaves its memory to the garbage collector. Only the few
// bytes that the next window may hold would be counted, not the whole buffer.
const (
	largestRoom = 4 << 10
	mostMarks   = 32
)

// release makes the memory of w available to other windows. No stream may refer to it any
// more.
func (r *room) release(w window) {
	if cap(w.bytes) > largestRoom || cap(w.marks) > mostMarks {
		return
	}
	clear(w.marks)
	r.buf, r.marks = w.bytes[:0], w.marks[:0]
	rooms.Put(r)
}

// last returns the position of the newest event routed to the feed.
func (w *window) last() eventlog.ID {
	if len(w.marks) == 0 {
		return w.start
	}
	return w.marks[len(w.marks)-1].id
}

// from returns the events from an offset on, about as much as a stream is given at a
// time.
func (w *window) from(off uint64) run {
	next := w.upTo(off)
	to := max(min(w.upTo(off+peekSize)+1, len(w.marks)), next+1)
	return w.slice(off, next, to)
}

// peekSize is about how many bytes of a window a stream is given at a time.
const peekSize = 256 << 10

// shrink drops the oldest events beyond MaxWindow, and more or all of them if the budget
// has no room. Streams that are behind then read the log.
func (f *Feed) shrink() {
	if len(f.bytes) > MaxWindow {
		f.keep(MaxWindow / 2) // half, so that this does not happen at each event
	}
	if f.count() { // one large event may take more than was counted before
		return
	}
	f.keep(smallWindow / 8) // the events' marks take several times as much
	if !f.count() {
		f.empty()
	}
}

// keep drops all events but the newest, of about n bytes and at least one.
func (f *Feed) keep(n int) {
	if len(f.bytes) > n {
		f.drop(f.upTo(f.end() - uint64(n)))
	}
}

// count updates the bytes counted for the window, and reports whether the budget has room
// for them.
func (f *Feed) count() bool {
	n := int64(cap(f.bytes)) + int64(cap(f.marks))*int64(unsafe.Sizeof(mark{})) + f.guards
	if n <= smallWindow && f.keepsUp() && f.take(f.set.windows.small, n) {
		return true
	}
	return f.take(f.set.windows.large, n)
}

// keepsUp reports whether a stream lags by no more than nearEvents, or is about to attach,
// which takes it no longer than a look at the window.
func (f *Feed) keepsUp() bool {
	return f.joining > 0 || f.reached >= f.starts(max(len(f.marks)-nearEvents, 0))
}

// take counts the window as n bytes of a share, and no more of another. If the share has
// no room, nothing is counted.
func (f *Feed) take(from *budget.Share, n int64) bool {
	if f.countedIn != from {
		f.uncount()
		f.countedIn = from
	}
	if n > f.counted && !from.Take(n-f.counted) {
		return false
	}
	if n < f.counted {
		from.Give(f.counted - n)
	}
	f.counted = n
	return true
}

func (f *Feed) uncount() {
	if f.countedIn != nil {
		f.countedIn.Give(f.counted)
	}
	f.countedIn, f.counted = nil, 0
}

// drop drops the oldest n events, but never all. The caller must call count afterwards.
func (f *Feed) drop(n int) {
	if n == 0 {
		return
	}
	for _, m := range f.marks[:n] {
		f.guards -= m.private.size()
	}
	last := f.marks[n-1]
	size := last.end - f.base
	f.start, f.base = last.id, last.end
	f.bytes = slices.Clone(f.bytes[size:])
	f.marks = slices.Clone(f.marks[n:])
}

// empty drops all events.
func (f *Feed) empty() {
	f.start, f.base = f.last(), f.end()
	f.bytes, f.marks, f.room, f.guards = nil, nil, nil, 0
	f.uncount()
}
