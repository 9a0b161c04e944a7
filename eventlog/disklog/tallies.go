package disklog

import (
	"context"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// Topics yields the tallies. What is being appended just now may be in them.
func (l *Log) Topics(ctx context.Context) iter.Seq2[eventlog.Topic, error] {
	return func(yield func(eventlog.Topic, error) bool) {
		if at, _ := l.shown(); at.tallied < at.last {
			j := newJob()
			j.change = func(w *writer) error { w.settling = true; return nil }
			if err := l.do(ctx, j); err != nil {
				yield(eventlog.Topic{}, err)
				return
			}
		}
		for next := []byte{tallySpace}; next != nil; {
			page, after, err := l.tallyPage(ctx, next)
			for _, t := range page {
				if t.events == 0 {
					continue
				}
				if !yield(eventlog.Topic{Name: t.topic, Events: t.events, Bytes: t.bytes, Last: l.id(t.last)}, nil) {
					return
				}
			}
			if err != nil {
				yield(eventlog.Topic{}, err)
				return
			}
			next = after
		}
	}
}

// tallyPage returns the tallies from a key on, and the key to go on from; nil
// is the end.
func (l *Log) tallyPage(ctx context.Context, from []byte) (page []tally, next []byte, err error) {
	done, err := l.use(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{tallySpace + 1}})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = closeIter(it, err) }()
	for ok := it.First(); ok; ok = it.Next() {
		if len(page) == pageEvents {
			return page, slices.Clone(it.Key()), nil
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, nil, err
		}
		t, err := decodeTally(value)
		if err != nil {
			return nil, nil, err
		}
		page = append(page, t)
	}
	return page, nil, nil
}

// sweepTallies removes those of topics of which nothing is left.
func (l *Log) sweepTallies(ctx context.Context) error {
	for next := []byte{tallySpace}; next != nil; {
		page, after, err := l.tallyPage(ctx, next)
		if err != nil {
			return err
		}
		page = slices.DeleteFunc(page, func(t tally) bool { return t.events != 0 })
		if len(page) > 0 {
			j := newJob()
			j.change = func(w *writer) error { return w.sweep(page) }
			if err := l.do(ctx, j); err != nil {
				return err
			}
		}
		next = after
	}
	return nil
}

// unsettled is how many events may be in no tally in the store: a topic's is
// written once for all of its events among them, and opening a log that was not
// closed reads them again, which takes some 50 ms.
const unsettled = 1 << 15

// settle puts what has been counted since into the batch. Whatever takes an event
// away has it done in the same commit: recount could not count that event.
func (w *writer) settle() {
	for h, t := range w.tallies {
		_ = w.batch.Merge(w.key(hashKey(w.scratch[:0], tallySpace, h)), t.encode(), nil)
	}
	clear(w.tallies)
	w.at.tallied = w.at.last
}

// recount counts the events that are in no tally yet.
func (l *Log) recount() (_ map[hash]tally, err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: eventKey(nil, l.at.tallied+1), UpperBound: eventKey(nil, l.at.last+1)})
	if err != nil {
		return nil, err
	}
	defer func() { err = closeIter(it, err) }()
	counts := map[hash]tally{}
	for ok := it.First(); ok; ok = it.Next() {
		e, err := l.decodeAt(it)
		if err != nil {
			return nil, err
		}
		size := sizeOf(len(it.Value()), &e.Record)
		for i, t := range e.Topics {
			count(counts, e.Topics, i, hashOf(t), tally{t, 1, size, e.ID.Lo})
		}
	}
	return counts, nil
}

// count adds t to the i-th of topics, unless it was named before.
func count(counts map[hash]tally, topics []string, i int, h hash, t tally) {
	if !slices.Contains(topics[:i], topics[i]) {
		counts[h] = counts[h].then(t)
	}
}

// sweep removes those tallies that are nothing still. What the group, or one
// before it, adds comes after, and stays.
func (w *writer) sweep(page []tally) error {
	w.settling = true
	for _, t := range page {
		key := hashKey(nil, tallySpace, hashOf(t.topic))
		now, err := get(w.l.db, key, decodeTally)
		if err != nil {
			return err
		}
		if now.events == 0 {
			_ = w.batch.Delete(key, nil)
		}
	}
	return nil
}
