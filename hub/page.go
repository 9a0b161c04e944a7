package hub

import (
	"container/list"
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/tidings-sse/tidings/eventlog"
)

const (
	// pageBytes is about how much a stream that catches up is given at a time.
	pageBytes = 64 << 10
	// pageScan is how many events are looked at for one page before others
	// get their turn.
	pageScan = 8192
	// pageBudget is what the cache of pages may hold.
	pageBudget = 64 << 20
	// pageCut makes pages that begin at different places end at the same one,
	// and so be shared: a page ends with an event at a multiple of it.
	pageCut = 64
)

// A page is a run of a feed's events from the log, as bytes.
type page struct {
	bytes []byte
	last  eventlog.ID // the last event in it, if there is one
	next  eventlog.ID // where reading goes on
	err   error
}

// pages reads the log for those who catch up: so many at a time, that live
// delivery does not suffer, and each page once for all who are at its place.
type pages struct {
	log   eventlog.Log
	slots chan struct{}

	mu     sync.Mutex
	byKey  map[pageKey]*pageEntry
	recent list.List // of *pageEntry that are read, the latest first
	bytes  int
}

type pageKey struct {
	feed  *feed
	place eventlog.ID
}

type pageEntry struct {
	key  pageKey
	page page
	read chan struct{} // closed when page is there
	el   *list.Element
}

func newPages(log eventlog.Log) *pages {
	return &pages{
		log:   log,
		slots: make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1)),
		byKey: map[pageKey]*pageEntry{},
	}
}

// get returns the page of f after a place, up to head at most.
func (p *pages) get(ctx context.Context, f *feed, place, head eventlog.ID) (page, error) {
	key := pageKey{f, place}
	p.mu.Lock()
	e, ok := p.byKey[key]
	if ok && e.el != nil {
		p.recent.MoveToFront(e.el)
	}
	if !ok {
		e = &pageEntry{key: key, read: make(chan struct{})}
		p.byKey[key] = e
	}
	p.mu.Unlock()
	if !ok {
		// Whoever else waits for this page does not share the reader's fate,
		// so the reading is nobody's own.
		go p.fill(e, f, head)
	}
	select {
	case <-e.read:
		return e.page, e.page.err
	case <-ctx.Done():
		return page{}, ctx.Err()
	}
}

func (p *pages) fill(e *pageEntry, f *feed, head eventlog.ID) {
	p.slots <- struct{}{}
	e.page = readPage(p.log, f, e.key.place, head)
	<-p.slots
	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(e.read)
	// A page that came to the head grows with the log, and an error may pass.
	if e.page.err != nil || e.page.next == head {
		delete(p.byKey, e.key)
		return
	}
	e.el = p.recent.PushFront(e)
	for p.bytes += e.size(); p.bytes > pageBudget; {
		p.evict(p.recent.Back())
	}
}

func (e *pageEntry) size() int { return len(e.page.bytes) + 300 }

func (p *pages) evict(el *list.Element) {
	e := p.recent.Remove(el).(*pageEntry)
	delete(p.byKey, e.key)
	p.bytes -= e.size()
}

// forget drops all pages: events were deleted.
func (p *pages) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.recent.Len() > 0 {
		p.evict(p.recent.Back())
	}
}

func readPage(log eventlog.Log, f *feed, place, head eventlog.ID) page {
	pg := page{next: place}
	scanned := 0
	q := eventlog.Query{Topics: f.sel.topics(), UpTo: head, Match: func(e *eventlog.Event) bool {
		scanned++
		return f.wants(e) || scanned >= pageScan
	}}
	for e, err := range log.Read(context.Background(), place, q) {
		if err != nil {
			var trimmed *eventlog.ErrTrimmed
			if errors.As(err, &trimmed) && pg.next != place {
				return pg // what was read is good; the next page begins with the gap
			}
			pg.err = err
			return pg
		}
		pg.next = e.ID
		if !f.wants(e) {
			return pg
		}
		pg.bytes = appendWire(pg.bytes, e, f.key.envelope)
		pg.last = e.ID
		if len(pg.bytes) >= pageBytes || e.ID.Lo%pageCut == 0 {
			return pg
		}
	}
	pg.next = head
	return pg
}
