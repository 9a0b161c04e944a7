package feed

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/pace"
)

// pages reads the log for cursors that catch up, each page once for all cursors at the
// same position.
type pages struct {
	ctx   context.Context
	log   eventlog.Log
	slots *Slots
	bans  *atomic.Pointer[Banned]
	fills sync.WaitGroup

	mu     sync.Mutex
	byFeed map[*Feed]map[eventlog.ID]*pageEntry
	recent list.List     // of *pageEntry, the latest used first: the cache
	held   *budget.Share // bytes of the pages in recent, and of those that streams use
	taken  atomic.Int64  // bytes of the pages that streams use; changed with mu held
	left   sync.Cond     // on mu; signalled when the last stream leaves a page
}

type pageEntry struct {
	feed    *Feed
	place   eventlog.ID
	head    eventlog.ID   // the page ends there at the latest; zero if ids are given
	ids     []eventlog.ID // if not empty, the page holds these events for one stream, instead of all after place
	banned  *Banned       // the bans in force when it was requested; the page is valid only under these
	page    page          // written before done is set
	done    atomic.Bool   // page has been read
	waiting []*Cursor     // cursors that wait for the page or send from it
	el      *list.Element // in recent; nil: not cached

	abandon context.CancelFunc // ends the wait for a slot
}

func newPages(ctx context.Context, log eventlog.Log, slots *Slots, held *budget.Share) *pages {
	p := &pages{
		ctx:    ctx,
		log:    log,
		slots:  slots,
		bans:   slots.bans,
		byFeed: map[*Feed]map[eventlog.ID]*pageEntry{},
		held:   held,
	}
	p.left.L = &p.mu
	return p
}

// beginRead waits for a slot to read a page. A stream that has only just fallen behind
// misses a few events, which the log usually has in memory. Its read must not wait for
// those of streams that have much to read or read large events, since the stream falls
// further behind meanwhile. So reads that look short have slots of their own. They go on
// among the others once they have looked at many events, or at a large one.
func (p *pages) beginRead(ctx context.Context, e *pageEntry) (*pace.Pace, error) {
	if len(e.ids) > 0 || !p.slots.isShort(&e.feed.sel, e.place, e.head) {
		return p.beginLong(ctx, e)
	}
	select {
	case p.slots.short <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return p.slots.live.BeginShort(p.slots.short, func() (*pace.Pace, error) { return p.beginLong(ctx, e) }), nil
}

// beginLong waits until the pages in use leave room for another, and for a slot.
func (p *pages) beginLong(ctx context.Context, e *pageEntry) (*pace.Pace, error) {
	for {
		if !p.wanted(ctx) {
			return nil, context.Canceled
		}
		pace, err := p.slots.Begin(ctx, &e.feed.sel)
		if err != nil {
			return nil, err
		}
		if p.taken.Load() <= p.held.Most() {
			return pace, nil
		}
		pace.End() // others have read pages meanwhile
	}
}

// close waits for the reads in progress. Cancelling the hub's context has ended them.
func (p *pages) close() {
	p.mu.Lock()
	p.left.Broadcast()
	p.mu.Unlock()
	p.fills.Wait()
}

// get returns the page of f after a position, read up to head at most. If the page is not
// done yet, c is woken once it is. Either way c must leave the page later.
func (p *pages) get(f *Feed, place, head eventlog.ID, c *Cursor) *pageEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byFeed[f][place]
	switch {
	case e == nil:
		e = &pageEntry{feed: f, place: place, head: head, banned: p.bans.Load()}
		if p.byFeed[f] == nil {
			p.byFeed[f] = map[eventlog.ID]*pageEntry{}
		}
		p.byFeed[f][place] = e
		p.start(e)
	case e.el != nil:
		p.recent.MoveToFront(e.el)
	}
	p.take(e, c)
	return e
}

// cached returns the page after position at, or nil unless it is cached and contains what
// follows place.
func (p *pages) cached(f *Feed, at, place eventlog.ID, c *Cursor) *pageEntry {
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
	p.take(e, c)
	return e
}

// recall returns a page of the events with the given IDs, in log order, for c alone. As
// with get, c is woken once the page is done, and must leave it.
func (p *pages) recall(f *Feed, ids []eventlog.ID, c *Cursor) *pageEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &pageEntry{feed: f, ids: ids, banned: p.bans.Load()}
	p.take(e, c)
	p.start(e)
	return e
}

// made returns a page of the given events, in log order, for c alone. It is done at
// once.
func (p *pages) made(f *Feed, events []*eventlog.Event, c *Cursor) *pageEntry {
	e := &pageEntry{feed: f, banned: p.bans.Load()}
	for _, event := range events {
		if f.Wants(event, e.banned) {
			e.page.add(f, event)
		}
	}
	e.page.next = events[len(events)-1].ID
	e.done.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held.Add(e.size())
	p.take(e, c)
	return e
}

func (p *pages) take(e *pageEntry, c *Cursor) {
	if len(e.waiting) == 0 && e.done.Load() { // a page that is still being read is counted by filled
		p.taken.Add(e.size())
	}
	e.waiting = append(e.waiting, c)
}

func (p *pages) leave(e *pageEntry, c *Cursor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.waiting = slices.DeleteFunc(e.waiting, func(other *Cursor) bool { return other == c }); len(e.waiting) > 0 {
		return
	}
	p.left.Broadcast()
	if !e.done.Load() { // otherwise its feed stayed in memory until its turn came, and is not counted any more
		p.remove(e)
		e.abandon()
		return
	}
	p.taken.Add(-e.size())
	if e.el == nil {
		p.held.Give(e.size())
	}
}

// crowded reports whether a stream whose peer accepts nothing must leave its page. Pages
// in use by streams may take half of the share, so that there is room for others to
// continue.
func (p *pages) crowded() bool { return p.taken.Load() > p.held.Most()/2 || p.held.Full() }

// start starts to read a page. The read belongs to no cursor: if the first one closes,
// others may still wait for the page. It ends when none does.
func (p *pages) start(e *pageEntry) {
	ctx, cancel := context.WithCancel(p.ctx)
	e.abandon = cancel
	p.fills.Go(func() {
		defer cancel()
		p.fill(ctx, e)
	})
}

func (p *pages) fill(ctx context.Context, e *pageEntry) {
	pace, err := p.beginRead(ctx, e)
	if err != nil { // no stream waits any more, or the hub is closing
		return
	}
	e.page = p.read(e, pace)
	pace.End()
	for _, c := range p.filled(e) {
		c.Wake()
	}
}

// wanted blocks while the pages in use take more than the share allows. It reports
// whether the page is still wanted: abandoning it ends ctx.
func (p *pages) wanted(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ctx.Err() == nil && p.taken.Load() > p.held.Most() {
		p.left.Wait()
	}
	return ctx.Err() == nil
}

// filled caches a page that has been read, unless it would be of no use again, and
// returns the streams that wait for it.
func (p *pages) filled(e *pageEntry) []*Cursor {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.done.Store(true)
	waiting := slices.Clone(e.waiting)
	if len(waiting) > 0 {
		p.taken.Add(e.size())
	}
	switch {
	case p.byFeed[e.feed][e.place] != e: // forget dropped it meanwhile
	case e.page.err != nil || len(e.page.bytes) == 0 || e.page.next == e.head:
		p.remove(e) // a page that ends at the head would grow with the log, and an error may be temporary
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

// size returns about how many bytes the page takes. It does not change once the page has
// been read.
func (e *pageEntry) size() int64 {
	return int64(len(e.page.bytes)+e.page.guards) + int64(len(e.page.marks))*int64(unsafe.Sizeof(mark{})) + 500
}

func (p *pages) evict(e *pageEntry) {
	p.uncache(e)
	p.remove(e)
}

// uncache removes a page from recent. The page stays counted while streams use it.
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
func (p *pages) forgetFeed(f *Feed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetPages(f)
}

// forget drops all pages, including those being read, because events were deleted or bans
// changed.
func (p *pages) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.byFeed {
		p.forgetPages(f)
	}
}

func (p *pages) forgetPages(f *Feed) {
	for _, e := range p.byFeed[f] {
		if e.el != nil {
			p.uncache(e)
		}
	}
	delete(p.byFeed, f)
}
