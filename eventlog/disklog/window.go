package disklog

import (
	"slices"

	"github.com/tidings-sse/tidings/eventlog"
)

// A window keeps the newest events in memory. Its positions are consecutive: events[i] is
// at base+1+i, or nil if that is a tombstone.
type window struct {
	events []*eventlog.Event
	sizes  []int64
	base   uint64
	bytes  int64
	budget int64
}

// overhead is about how many bytes an event takes in the window beyond its footprint: an
// element in each of two slices, which have spare capacity.
const overhead = 20

// push adds the event at the position after the newest.
func (w *window) push(e *eventlog.Event) {
	size := e.Footprint() + overhead
	w.events = append(w.events, e)
	w.sizes = append(w.sizes, size)
	w.bytes += size
	n := 0
	for ; w.bytes > w.budget; n++ {
		w.bytes -= w.sizes[n]
	}
	w.drop(n)
}

// drop removes the n oldest events.
func (w *window) drop(n int) {
	clear(w.events[:n]) // the array may live on and must not keep them alive
	w.events, w.sizes = w.events[n:], w.sizes[n:]
	if n > len(w.events) { // most of the arrays is unused now
		w.events, w.sizes = slices.Clone(w.events), slices.Clone(w.sizes)
	}
	w.base += uint64(n)
}

// trim removes the events up to origin.
func (w *window) trim(origin uint64) {
	n := 0
	for ; n < len(w.events) && w.base+uint64(n) < origin; n++ {
		w.bytes -= w.sizes[n]
	}
	w.drop(n)
}

// bury removes the event at a position that was deleted.
func (w *window) bury(at uint64) {
	if at > w.base && at-w.base <= uint64(len(w.events)) {
		w.events[at-w.base-1] = nil
	}
}

// holds reports whether the window has all events after a position.
func (w *window) holds(after uint64) bool { return after >= w.base }

// get returns the event at a position. ok reports whether the window includes it.
func (w *window) get(at uint64) (e *eventlog.Event, ok bool) {
	if at <= w.base || at-w.base > uint64(len(w.events)) {
		return nil, false
	}
	return w.events[at-w.base-1], true
}

// page returns up to n events after a position that the window holds, none of them
// beyond end, and the position to continue after.
func (w *window) page(after, end uint64, n int) ([]*eventlog.Event, uint64) {
	end = min(end, after+uint64(n))
	first, last := int(after-w.base), min(int(end-w.base), len(w.events))
	page := make([]*eventlog.Event, 0, max(0, last-first))
	for i := first; i < last; i++ {
		if e := w.events[i]; e != nil {
			page = append(page, e)
		}
	}
	return page, end
}
