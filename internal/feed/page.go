package feed

import (
	"bytes"
	"errors"
	"math/bits"
	"slices"
	"sync"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/pace"
)

// PageBytes is about how many bytes of the log a cursor that catches up gets at a time.
const PageBytes = 64 << 10

// A page is a run read from the log. Its offsets count from its beginning.
type page struct {
	run
	guards int         // bytes of the topics that guard private events
	next   eventlog.ID // the position after which reading continues
	err    error
}

// find returns the index of the event that a stream has sent a part of, or -1 if the
// event has been deleted. If the event lies beyond the page, it returns the number of
// events in the page. The page may contain events that were withheld when the stream
// passed them.
func (pg *page) find(partOf eventlog.ID) int {
	n := pg.after(partOf)
	switch {
	case n > 0 && pg.marks[n-1].id == partOf:
		return n - 1
	case pg.next.Compare(partOf) < 0:
		return len(pg.marks)
	}
	return -1
}

// scratch holds the buffers in which pages are assembled.
var scratch = sync.Pool{New: func() any { return new(page) }}

// read reads the page of e.
func (p *pages) read(e *pageEntry, pace *pace.Pace) page {
	pg := scratch.Get().(*page)
	defer func() {
		if cap(pg.bytes) > 4*PageBytes {
			return // do not keep a large event's buffer
		}
		clear(pg.marks)
		pg.bytes, pg.marks = pg.bytes[:0], pg.marks[:0]
		scratch.Put(pg)
	}()
	pg.next, pg.err, pg.guards = e.place, nil, 0
	if len(e.ids) > 0 {
		pg.fillWith(p, e, pace)
	} else {
		pg.fill(p, e, pace)
	}
	return page{run{bytes: bytes.Clone(pg.bytes), marks: slices.Clone(pg.marks)}, pg.guards, pg.next, pg.err}
}

// fill reads on from pg.next.
func (pg *page) fill(p *pages, entry *pageEntry, pace *pace.Pace) {
	place, f, b := pg.next, entry.feed, entry.banned
	q := eventlog.Query{Topics: f.sel.Exact(), UpTo: entry.head, Match: func(e *eventlog.Event) bool {
		over := pace.Over()
		return f.Wants(e, b) || over
	}}
	for e, err := range p.log.Read(p.ctx, place, q) {
		if err != nil {
			var trimmed *eventlog.TrimmedError
			if errors.As(err, &trimmed) && pg.next != place {
				return // keep what was read; the next page begins with the gap
			}
			pg.err = err
			return
		}
		if !f.Wants(e, b) {
			pg.next = e.ID
			return
		}
		if len(e.Data) > PageBytes {
			if pace.IsShort() && len(pg.marks) > 0 {
				return // what was read need not wait; the next page begins with the large event
			}
			pace.Yield()
		}
		if n := len(pg.marks); n > 0 && endsPage(len(pg.bytes), pg.marks[n-1].id, e.ID) {
			return
		}
		if pg.add(f, e); pg.full() {
			return
		}
	}
	pg.next = entry.head
}

// fillWith reads the events of e.ids until the page is full.
func (pg *page) fillWith(p *pages, e *pageEntry, pace *pace.Pace) {
	for _, id := range e.ids {
		pace.Keep()
		for event, err := range p.log.Read(p.ctx, id.Prev(), eventlog.Query{UpTo: id}) { // yields nothing if the event was deleted
			if err != nil {
				var trimmed *eventlog.TrimmedError
				if !errors.As(err, &trimmed) || len(pg.marks) == 0 {
					pg.err = err
				}
				return
			}
			if e.feed.Wants(event, e.banned) {
				pg.add(e.feed, event)
			}
		}
		if pg.next = id; pg.full() {
			return
		}
	}
}

// add appends an event that f selects.
func (pg *page) add(f *Feed, e *eventlog.Event) {
	g := guardOf(e)
	pg.guards += int(g.size())
	pg.bytes = f.key.form.Append(pg.bytes, f.shown(e))
	pg.marks = append(pg.marks, mark{end: uint64(len(pg.bytes)), id: e.ID, private: g})
	pg.next = e.ID
}

func (pg *page) full() bool { return len(pg.bytes)+pg.guards >= PageBytes }

// endsPage reports whether to end a page of the given size between last and next. Page
// boundaries depend on event IDs, not on where the page began: only at round IDs at
// first, at less round ones as the page fills. Streams that resume at different positions
// therefore soon share cached pages.
func endsPage(size int, last, next eventlog.ID) bool {
	crossed := bits.Len64(last.Lo ^ next.Lo) // next is at or beyond a multiple of 1<<(crossed-1), and last is before it
	switch {
	case size >= PageBytes*3/4:
		return crossed > 6
	case size >= PageBytes/2:
		return crossed > 8
	case size >= PageBytes/4:
		return crossed > 10
	}
	return false
}
