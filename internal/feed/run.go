package feed

import (
	"slices"
	"sync"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

// A run is adjacent events of a feed, encoded. A feed's window and a page of the log are
// runs, and so is the part of either that a stream sends next.
type run struct {
	bytes []byte
	base  uint64 // the offset of bytes[0]
	marks []mark // where each event ends, in order
}

// A mark is where an event ends in a run.
type mark struct {
	end     uint64
	id      eventlog.ID
	private guard // the topics that guard the event; nil: it is public
	at      int64 // when a live event was appended, in Unix nanoseconds; 0: it is from the log
}

// end returns the offset at which the run ends.
func (r *run) end() uint64 { return r.base + uint64(len(r.bytes)) }

// upTo returns how many events end at or before an offset. Usually it is none or all.
func (r *run) upTo(off uint64) int {
	n := len(r.marks)
	if n == 0 || off < r.marks[0].end {
		return 0
	}
	if off >= r.marks[n-1].end {
		return n
	}
	n, _ = slices.BinarySearchFunc(r.marks, off, func(m mark, off uint64) int {
		if m.end <= off {
			return -1
		}
		return 1
	})
	return n
}

// after returns the index of the first event after a position.
func (r *run) after(pos eventlog.ID) int {
	n, found := slices.BinarySearchFunc(r.marks, pos, func(m mark, id eventlog.ID) int { return m.id.Compare(id) })
	if found {
		n++
	}
	return n
}

// starts returns the offset at which event n begins.
func (r *run) starts(n int) uint64 {
	if n == 0 {
		return r.base
	}
	return r.marks[n-1].end
}

// slice returns the part from offset off, which lies in event n, to the start of event
// to.
func (r *run) slice(off uint64, n, to int) run {
	return run{bytes: r.bytes[off-r.base : r.marks[to-1].end-r.base], base: off, marks: r.marks[n:to]}
}

// visible returns the index of the first event from n on that grant g does not cover, at
// most to.
func (r *run) visible(g *topic.Selectors, n, to int) int {
	for n < to && sees(g, r.marks[n].private) {
		n++
	}
	return n
}

// hidden returns the index of the first event from n on that grant g covers, at most to.
func (r *run) hidden(g *topic.Selectors, n, to int) int {
	for n < to && !sees(g, r.marks[n].private) {
		n++
	}
	return n
}

// runs pools the runs that streams hold.
var runs = sync.Pool{New: func() any { return new(run) }}
