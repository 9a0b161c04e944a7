package hub

import (
	"container/list"
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/pace"
	"github.com/tidings-sse/tidings/topic"
)

// pages reads the log for streams that catch up. It limits how many reads run at a time,
// so that live delivery does not suffer, and reads each page once for all streams at the
// same position.
type pages struct {
	ctx   context.Context
	log   eventlog.Log
	live  *pace.Activity
	bans  *bans
	short chan struct{}    // slots for reads that are expected to be short, see beginRead
	slots [2]chan struct{} // [0] for selectors that are fast to match, [1] for others
	lists [2]chan struct{} // likewise, for listing topics
	fills sync.WaitGroup

	mu     sync.Mutex
	byFeed map[*feed]map[eventlog.ID]*pageEntry
	recent list.List     // of *pageEntry, the latest used first: the cache
	held   *budget.Share // bytes of the pages in recent, and of those that streams use
	taken  atomic.Int64  // bytes of the pages that streams use; changed with mu held
	left   sync.Cond     // on mu; signalled when the last stream leaves a page
}

type pageEntry struct {
	feed    *feed
	place   eventlog.ID
	head    eventlog.ID   // the page ends there at the latest; zero if ids are given
	ids     []eventlog.ID // if not empty, the page holds these events for one stream, instead of all after place
	banned  *banned       // the bans in force when it was requested; the page is valid only under these
	page    page          // written before done is set
	done    atomic.Bool   // page has been read
	waiting []*Stream     // streams that wait for the page or send from it
	el      *list.Element // in recent; nil: not cached

	abandon context.CancelFunc // ends the wait for a slot
}

func newPages(ctx context.Context, log eventlog.Log, live *pace.Activity, b *bans, held *budget.Share) *pages {
	p := &pages{
		ctx:    ctx,
		log:    log,
		live:   live,
		bans:   b,
		slots:  [2]chan struct{}{make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1)), make(chan struct{}, 1)},
		short:  make(chan struct{}, max(runtime.GOMAXPROCS(0)/2, 1)),
		lists:  [2]chan struct{}{make(chan struct{}, 2), make(chan struct{}, 1)},
		byFeed: map[*feed]map[eventlog.ID]*pageEntry{},
		held:   held,
	}
	p.left.L = &p.mu
	return p
}

// costly is how many passes over a topic selectors may need before they count as slow.
// Slow selectors have slots of their own, so that other reads do not wait for them.
const costly = 64

// begin waits for a slot to read the log for sel, and returns a pace to read at. The
// caller must call its end method, which releases the slot. The error is ctx's.
func (p *pages) begin(ctx context.Context, sel *topic.Selectors) (*pace.Pace, error) {
	slow := sel.Cost() > costly
	slot := p.slots[0]
	if slow {
		slot = p.slots[1]
	}
	select {
	case slot <- struct{}{}:
		takesLong := slow || p.bans.now.Load().cost() > costly
		return p.live.Begin(takesLong, slot), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// searchRests is how many times as long as it has worked a search rests while events are
// being published. A client that asks for one waits for an answer; a stream that catches
// up falls further behind.
const searchRests = 3

// search does what begin does, for work that goes through topics, streams or feeds.
func (p *pages) search(ctx context.Context, sel *topic.Selectors) (*pace.Pace, error) {
	pace, err := p.begin(ctx, sel)
	if err == nil {
		pace.SlowDown(searchRests)
	}
	return pace, err
}

// nearEnd is how many positions before the end of the log a read may begin that is
// expected to be short, unless it is of exact topics: for those the log has an index.
const nearEnd = 8192

// cheap is how many passes over a topic selectors may need, with the bans, for a read to
// be short.
const cheap = 16

// beginRead waits for a slot to read a page. A stream that has only just fallen behind
// misses a few events, which the log usually has in memory. Its read must not wait for
// those of streams that have much to read or read large events, since the stream falls
// further behind meanwhile. So reads that look short have slots of their own. They go on
// among the others once they have looked at many events, or at a large one.
func (p *pages) beginRead(ctx context.Context, e *pageEntry) (*pace.Pace, error) {
	short := len(e.ids) == 0 && e.feed.sel.Cost()+p.bans.now.Load().cost() <= cheap &&
		(!e.feed.sel.IsOpen() || e.place.Epoch == e.head.Epoch && e.head.Lo-e.place.Lo <= nearEnd)
	if !short {
		return p.beginLong(ctx, e)
	}
	select {
	case p.short <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return p.live.BeginShort(p.short, func() (*pace.Pace, error) { return p.beginLong(ctx, e) }), nil
}

// beginLong waits until the pages in use leave room for another, and for a slot.
func (p *pages) beginLong(ctx context.Context, e *pageEntry) (*pace.Pace, error) {
	for {
		if !p.wanted(ctx) {
			return nil, context.Canceled
		}
		pace, err := p.begin(ctx, &e.feed.sel)
		if err != nil {
			return nil, err
		}
		if p.taken.Load() <= p.held.Most() {
			return pace, nil
		}
		pace.End() // others have read pages meanwhile
	}
}

// list waits for a turn to list topics. The caller must call done. These turns are
// separate from the slots for reading the log. The error is ctx's.
func (p *pages) list(ctx context.Context, sel *topic.Selectors) (done func(), err error) {
	turn := p.lists[0]
	if sel.Cost() > costly {
		turn = p.lists[1]
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
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
// done yet, st is woken once it is. Either way st must leave the page later.
func (p *pages) get(f *feed, place, head eventlog.ID, st *Stream) *pageEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byFeed[f][place]
	switch {
	case e == nil:
		e = &pageEntry{feed: f, place: place, head: head, banned: p.bans.now.Load()}
		if p.byFeed[f] == nil {
			p.byFeed[f] = map[eventlog.ID]*pageEntry{}
		}
		p.byFeed[f][place] = e
		p.start(e)
	case e.el != nil:
		p.recent.MoveToFront(e.el)
	}
	p.take(e, st)
	return e
}

// cached returns the page after position at, or nil unless it is cached and contains what
// follows place.
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

// recall returns a page of the events with the given IDs, in log order, for st alone. As
// with get, st is woken once the page is done, and must leave it.
func (p *pages) recall(f *feed, ids []eventlog.ID, st *Stream) *pageEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &pageEntry{feed: f, ids: ids, banned: p.bans.now.Load()}
	p.take(e, st)
	p.start(e)
	return e
}

// made returns a page of the given events, in log order, for st alone. It is done at
// once.
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
	if len(e.waiting) == 0 && e.done.Load() { // a page that is still being read is counted by filled
		p.taken.Add(e.size())
	}
	e.waiting = append(e.waiting, st)
}

func (p *pages) leave(e *pageEntry, st *Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.waiting = slices.DeleteFunc(e.waiting, func(other *Stream) bool { return other == st }); len(e.waiting) > 0 {
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

// start starts to read a page. The read belongs to no stream: if the first one closes,
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
	for _, st := range p.filled(e) {
		st.wake()
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
func (p *pages) filled(e *pageEntry) []*Stream {
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
func (p *pages) forgetFeed(f *feed) {
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

func (p *pages) forgetPages(f *feed) {
	for _, e := range p.byFeed[f] {
		if e.el != nil {
			p.uncache(e)
		}
	}
	delete(p.byFeed, f)
}
