package disklog

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// verifyEvents is how many events at each end of the log are checked on opening. That
// takes some milliseconds.
const verifyEvents = 1000

// verify reads the log's record of itself and checks it against the oldest and the
// newest events, or against all events if there are few.
func (l *Log) verify() error {
	m, err := get(l.db, metaKey, func(v []byte) (*meta, error) {
		m := new(meta)
		return m, m.decode(v)
	})
	if err != nil || m == nil || m.version != formatVersion || m.epoch != l.manifest.Epoch && m.epoch != l.manifest.Before {
		return fmt.Errorf("the store is not the one that %s describes (%w)", manifestName, errorOr(err, errState))
	}
	found, err := get(l.db, stateKey, func(v []byte) (bool, error) { return true, l.at.decode(v) })
	if err != nil || !found {
		return errorOr(err, errState)
	}
	if l.manifest.Closed && l.manifest.Last != l.at.last {
		return fmt.Errorf("it was closed after event %d but ends with event %d", l.manifest.Last, l.at.last)
	}
	if err := l.verifyValues(); err != nil {
		return err
	}
	l.lineage.Store(newLineage(l.manifest.Epoch))
	all, err := l.verifyEnds()
	if err != nil {
		return err
	}
	if l.pending, err = l.recount(); err != nil || all == nil {
		return err
	}
	return l.verifyCounts(all)
}

func errorOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// verifyEnds checks the events at both ends. It returns all events, or nil if there are
// too many.
func (l *Log) verifyEnds() (_ []*eventlog.Event, err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: eventKey(nil, l.at.origin+1), UpperBound: []byte{eventSpace + 1}})
	if err != nil {
		return nil, err
	}
	defer func() { err = closeIter(it, err) }()
	oldest, err := l.verifySome(it, it.First(), it.Next)
	if err != nil {
		return nil, err
	}
	newest, err := l.verifySome(it, it.Last(), it.Prev)
	if err != nil {
		return nil, err
	}
	slices.Reverse(newest)
	if l.at.last == l.at.origin {
		if len(newest) > 0 {
			return nil, fmt.Errorf("event %d is beyond the end, %d", newest[0].ID.Lo, l.at.last)
		}
		return oldest, nil
	}
	if len(newest) == 0 || newest[len(newest)-1].ID.Lo != l.at.last || newest[len(newest)-1].Time.UnixNano() != l.at.newest {
		return nil, fmt.Errorf("the newest event, %d, is missing", l.at.last)
	}
	if len(oldest) == verifyEvents {
		return nil, nil
	}
	return oldest, nil
}

// verifySome checks up to verifyEvents events in one direction.
func (l *Log) verifySome(it *pebble.Iterator, ok bool, next func() bool) ([]*eventlog.Event, error) {
	var events []*eventlog.Event
	for ; ok && len(events) < verifyEvents; ok = next() {
		e, err := l.decodeAt(it)
		if err != nil {
			return nil, err
		}
		if n := len(events); n > 0 {
			before, after := events[n-1], e
			if before.ID.Lo > after.ID.Lo {
				before, after = after, before
			}
			if after.Time.Before(before.Time) {
				return nil, fmt.Errorf("event %d is older than the one before", after.ID.Lo)
			}
		}
		if err := l.verifyIndexes(e); err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, it.Error()
}

func (l *Log) verifyIndexes(e *eventlog.Event) error {
	at := e.ID.Lo
	keys := make([][]byte, 0, len(e.Topics)+2)
	for _, t := range e.Topics {
		keys = append(keys, indexKey(nil, topicSpace, hashOf(t), at))
	}
	if e.PublisherID != "" {
		keys = append(keys, indexKey(nil, publisherSpace, publisherHash(&e.Record), at))
	}
	if e.Key != "" && !l.options.Copy { // in a copy a later event may have got the key, and be gone
		keys = append(keys, hashKey(nil, keySpace, hashOf(e.Key)))
	}
	for _, k := range keys {
		found, err := get(l.db, k, func([]byte) (bool, error) { return true, nil })
		if err != nil || !found {
			return fmt.Errorf("event %d has no entry in an index (%w)", at, errorOr(err, errState))
		}
	}
	return nil
}

// verifyCounts checks the counts against all events.
func (l *Log) verifyCounts(all []*eventlog.Event) error {
	at := l.at
	at.events, at.tombs, at.bytes = 0, 0, 0
	want := map[string]tally{}
	for _, e := range all {
		size := sizeOf(len(encode(&e.Record)), &e.Record)
		at.bytes += size
		if isTombstone(&e.Record) {
			at.tombs++
			continue
		}
		at.events++
		for i, t := range e.Topics {
			if !slices.Contains(e.Topics[:i], t) {
				want[t] = want[t].then(tally{t, 1, size, e.ID.Lo})
			}
		}
	}
	if at != l.at {
		return fmt.Errorf("its record counts %d events and %d bytes, but there are %d and %d", l.at.events, l.at.bytes, at.events, at.bytes)
	}
	got, err := l.tallied()
	if err != nil {
		return err
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("the topics' counts do not match the events")
	}
	return nil
}

func (l *Log) tallied() (map[string]tally, error) {
	got := map[string]tally{}
	for next := []byte{tallySpace}; next != nil; {
		page, err := l.tallyPage(context.Background(), next)
		if err != nil {
			return nil, err
		}
		for _, t := range page.tallies {
			if t.events != 0 || t.bytes != 0 {
				got[t.topic] = t
			}
		}
		next = page.next
	}
	for _, t := range l.pending {
		got[t.topic] = got[t.topic].then(t)
	}
	return got, nil
}
