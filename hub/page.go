package hub

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
)

const (
	// pageBytes is about how much a stream that catches up is given at a time.
	pageBytes = 64 << 10
	// pageScan is how many events are looked at for one page before others
	// get their turn.
	pageScan = 8192
	// pageTime is how long that may take, for selectors that are slow.
	pageTime = 10 * time.Millisecond
)

// A page is a run that was read from the log. Its offsets count from its beginning.
type page struct {
	run
	guards int         // bytes of what guards private events
	next   eventlog.ID // where reading goes on
	err    error
}

// find returns the index of the event that a stream has taken a part of, or -1 if
// that is gone. The page may begin with events that were withheld when the stream
// passed them, and end with such.
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

// pages reads the log for those who catch up: so many at a time, that live
// delivery does not suffer, and each page once for all who are at its place.
type pages struct {
	ctx   context.Context
	log   eventlog.Log
	live  *activity
	bans  *bans
	slots [2]chan struct{} // for selectors that take little to match, and for others
	lists [2]chan struct{} // likewise, for lists of topics
	fills sync.WaitGroup

	mu     sync.Mutex
	byFeed map[*feed]map[eventlog.ID]*pageEntry
	recent list.List     // of *pageEntry that are read, the latest first
	held   *budget.Share // by the pages in recent, and by those that streams have taken
	taken  atomic.Int64  // bytes of the latter; changed with mu held
	left   sync.Cond     // on mu: some were left
}

type pageEntry struct {
	feed    *feed
	place   eventlog.ID
	ids     []eventlog.ID // the events that it is to hold, instead of all after place; it is one stream's
	banned  *banned       // those that it was read under, for no other time is it good
	page    page          // written before done is set
	done    atomic.Bool   // it has been read
	waiting []*Stream     // for it to be read, or reading it
	el      *list.Element // in recent; nil: it is not
}

func newPages(ctx context.Context, log eventlog.Log, live *activity, b *bans, held *budget.Share) *pages {
	p := &pages{
		ctx:    ctx,
		log:    log,
		live:   live,
		bans:   b,
		slots:  [2]chan struct{}{make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1)), make(chan struct{}, 1)},
		lists:  [2]chan struct{}{make(chan struct{}, 2), make(chan struct{}, 1)},
		byFeed: map[*feed]map[eventlog.ID]*pageEntry{},
		held:   held,
	}
	p.left.L = &p.mu
	return p
}

// costly is how many passes over a topic selectors may make that do not count as slow.
// Reads with slow ones have a slot of their own, so that others do not wait for them.
const costly = 64

// begin waits for a slot to read the log for what sel selects, and returns the pace at
// which to do so. Its end gives the slot back.
func (p *pages) begin(ctx context.Context, sel *Selectors) (*pace, error) {
	slow := sel.cost() > costly
	slot := p.slots[0]
	if slow {
		slot = p.slots[1]
	}
	select {
	case slot <- struct{}{}:
		takesLong := slow || p.bans.now.Load().cost() > costly
		return &pace{begun: time.Now(), live: p.live, costly: takesLong, slot: slot}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// list waits for a turn to list topics, which done ends. It is not one to read the log.
func (p *pages) list(ctx context.Context, sel *Selectors) (done func(), err error) {
	turn := p.lists[0]
	if sel.cost() > costly {
		turn = p.lists[1]
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close waits for the reads under way, which the hub's context has ended.
func (p *pages) close() {
	p.mu.Lock()
	p.left.Broadcast()
	p.mu.Unlock()
	p.fills.Wait()
}

// get returns the page of f after a place, up to head at most. Unless it is done,
// st is woken when it is; st has to leave it in any case.
func (p *pages) get(f *feed, place, head eventlog.ID, st *Stream) *pageEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byFeed[f][place]
	switch {
	case e == nil:
		e = &pageEntry{feed: f, place: place, banned: p.bans.now.Load()}
		if p.byFeed[f] == nil {
			p.byFeed[f] = map[eventlog.ID]*pageEntry{}
		}
		p.byFeed[f][place] = e
		// Whoever else waits for this page does not share the first one's
		// fate, so the reading is nobody's own.
		p.fills.Go(func() { p.fill(e, head) })
	case e.el != nil:
		p.recent.MoveToFront(e.el)
	}
	p.take(e, st)
	return e
}

// cached returns the page after at, if it is there, has been read and holds
// what follows a place.
func (p *pages) cached(f *feed, at, place eventlog.ID, st *Stream) *pageEntry {
	if place.Compare(at) <= 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byFeed[f][at]
	if e == nil || e.el == nil || place.Compare(e.page.next) >= 0 {
		return nil
	}
	p.recent.MoveToFront(e.el)
	p.take(e, st)
	return e
}

// recall returns a page of the events with some ids, in log order, for st alone. What
// get says of pages holds for it.
func (p *pages) recall(f *feed, ids []eventlog.ID, st *Stream) *pageEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &pageEntry{feed: f, ids: ids, banned: p.bans.now.Load()}
	p.take(e, st)
	p.fills.Go(func() { p.fill(e, eventlog.ID{}) })
	return e
}

// made returns a page of events that are at hand, in log order, for st alone. It is done.
func (p *pages) made(f *feed, events []*eventlog.Event, st *Stream) *pageEntry {
	e := &pageEntry{feed: f, banned: p.bans.now.Load()}
	for _, event := range events {
		if f.wants(event, e.banned) {
			e.page.add(f, event)
		}
	}
	e.page.next = events[len(events)-1].ID
	e.done.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held.Add(e.size())
	p.take(e, st)
	return e
}

func (p *pages) take(e *pageEntry, st *Stream) {
	if len(e.waiting) == 0 && e.done.Load() { // it is held already
		p.taken.Add(e.size())
	}
	e.waiting = append(e.waiting, st)
}

func (p *pages) leave(e *pageEntry, st *Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.waiting = without(e.waiting, st); len(e.waiting) > 0 || !e.done.Load() {
		return
	}
	p.taken.Add(-e.size())
	p.left.Signal()
	if e.el == nil {
		p.held.Give(e.size())
	}
}

// crowded reports whether a stream whose peer takes nothing has to let go of its page:
// such streams may keep half of what pages may take, so that others can go on.
func (p *pages) crowded() bool { return p.taken.Load() > p.held.Most()/2 || p.held.Full() }

func (p *pages) fill(e *pageEntry, head eventlog.ID) {
	pace, _ := p.begin(context.Background(), &e.feed.sel) // reads end soon when the hub is closed
	if p.wanted(e) {
		e.page = p.read(e, head, pace)
	}
	pace.end()
	for _, st := range p.filled(e, head) {
		st.wake()
	}
}

// filled puts a page that has been read where others find it, and returns who
// waits for it.
func (p *pages) filled(e *pageEntry, head eventlog.ID) []*Stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.done.Store(true)
	waiting := slices.Clone(e.waiting)
	if len(waiting) > 0 {
		p.taken.Add(e.size())
	}
	switch {
	case p.byFeed[e.feed][e.place] != e: // forgotten meanwhile
	case e.page.err != nil || len(e.page.bytes) == 0 || e.page.next == head:
		p.remove(e) // a page that came to the head grows with the log, and an error may pass
	default:
		e.el = p.recent.PushFront(e)
	}
	if e.el == nil && len(waiting) == 0 {
		return nil
	}
	for p.held.Add(e.size()); p.held.Full() && p.recent.Len() > 0; {
		p.evict(p.recent.Back().Value.(*pageEntry))
	}
	return waiting
}

// wanted waits while streams have taken all that pages may take, and then reports
// whether any stream still waits for e; if not, none will.
func (p *pages) wanted(e *pageEntry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(e.waiting) > 0 && p.taken.Load() > p.held.Most() && p.ctx.Err() == nil {
		p.left.Wait()
	}
	if len(e.waiting) == 0 {
		p.remove(e)
	}
	return len(e.waiting) > 0
}

// size is about how many bytes the page takes; it does not change once the page is read.
func (e *pageEntry) size() int64 {
	return int64(len(e.page.bytes)+e.page.guards) + int64(len(e.page.marks))*int64(unsafe.Sizeof(mark{})) + 500
}

func (p *pages) evict(e *pageEntry) {
	p.uncache(e)
	p.remove(e)
}

// uncache takes a page out of recent. It is held on while streams have it.
func (p *pages) uncache(e *pageEntry) {
	p.recent.Remove(e.el)
	if e.el = nil; len(e.waiting) == 0 {
		p.held.Give(e.size())
	}
}

func (p *pages) remove(e *pageEntry) {
	if p.byFeed[e.feed][e.place] != e {
		return
	}
	if delete(p.byFeed[e.feed], e.place); len(p.byFeed[e.feed]) == 0 {
		delete(p.byFeed, e.feed)
	}
}

// forgetFeed drops the pages of a feed that is gone.
func (p *pages) forgetFeed(f *feed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetPages(f)
}

// forget drops all pages, those being read too: events were deleted.
func (p *pages) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.byFeed {
		p.forgetPages(f)
	}
}

func (p *pages) forgetPages(f *feed) {
	for _, e := range p.byFeed[f] {
		if e.el != nil {
			p.uncache(e)
		}
	}
	delete(p.byFeed, f)
}

// scratch is what pages are put together in.
var scratch = sync.Pool{New: func() any { return new(page) }}

// read reads the page of e, up to head at most.
func (p *pages) read(e *pageEntry, head eventlog.ID, pace *pace) page {
	pg := scratch.Get().(*page)
	defer func() {
		if cap(pg.bytes) > 4*pageBytes {
			return // a large event's
		}
		clear(pg.marks)
		pg.bytes, pg.marks = pg.bytes[:0], pg.marks[:0]
		scratch.Put(pg)
	}()
	pg.next, pg.err, pg.guards = e.place, nil, 0
	if len(e.ids) > 0 {
		pg.fillWith(p, e, pace)
	} else {
		pg.fill(p, e.feed, e.banned, head, pace)
	}
	return page{run{bytes: bytes.Clone(pg.bytes), marks: slices.Clone(pg.marks)}, pg.guards, pg.next, pg.err}
}

// fill reads on from pg.next.
func (pg *page) fill(p *pages, f *feed, b *banned, head eventlog.ID, pace *pace) {
	place := pg.next
	q := eventlog.Query{Topics: f.sel.topics(), UpTo: head, Match: func(e *eventlog.Event) bool {
		over := pace.over()
		return f.wants(e, b) || over
	}}
	for e, err := range p.log.Read(p.ctx, place, q) {
		if err != nil {
			var trimmed *eventlog.TrimmedError
			if errors.As(err, &trimmed) && pg.next != place {
				return // what was read is good; the next page begins with the gap
			}
			pg.err = err
			return
		}
		if !f.wants(e, b) {
			pg.next = e.ID
			return
		}
		if n := len(pg.marks); n > 0 && endsPage(len(pg.bytes), pg.marks[n-1].id, e.ID) {
			return
		}
		if pg.add(f, e); pg.full() {
			return
		}
	}
	pg.next = head
}

// fillWith reads the events of e.ids, as far as they fit.
func (pg *page) fillWith(p *pages, e *pageEntry, pace *pace) {
	for _, id := range e.ids {
		pace.keep()
		for event, err := range p.log.Read(p.ctx, id.Prev(), eventlog.Query{UpTo: id}) { // which yields nothing if it was deleted
			if err != nil {
				var trimmed *eventlog.TrimmedError
				if !errors.As(err, &trimmed) || len(pg.marks) == 0 {
					pg.err = err
				}
				return
			}
			if e.feed.wants(event, e.banned) {
				pg.add(e.feed, event)
			}
		}
		if pg.next = id; pg.full() {
			return
		}
	}
}

// add adds an event that f selects.
func (pg *page) add(f *feed, e *eventlog.Event) {
	g := guardOf(e)
	pg.guards += int(g.size())
	if f.key.envelope != Bare {
		e = shown(e, &f.grant)
	}
	pg.bytes = appendWire(pg.bytes, e, f.key.form)
	pg.marks = append(pg.marks, mark{end: uint64(len(pg.bytes)), id: e.ID, private: g})
	pg.next = e.ID
}

func (pg *page) full() bool { return len(pg.bytes)+pg.guards >= pageBytes }

// endsPage reports whether a page of so many bytes is to end between two events. It
// does at places that do not depend on where it began, rounder ones at first
// and any as it fills, so that those who resume at different places soon read
// the same pages.
func endsPage(size int, last, next eventlog.ID) bool {
	crossed := bits.Len64(last.Lo ^ next.Lo) // next is beyond a multiple of 1<<(crossed-1)
	switch {
	case size >= pageBytes*3/4:
		return crossed > 6
	case size >= pageBytes/2:
		return crossed > 8
	case size >= pageBytes/4:
		return crossed > 10
	}
	return false
}
