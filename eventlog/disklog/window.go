package disklog

import (
	"slices"

	"github.com/tidings-sse/tidings/eventlog"
)

// A window is the newest events in memory. Its positions are dense: events[i]
// is at base+1+i, or nil where there is a tombstone.
type window struct {
	events []*eventlog.Event
	sizes  []int64
	base   uint64
	bytes  int64
	budget int64
}

// overhead is about what the window takes for an event beside its footprint: a place
// in each of two slices, which have room for what comes.
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

// drop lets the n oldest go.
func (w *window) drop(n int) {
	clear(w.events[:n]) // the array outlives the slice's front
	w.events, w.sizes = w.events[n:], w.sizes[n:]
	if n > len(w.events) { // most of the arrays is that front
		w.events, w.sizes = slices.Clone(w.events), slices.Clone(w.sizes)
	}
	w.base += uint64(n)
}

// trim lets what is up to origin go.
func (w *window) trim(origin uint64) {
	n := 0
	for ; n < len(w.events) && w.base+uint64(n) < origin; n++ {
		w.bytes -= w.sizes[n]
	}
	w.drop(n)
}

// bury forgets the event at a position that was deleted.
func (w *window) bury(at uint64) {
	if at > w.base && at-w.base <= uint64(len(w.events)) {
		w.events[at-w.base-1] = nil
	}
}

// holds reports whether all that follows after is in the window.
func (w *window) holds(after uint64) bool { return after >= w.base }

// get returns the event at a position, if it is in the window.
func (w *window) get(at uint64) (e *eventlog.Event, ok bool) {
	if at <= w.base || at-w.base > uint64(len(w.events)) {
		return nil, false
	}
	return w.events[at-w.base-1], true
}

// page returns up to n events after a place that the window holds, none of them
// beyond end, and the place after them.
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
