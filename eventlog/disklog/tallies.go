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

// Topics yields the tallies in the store together with the pending changes. It writes
// nothing, so it works while the disk is full. Events that are being appended or deleted
// at the moment may or may not be included.
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
				if more, ok := pending[h]; ok && page.tallied == tallied { // otherwise pending was settled meanwhile
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
		for _, t := range pending { // topics that have no tally in the store yet
			if !give(t) {
				return
			}
		}
	}
}

// A tallyPage holds some tallies as of one moment.
type tallyPage struct {
	tallies []tally
	tallied uint64 // state.tallied at that moment
	next    []byte // the key to continue from; nil at the end
}

// tallyPage returns the tallies from a key on.
func (l *Log) tallyPage(ctx context.Context, from []byte) (page tallyPage, err error) {
	done, err := l.use(ctx)
	if err != nil {
		return page, err
	}
	defer done()
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: from}) // sees tallies and state as of the same moment
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

// sweepTallies removes the tallies of topics that have no events.
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

// unsettled is how many events may be missing from the tallies in the store. A topic's
// tally is written once for all its events among them. Opening a log that was not closed
// reads these events again, which takes about 50 ms.
const unsettled = 1 << 15

// Pending tallies may take maxNames bytes; each topic counts its name and tallyBytes.
const (
	maxNames   = 8 << 20
	tallyBytes = 100
)

// settle adds the pending tallies, and then the group's changes, to the batch. A commit
// that removes events must settle, because recount could not count those events.
func (w *writer) settle() {
	for _, changes := range []map[hash]tally{w.l.pending, w.tallies} { // only the writer changes pending
		for h, t := range changes {
			_ = w.batch.Merge(w.key(hashKey(w.scratch[:0], tallySpace, h)), t.encode(), nil)
		}
	}
	w.at.tallied, w.names, w.loose = w.at.last, 0, 0
}

// recount counts the events that no tally in the store includes.
func (l *Log) recount() (_ map[hash]tally, err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: eventKey(nil, l.at.tallied+1), UpperBound: eventKey(nil, l.at.last+1)})
	if err != nil {
		return nil, err
	}
	defer func() { err = closeIter(it, err) }()
	counts := map[hash]tally{}
	l.loose = 0
	for ok := it.First(); ok; ok = it.Next() {
		e, err := l.decodeAt(it)
		if err != nil {
			return nil, err
		}
		l.loose++
		size := sizeOf(len(it.Value()), &e.Record)
		for i, t := range e.Topics {
			h := hashOf(t)
			name, known := counts[h]
			if !known {
				name.topic = strings.Clone(t) // so as not to keep the event alive
			}
			count(counts, e.Topics, i, h, tally{name.topic, 1, size, e.ID.Lo})
		}
	}
	return counts, nil
}

// count adds t to the tally of the i-th topic, unless topics lists it before.
func count(counts map[hash]tally, topics []string, i int, h hash, t tally) {
	if !slices.Contains(topics[:i], topics[i]) {
		counts[h] = counts[h].then(t)
	}
}

// sweep removes those tallies that still have no events. Changes by this group or an
// earlier one are added to the batch afterwards, and stay.
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
