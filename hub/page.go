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

// A page is a run of a feed's events from the log, as bytes.
type page struct {
	bytes []byte
	marks []mark      // where each event in bytes ends
	next  eventlog.ID // where reading goes on
	err   error
}

// after returns the index of the first event after a place.
func (pg *page) after(place eventlog.ID) int {
	n, found := slices.BinarySearchFunc(pg.marks, place, func(m mark, id eventlog.ID) int { return m.id.Compare(id) })
	if found {
		n++
	}
	return n
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
	slots chan struct{}
	fills sync.WaitGroup

	mu     sync.Mutex
	byFeed map[*feed]map[eventlog.ID]*pageEntry
	recent list.List     // of *pageEntry that are read, the latest first
	held   *budget.Share // by the pages in recent
	taken  int           // by streams
}

type pageEntry struct {
	feed    *feed
	place   eventlog.ID
	banned  *banned       // those that it was read under, for no other time is it good
	page    page          // written before done is set
	done    atomic.Bool   // it has been read
	waiting []*Stream     // for it to be read, or reading it
	el      *list.Element // in recent, once it is read
}

func newPages(ctx context.Context, log eventlog.Log, live *activity, b *bans, held *budget.Share) *pages {
	return &pages{
		ctx:    ctx,
		log:    log,
		live:   live,
		bans:   b,
		slots:  make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1)),
		byFeed: map[*feed]map[eventlog.ID]*pageEntry{},
		held:   held,
	}
}

// close waits for the reads under way, which the hub's context has ended.
func (p *pages) close() { p.fills.Wait() }

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

func (p *pages) take(e *pageEntry, st *Stream) {
	e.waiting = append(e.waiting, st)
	p.taken++
}

func (p *pages) leave(e *pageEntry, st *Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.waiting = without(e.waiting, st)
	p.taken--
}

// maxTaken is how many pages may be kept, beside the cache, for streams whose
// peers take nothing at the moment.
const maxTaken = 1024

func (p *pages) crowded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken > maxTaken
}

func (p *pages) fill(e *pageEntry, head eventlog.ID) {
	p.slots <- struct{}{}
	if p.wanted(e) {
		e.page = p.read(e, head)
	}
	<-p.slots
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
	if p.byFeed[e.feed][e.place] != e { // forgotten meanwhile
		return waiting
	}
	// A page that came to the head grows with the log, and an error may pass.
	if e.page.err != nil || len(e.page.bytes) == 0 || e.page.next == head {
		p.remove(e)
		return waiting
	}
	e.el = p.recent.PushFront(e)
	for p.held.Add(e.size()); p.held.Full() && p.recent.Len() > 0; {
		p.evict(p.recent.Back().Value.(*pageEntry))
	}
	return waiting
}

// wanted reports whether anybody still waits for e; if not, nobody will.
func (p *pages) wanted(e *pageEntry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(e.waiting) == 0 {
		p.remove(e)
	}
	return len(e.waiting) > 0
}

func (e *pageEntry) size() int64 {
	return int64(len(e.page.bytes)) + int64(len(e.page.marks))*int64(unsafe.Sizeof(mark{})) + 500
}

func (p *pages) evict(e *pageEntry) {
	p.recent.Remove(e.el)
	p.held.Give(e.size())
	p.remove(e)
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
			p.recent.Remove(e.el)
			p.held.Give(e.size())
		}
	}
	delete(p.byFeed, f)
}

// scratch is what pages are put together in.
var scratch = sync.Pool{New: func() any { return new(page) }}

// read reads the page of e, up to head at most.
func (p *pages) read(e *pageEntry, head eventlog.ID) page {
	pg := scratch.Get().(*page)
	defer func() {
		if cap(pg.bytes) > 4*pageBytes {
			return // a large event's
		}
		clear(pg.marks)
		pg.bytes, pg.marks = pg.bytes[:0], pg.marks[:0]
		scratch.Put(pg)
	}()
	pg.next, pg.err = e.place, nil
	pg.fill(p, e.feed, e.banned, head)
	return page{bytes.Clone(pg.bytes), slices.Clone(pg.marks), pg.next, pg.err}
}

// fill reads on from pg.next.
func (pg *page) fill(p *pages, f *feed, b *banned, head eventlog.ID) {
	place := pg.next
	scanned := 0
	pace := pace{begun: time.Now(), live: p.live}
	q := eventlog.Query{Topics: f.sel.topics(), UpTo: head, Match: func(e *eventlog.Event) bool {
		if scanned++; scanned%32 == 0 {
			pace.keep()
		}
		return f.wants(e, b) || scanned >= pageScan || pace.spent > pageTime
	}}
	for e, err := range p.log.Read(p.ctx, place, q) {
		if err != nil {
			var trimmed *eventlog.ErrTrimmed
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
		guard := secrecy(e)
		if f.key.envelope != Bare {
			e = shown(e, &f.grant)
		}
		pg.bytes = appendWire(pg.bytes, e, f.key.form)
		pg.marks = append(pg.marks, mark{end: uint64(len(pg.bytes)), id: e.ID, private: guard})
		pg.next = e.ID
		if len(pg.bytes) >= pageBytes {
			return
		}
	}
	pg.next = head
}

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
