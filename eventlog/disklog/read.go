package disklog

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// A page is what a reader reads at once. It holds no resources between pages.
const (
	pageEvents = 256
	pageBytes  = 1 << 20
)

// Read implements [eventlog.Log].
func (l *Log) Read(ctx context.Context, after eventlog.ID, q eventlog.Query) iter.Seq2[*eventlog.Event, error] {
	return eventlog.PageFunc(l.page).Read(ctx, after, q)
}

// Tail implements [eventlog.Log].
func (l *Log) Tail(ctx context.Context, after eventlog.ID) iter.Seq2[*eventlog.Event, error] {
	return eventlog.PageFunc(l.page).Tail(ctx, after)
}

// page implements [eventlog.PageFunc].
func (l *Log) page(ctx context.Context, after eventlog.ID, q eventlog.Query) (_ []*eventlog.Event, next eventlog.ID, grown <-chan struct{}, _ error) {
	done, err := l.use(ctx)
	if err != nil {
		return nil, after, nil, err
	}
	defer done()
	l.mu.RLock()
	grown = l.grown
	end, life := l.tip, l.life
	if !q.UpTo.IsZero() {
		end = min(end, l.upTo(q.UpTo))
	}
	if err := l.check(after); err != nil || after.Lo >= end {
		l.mu.RUnlock()
		return nil, after, grown, err
	}
	space, names := hinted(q)
	indexed := len(names) > 0 && end-after.Lo > pageEvents // the index skips other topics' events
	if l.window.holds(after.Lo) && !indexed {
		page, to := l.window.page(after.Lo, end, pageEvents)
		next = l.id(to) // under the lock: a later term may give the position another ID
		l.mu.RUnlock()
		return page, next, grown, nil
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
	// Retention moves the origin before it removes events. If the origin has not
	// passed after by now, no event was missing.
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.check(after); err != nil {
		return nil, after, nil, err
	}
	if l.life != life {
		return nil, after, nil, eventlog.ErrAhead // as for a moment, while the copy was being cut
	}
	return page, l.id(to), grown, nil
}

// scan reads a page of the events after after, up to end.
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

// hinted returns the index that q hints at, and the names in it that together list all
// events that q asks for. It returns no names if q gives no hint.
func hinted(q eventlog.Query) (space byte, names []string) {
	if q.PublisherID != "" {
		return publisherSpace, []string{q.PublisherID}
	}
	return topicSpace, q.Topics
}

// indexPage merges the index entries of names. The cost of a page depends on what it
// returns, not on what other names hold.
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
				to = p // this name may have more entries
				break
			}
		}
	}
	slices.Sort(at)
	return l.eventsAt(slices.Compact(at), to)
}

// eventsAt reads the events at ascending positions up to last, except those that are
// gone.
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

// A reader reads single events at ascending positions up to last. Its iterator only
// moves forward and keeps the current block. Separate lookups would find and decompress
// the block again for each event, at several times the cost.
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

// close closes the iterator. It returns err or the iterator's error.
func (r *reader) close(err error) error {
	if r.it == nil {
		return err
	}
	return closeIter(r.it, err)
}

// recent returns the event at a position in the window, or nil if it was deleted. ok
// reports whether the window includes the position.
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

// decodeAt returns the event at the iterator's current key.
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

// closeIter closes the iterator. It returns err or the iterator's error.
func closeIter(it *pebble.Iterator, err error) error {
	if closing := it.Close(); err == nil {
		return closing
	}
	return err
}
