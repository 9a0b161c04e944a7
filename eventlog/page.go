package eventlog

import (
	"context"
	"errors"
	"iter"
)

// A PageFunc is what an engine that reads page by page has to bring along: its
// Read, Tail and Delete are then the methods here. It returns the next events
// after a place as far as q.UpTo, whether they match or not, and with q.Topics
// or q.PublisherID others or not; the place to go on from, which is the same at
// the end; and a channel that is closed when there is more.
type PageFunc func(ctx context.Context, after ID, q Query) (page []*Event, next ID, grown <-chan struct{}, err error)

// Read is the engine's [Log].Read. Nothing is held between pages, so that a slow
// reader holds up nobody.
func (p PageFunc) Read(ctx context.Context, after ID, q Query) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		left := q.Limit
		for {
			page, next, _, err := p(ctx, after, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range page {
				if q.Match != nil && !q.Match(e) {
					continue
				}
				if !yield(e, nil) {
					return
				}
				if left--; left == 0 {
					return
				}
			}
			if next == after {
				return
			}
			after = next
		}
	}
}

// Tail is the engine's [Log].Tail.
func (p PageFunc) Tail(ctx context.Context, after ID) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		for {
			page, next, grown, err := p(ctx, after, Query{})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if next == after {
				select {
				case <-grown:
				case <-ctx.Done():
				}
			}
			after = next
		}
	}
}

// deleteBatch is how many events Delete has removed at once: publishers may have
// to wait for that.
const deleteBatch = 256

// Delete is the engine's [Log].Delete, of what the log holds by now: remove
// takes the events away and returns how many of them were still there. What
// retention takes meanwhile counts as gone.
func (p PageFunc) Delete(ctx context.Context, b Bounds, after ID, q Query, remove func(context.Context, []*Event) (int, error)) (int, error) {
	if after.IsZero() {
		after = b.Origin
	}
	if q.UpTo.IsZero() || q.UpTo.Compare(b.Last) > 0 {
		q.UpTo = b.Last
	}
	n, left := 0, q.Limit
	for {
		if q.Limit = deleteBatch; left > 0 {
			q.Limit = min(left, deleteBatch)
		}
		batch, err := p.collect(ctx, after, q)
		removed, removing := remove(ctx, batch)
		n += removed
		var trimmed *ErrTrimmed
		switch {
		case removing != nil:
			return n, removing
		case errors.As(err, &trimmed):
			after = trimmed.Origin
		case err != nil || len(batch) < q.Limit || len(batch) == left:
			return n, err
		default:
			after = batch[len(batch)-1].ID
		}
		left -= min(left, len(batch)) // 0 is no limit, and stays
	}
}

// collect returns what Read yields, before an error too.
func (p PageFunc) collect(ctx context.Context, after ID, q Query) (events []*Event, err error) {
	for e, err := range p.Read(ctx, after, q) {
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
	return events, nil
}
