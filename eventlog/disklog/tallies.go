package disklog

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// Topics yields the tallies, and what is pending with them. It writes nothing, so
// that it can be asked while the disk is full. What is being appended or deleted
// just now may be in them.
func (l *Log) Topics(ctx context.Context) iter.Seq2[eventlog.Topic, error] {
	return func(yield func(eventlog.Topic, error) bool) {
		l.mu.RLock()
		pending, tallied := maps.Clone(l.pending), l.at.tallied
		l.mu.RUnlock()
		give := func(t tally) bool {
			return t.events == 0 || yield(eventlog.Topic{Name: t.topic, Events: t.events, Bytes: t.bytes, Last: l.id(t.last)}, nil)
		}
		for next := []byte{tallySpace}; next != nil; {
			page, err := l.tallyPage(ctx, next)
			for _, t := range page.tallies {
				h := hashOf(t.topic)
				if more, ok := pending[h]; ok && page.tallied == tallied { // else it was settled meanwhile
					t = t.then(more)
				}
				delete(pending, h)
				if !give(t) {
					return
				}
			}
			if err != nil {
				yield(eventlog.Topic{}, err)
				return
			}
			next = page.next
		}
		for _, t := range pending { // topics that are new
			if !give(t) {
				return
			}
		}
	}
}

// A tallyPage is some tallies as they were at one moment.
type tallyPage struct {
	tallies []tally
	tallied uint64 // state's, at that moment
	next    []byte // the key to go on from; nil is the end
}

// tallyPage returns the tallies from a key on.
func (l *Log) tallyPage(ctx context.Context, from []byte) (page tallyPage, err error) {
	done, err := l.use(ctx)
	if err != nil {
		return page, err
	}
	defer done()
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: from}) // which sees tallies and state at one moment
	if err != nil {
		return page, err
	}
	defer func() { err = closeIter(it, err) }()
	for ok := it.First(); ok && it.Key()[0] == tallySpace; ok = it.Next() {
		if len(page.tallies) == pageEvents {
			page.next = slices.Clone(it.Key())
			break
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return page, err
		}
		t, err := decodeTally(value)
		if err != nil {
			return page, err
		}
		page.tallies = append(page.tallies, t)
	}
	if err := it.Error(); err != nil || !it.SeekGE(stateKey) {
		return page, errorOr(errorOr(err, it.Error()), errState)
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return page, err
	}
	var at state
	err = at.decode(value)
	page.tallied = at.tallied
	return page, err
}

// sweepTallies removes those of topics of which nothing is left.
func (l *Log) sweepTallies(ctx context.Context) error {
	for next := []byte{tallySpace}; next != nil; {
		page, err := l.tallyPage(ctx, next)
		if err != nil {
			return err
		}
		empty := slices.DeleteFunc(page.tallies, func(t tally) bool { return t.events != 0 })
		if len(empty) > 0 {
			if err := l.change(ctx, func(w *writer) error { return w.sweep(empty) }); err != nil {
				return err
			}
		}
		next = page.next
	}
	return nil
}

// unsettled is how many events may be in no tally in the store: a topic's is
// written once for all of its events among them, and opening a log that was not
// closed reads them again, which takes some 50 ms.
const unsettled = 1 << 15

// What is pending may take maxNames bytes, of which each topic takes its name and
// tallyBytes.
const (
	maxNames   = 8 << 20
	tallyBytes = 100
)

// settle puts what is pending, and then what the group changes, into the batch.
// Whatever takes an event away has it done in the same commit: recount could not
// count that event.
func (w *writer) settle() {
	for _, changes := range []map[hash]tally{w.l.pending, w.tallies} { // pending is nobody else's to change
		for h, t := range changes {
			_ = w.batch.Merge(w.key(hashKey(w.scratch[:0], tallySpace, h)), t.encode(), nil)
		}
	}
	w.at.tallied, w.names = w.at.last, 0
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
			h := hashOf(t)
			name, known := counts[h]
			if !known {
				name.topic = strings.Clone(t) // and not the event that it is a part of
			}
			count(counts, e.Topics, i, h, tally{name.topic, 1, size, e.ID.Lo})
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
