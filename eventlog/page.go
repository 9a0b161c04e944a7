package eventlog

import (
	"context"
	"errors"
	"iter"
)

// A PageFunc reads one page of a log. Its methods implement [Log].Read, Tail and Delete
// for the engine. It returns the next events after a position, up to q.UpTo. It may use
// the hints q.Topics and q.PublisherID or ignore them; the caller applies q.Match and
// q.Limit. next is the position to continue from, and equals after at the end. grown is
// closed when the log has more events.
type PageFunc func(ctx context.Context, after ID, q Query) (page []*Event, next ID, grown <-chan struct{}, err error)

// Read implements [Log].Read. It holds no lock or other resource between pages, so a
// slow reader blocks nobody.
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

// Tail implements [Log].Tail.
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

// deleteBatch is how many events Delete removes at once. It is small, because publishers
// may have to wait for each batch.
const deleteBatch = 256

// Delete implements [Log].Delete for a log with the current bounds b. remove removes
// events and returns how many of them were still there. Events that retention drops in
// the meantime need no deletion and are not counted.
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
		var trimmed *TrimmedError
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
		left -= min(left, len(batch)) // stays 0, which is no limit
	}
}

// collect returns the events that Read yields, including those before an error.
func (p PageFunc) collect(ctx context.Context, after ID, q Query) (events []*Event, err error) {
	for e, err := range p.Read(ctx, after, q) {
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
	return events, nil
}
