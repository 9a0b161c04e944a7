package disklog

import (
	"slices"

	"github.com/tidings-sse/tidings/eventlog"
)

// A window keeps the newest events in memory, by ascending positions. An event that was
// deleted is nil. There is no event at a position between two of them.
type window struct {
	events []*eventlog.Event
	at     []uint64
	sizes  []int64
	base   uint64 // the window has all events after this position
	bytes  int64
	budget int64
}

// overhead is about how many bytes an event takes in the window beyond its footprint: an
// element in each of three slices, which have spare capacity.
const overhead = 30

// push adds an event after the newest.
func (w *window) push(e *eventlog.Event) {
	size := e.Footprint() + overhead
	w.events = append(w.events, e)
	w.at = append(w.at, e.ID.Lo)
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
	if n == 0 {
		return
	}
	w.base = w.at[n-1]
	clear(w.events[:n]) // the array may live on and must not keep them alive
	w.events, w.at, w.sizes = w.events[n:], w.at[n:], w.sizes[n:]
	if n > len(w.events) { // most of the arrays is unused now
		w.events, w.at, w.sizes = slices.Clone(w.events), slices.Clone(w.at), slices.Clone(w.sizes)
	}
}

// trim removes the events up to origin.
func (w *window) trim(origin uint64) {
	n := w.after(origin)
	for _, size := range w.sizes[:n] {
		w.bytes -= size
	}
	w.drop(n)
}

// reset removes all events. The window then has all those after base.
func (w *window) reset(base uint64) { *w = window{base: base, budget: w.budget} }

// search returns the index of a position, or where it would be, and whether it is there.
// In a log without holes, the position gives the index.
func (w *window) search(at uint64) (int, bool) {
	if len(w.at) > 0 {
		if i := at - w.at[0]; i < uint64(len(w.at)) && w.at[i] == at {
			return int(i), true
		}
	}
	return slices.BinarySearch(w.at, at)
}

// after returns the index of the first event after a position.
func (w *window) after(at uint64) int {
	i, found := w.search(at)
	if found {
		i++
	}
	return i
}

// bury removes the event at a position that was deleted.
func (w *window) bury(at uint64) {
	if i, found := w.search(at); found {
		w.events[i] = nil
	}
}

// holds reports whether the window has all events after a position.
func (w *window) holds(after uint64) bool { return after >= w.base }

// get returns the event at a position, or nil if there is none. ok reports whether the
// window includes the position.
func (w *window) get(at uint64) (e *eventlog.Event, ok bool) {
	if at <= w.base || len(w.at) == 0 || at > w.at[len(w.at)-1] {
		return nil, false
	}
	if i, found := w.search(at); found {
		e = w.events[i]
	}
	return e, true
}

// page returns up to n events after a position that the window holds, none of them
// beyond end, and the position to continue after.
func (w *window) page(after, end uint64, n int) ([]*eventlog.Event, uint64) {
	first, last := w.after(after), w.after(end)
	if last-first > n {
		last = first + n
		end = w.at[last-1]
	}
	page := make([]*eventlog.Event, 0, max(0, last-first))
	for i := first; i < last; i++ {
		if e := w.events[i]; e != nil {
			page = append(page, e)
		}
	}
	return page, end
}
