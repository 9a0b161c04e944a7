package disklog

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// A page is what a reader takes at once: it holds on to nothing between pages.
const (
	pageEvents = 256
	pageBytes  = 1 << 20
)

// Read yields what is there, page by page.
func (l *Log) Read(ctx context.Context, after eventlog.ID, q eventlog.Query) iter.Seq2[*eventlog.Event, error] {
	return eventlog.PageFunc(l.page).Read(ctx, after, q)
}

// Tail yields what is there and then what comes.
func (l *Log) Tail(ctx context.Context, after eventlog.ID) iter.Seq2[*eventlog.Event, error] {
	return eventlog.PageFunc(l.page).Tail(ctx, after)
}

// page is an [eventlog.PageFunc].
func (l *Log) page(ctx context.Context, after eventlog.ID, q eventlog.Query) (_ []*eventlog.Event, next eventlog.ID, grown <-chan struct{}, _ error) {
	done, err := l.use(ctx)
	if err != nil {
		return nil, after, nil, err
	}
	defer done()
	l.mu.RLock()
	grown = l.grown
	end := l.tip
	if !q.UpTo.IsZero() {
		end = min(end, q.UpTo.Lo)
	}
	if err := l.check(after); err != nil || after.Lo >= end {
		l.mu.RUnlock()
		return nil, after, grown, err
	}
	space, names := hinted(q)
	indexed := len(names) > 0 && end-after.Lo > pageEvents // the index knows where they are among others'
	if l.window.holds(after.Lo) && !indexed {
		page, to := l.window.page(after.Lo, end, pageEvents)
		l.mu.RUnlock()
		return page, l.id(to), grown, nil
	}
	l.mu.RUnlock()

	var page []*eventlog.Event
	var to uint64
	if len(names) > 0 {
		page, to, err = l.indexPage(after.Lo, end, space, names)
	} else {
		page, to, err = l.scan(after.Lo, end)
	}
	if err != nil {
		return nil, after, nil, fmt.Errorf("disklog: read: %w", err)
	}
	// Retention moves the origin before it takes anything away: if it has not
	// passed the place by now, nothing was missing.
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.check(after); err != nil {
		return nil, after, nil, err
	}
	return page, l.id(to), grown, nil
}

// check needs mu.
func (l *Log) check(after eventlog.ID) error {
	switch {
	case after.Epoch != l.epoch:
		return eventlog.ErrEpoch
	case after.Hi != 0 || after.Lo > l.tip:
		return eventlog.ErrAhead
	case after.Lo < l.at.origin:
		return &eventlog.ErrTrimmed{Origin: l.id(l.at.origin)}
	}
	return nil
}

// scan reads a page of what follows after, up to end.
func (l *Log) scan(after, end uint64) (page []*eventlog.Event, to uint64, err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: eventKey(nil, after+1), UpperBound: eventKey(nil, end+1)})
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = closeIter(it, err) }()
	size := 0
	for ok := it.First(); ok; ok = it.Next() {
		e, err := l.decodeAt(it)
		if err != nil {
			return nil, 0, err
		}
		if !isTombstone(&e.Record) {
			page = append(page, e)
			size += len(e.Data)
		}
		if len(page) == pageEvents || size >= pageBytes {
			return page, e.ID.Lo, nil
		}
	}
	return page, end, nil
}

// hinted returns the index and the names in it under which all stands that q asks
// for; no names, if it does not say.
func hinted(q eventlog.Query) (space byte, names []string) {
	if q.PublisherID != "" {
		return publisherSpace, []string{q.PublisherID}
	}
	return topicSpace, q.Topics
}

// indexPage merges what stands under names: what a page costs depends on what it
// returns, not on what others hold.
func (l *Log) indexPage(after, end uint64, space byte, names []string) (_ []*eventlog.Event, to uint64, err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{space}, UpperBound: []byte{space + 1}})
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = closeIter(it, err) }()
	to = end
	each := min(max(16, 2*pageEvents/len(names)), pageEvents)
	var at []uint64
	for _, name := range names {
		h := hashOf(name)
		last := indexKey(nil, space, h, end)
		n := 0
		for ok := it.SeekGE(indexKey(nil, space, h, after+1)); ok && slices.Compare(it.Key(), last) <= 0; ok = it.Next() {
			p := position(it.Key())
			if p > to {
				break
			}
			at = append(at, p)
			if n++; n == each {
				to = p // there may be more of this name
				break
			}
		}
	}
	slices.Sort(at)
	return l.eventsAt(slices.Compact(at), to)
}

// eventsAt reads the events at positions, which ascend, up to a last one, as far
// as they are still there.
func (l *Log) eventsAt(at []uint64, last uint64) (page []*eventlog.Event, to uint64, err error) {
	r := &reader{l: l, last: last}
	defer func() { err = r.close(err) }()
	size := 0
	for _, p := range at {
		if p > last {
			break
		}
		e, err := r.event(p)
		if err != nil {
			return nil, 0, err
		}
		if e == nil {
			continue
		}
		page = append(page, e)
		if size += len(e.Data); len(page) == pageEvents || size >= pageBytes {
			return page, p, nil
		}
	}
	return page, last, nil
}

// A reader reads single events at positions that ascend up to a last one. Its
// iterator only moves on, and keeps the block that it is in: looking each event
// up by itself has it found and unpacked anew, at several times the cost.
type reader struct {
	l    *Log
	last uint64
	it   *pebble.Iterator // nil until an event is not in the window
	key  []byte
}

// event returns the event at a position, or nil if it is gone.
func (r *reader) event(at uint64) (_ *eventlog.Event, err error) {
	if e, ok := r.l.recent(at); ok {
		return e, nil
	}
	r.key = eventKey(r.key[:0], at)
	if r.it == nil {
		r.it, err = r.l.db.NewIter(&pebble.IterOptions{LowerBound: r.key, UpperBound: eventKey(nil, r.last+1)})
		if err != nil {
			return nil, err
		}
	}
	if !r.it.SeekGE(r.key) || position(r.it.Key()) != at {
		return nil, nil
	}
	e, err := r.l.decodeAt(r.it)
	if err != nil || isTombstone(&e.Record) {
		return nil, err
	}
	return e, nil
}

// close returns err or what was wrong with the reading.
func (r *reader) close(err error) error {
	if r.it == nil {
		return err
	}
	return closeIter(r.it, err)
}

// recent returns the event at a position in the window, nil if it was deleted.
func (l *Log) recent(at uint64) (e *eventlog.Event, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.window.get(at)
}

// event returns the event at a position, or nil if it is gone.
func (l *Log) event(at uint64) (*eventlog.Event, error) {
	if e, ok := l.recent(at); ok {
		return e, nil
	}
	e, err := get(l.db, eventKey(nil, at), func(v []byte) (*eventlog.Event, error) { return decode(v, l.id(at)) })
	if err != nil {
		return nil, fmt.Errorf("event %d: %w", at, err)
	}
	if e == nil || isTombstone(&e.Record) {
		return nil, nil
	}
	return e, nil
}

// decodeAt returns the event that it stands at.
func (l *Log) decodeAt(it *pebble.Iterator) (*eventlog.Event, error) {
	at := position(it.Key())
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, err
	}
	e, err := decode(value, l.id(at))
	if err != nil {
		return nil, fmt.Errorf("event %d: %w", at, err)
	}
	return e, nil
}

// closeIter returns err or what was wrong with the iteration.
func closeIter(it *pebble.Iterator, err error) error {
	if closing := it.Close(); err == nil {
		return closing
	}
	return err
}
