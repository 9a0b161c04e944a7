package disklog

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// Newest walks a topic's index from its end.
func (l *Log) Newest(ctx context.Context, topic string, n int, match func(*eventlog.Event) bool) ([]*eventlog.Event, error) {
	done, err := l.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	at, tip := l.shown()
	var found []*eventlog.Event
	for e, err := range l.backward(topic, at.origin, tip) {
		if err != nil {
			return nil, fmt.Errorf("disklog: newest: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(found) == n {
			break
		}
		if match == nil || match(e) {
			found = append(found, e)
		}
	}
	slices.Reverse(found)
	return found, nil
}

// shown returns the state and the newest position that readers may see.
func (l *Log) shown() (at state, tip uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.at, l.tip
}

// backward yields the events of a topic in (origin, to], newest first.
func (l *Log) backward(topic string, origin, to uint64) iter.Seq2[*eventlog.Event, error] {
	return func(yield func(*eventlog.Event, error) bool) {
		for at, err := range l.indexed(topicSpace, topic, origin, to, (*pebble.Iterator).Last, (*pebble.Iterator).Prev) {
			var e *eventlog.Event
			if err == nil {
				e, err = l.event(at)
			}
			if err == nil && (e == nil || !slices.Contains(e.Topics, topic)) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// indexed yields the positions in (origin, to] that an index lists for a name, in the
// order given by first and next.
func (l *Log) indexed(space byte, name string, origin, to uint64, first, next func(*pebble.Iterator) bool) iter.Seq2[uint64, error] {
	return func(yield func(uint64, error) bool) {
		h := hashOf(name)
		it, err := l.db.NewIter(&pebble.IterOptions{
			LowerBound: indexKey(nil, space, h, origin+1),
			UpperBound: indexKey(nil, space, h, to+1),
		})
		if err != nil {
			yield(0, err)
			return
		}
		for ok := first(it); ok; ok = next(it) {
			if !yield(position(it.Key()), nil) {
				_ = it.Close()
				return
			}
		}
		if err := it.Close(); err != nil {
			yield(0, err)
		}
	}
}

// At implements [eventlog.Log] by a binary search, because times never decrease.
func (l *Log) At(ctx context.Context, t time.Time) (eventlog.ID, error) {
	done, err := l.use(ctx)
	if err != nil {
		return eventlog.ID{}, err
	}
	defer done()
	for {
		at, _ := l.shown()
		if at.trimmed != 0 && !t.After(time.Unix(0, at.trimmed)) {
			return eventlog.ID{}, &eventlog.TrimmedError{Origin: l.id(at.origin)}
		}
		place, err := l.before(t, at.origin, at.last)
		if err != nil {
			return eventlog.ID{}, fmt.Errorf("disklog: at: %w", err)
		}
		if now, _ := l.shown(); now.origin == at.origin { // retention has dropped nothing meanwhile
			return l.id(place), nil
		}
	}
}

// before returns origin, or the position of the last event before time t.
func (l *Log) before(t time.Time, origin, last uint64) (_ uint64, err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: eventKey(nil, origin+1), UpperBound: eventKey(nil, last+1)})
	if err != nil {
		return 0, err
	}
	defer func() { err = closeIter(it, err) }()
	// Events up to low are before t; those after high are not.
	low, high := origin, last
	for low < high {
		middle := low + (high-low)/2 // is less than high, so the loop ends
		if !it.SeekGE(eventKey(nil, middle+1)) {
			high = middle
			continue
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return 0, err
		}
		nanos, err := stamped(value)
		if err != nil {
			return 0, err
		}
		if p := position(it.Key()); time.Unix(0, nanos).Before(t) {
			low = p
		} else {
			high = middle
		}
	}
	return low, nil
}

// ByPublisherID implements [eventlog.Log].
func (l *Log) ByPublisherID(ctx context.Context, id string) (eventlog.ID, error) {
	done, err := l.use(ctx)
	if err != nil {
		return eventlog.ID{}, err
	}
	defer done()
	at, tip := l.shown()
	for p, err := range l.indexed(publisherSpace, id, at.origin, tip, (*pebble.Iterator).First, (*pebble.Iterator).Next) {
		var e *eventlog.Event
		if err == nil {
			e, err = l.event(p)
		}
		if err != nil {
			return eventlog.ID{}, fmt.Errorf("disklog: by publisher's id: %w", err)
		}
		if e == nil { // a tombstone, unless retention has dropped the event meanwhile
			at, _ = l.shown()
		}
		if e == nil && p > at.origin || e != nil && e.PublisherID == id {
			return l.id(p), nil
		}
	}
	return eventlog.ID{}, eventlog.ErrNotFound
}

// Bounds implements [eventlog.Log].
func (l *Log) Bounds(ctx context.Context) (eventlog.Bounds, error) {
	done, err := l.use(ctx)
	if err != nil {
		return eventlog.Bounds{}, err
	}
	defer done()
	at, _ := l.shown()
	return eventlog.Bounds{
		Origin: l.id(at.origin),
		Last:   l.id(max(at.last, at.origin)),
		Events: at.events,
		Bytes:  at.bytes,
	}, nil
}
