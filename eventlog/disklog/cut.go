package disklog

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// cutMost is how many events Cut removes at most: one commit does it.
const cutMost = 1 << 16

// ErrTooMany reports that Cut would have to remove too many events. Empty the copy instead.
var ErrTooMany = errors.New("disklog: too many events to cut")

// Cut undoes the entries after one that the copy has a mark of. They must have added events
// and nothing else. at is the last position that stays.
func (l *Log) Cut(ctx context.Context, entry, at uint64) error {
	mark, ok, err := l.LastMark(ctx, entry)
	if err != nil || !ok || mark.Entry != entry {
		return fmt.Errorf("disklog: cut: entry %d has no mark (%w)", entry, errorOr(err, errState))
	}
	l.prune.Lock()
	defer l.prune.Unlock()
	err = l.change(context.WithoutCancel(ctx), func(w *writer) error { return w.cut(mark, at) })
	if err != nil {
		return fmt.Errorf("disklog: cut: %w", err)
	}
	l.forgotten()
	l.scrubSoon()
	return nil
}

func (w *writer) cut(mark Mark, at uint64) error {
	l := w.l
	if at < w.at.origin {
		return fmt.Errorf("position %d is not retained", at)
	}
	gone, err := l.eventsAfter(at)
	if err != nil {
		return err
	}
	last, newest := w.at.origin, mark.Time.UnixNano()
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: eventKey(nil, w.at.origin+1), UpperBound: eventKey(nil, at+1)})
	if err != nil {
		return err
	}
	if it.Last() {
		e, err := l.decodeAt(it)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		last, newest = e.ID.Lo, e.Time.UnixNano()
	}
	if err := it.Close(); err != nil {
		return err
	}
	topics := map[string]uint64{} // the newest remaining position of each
	for _, e := range gone {
		for _, t := range e.Topics {
			if _, ok := topics[t]; ok {
				continue
			}
			topics[t] = 0
			for e, err := range l.backward(t, w.at.origin, at) {
				if err != nil {
					return err
				}
				topics[t] = e.ID.Lo
				break
			}
		}
	}
	for _, e := range gone {
		w.remove(e)
		_ = w.batch.Delete(eventKey(nil, e.ID.Lo), nil)
	}
	for t, last := range topics {
		h := hashOf(t)
		w.tallies[h] = w.tallies[h].then(tally{topic: t, last: last})
	}
	w.at.last, w.at.reserved, w.at.newest, w.next = last, last, newest, last+1
	_ = w.batch.DeleteRange(markKey(mark.Entry+1), []byte{markSpace + 1}, nil)
	c := l.copied
	c.entry, c.time = mark.Entry, mark.Time.UnixNano()
	w.reach(c)
	w.shows = append(w.shows, func() { l.begin(last) })
	w.settling = true
	return nil
}

// begin makes readers see the copy end at a position, without what is in memory. It needs
// mu.
func (l *Log) begin(tip uint64) {
	l.life++
	l.tip = tip
	l.window.reset(tip)
	l.wake()
}

// eventsAfter returns all events and tombstones after a position.
func (l *Log) eventsAfter(at uint64) (events []*eventlog.Event, err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: eventKey(nil, at+1), UpperBound: []byte{eventSpace + 1}})
	if err != nil {
		return nil, err
	}
	defer func() { err = closeIter(it, err) }()
	for ok := it.First(); ok; ok = it.Next() {
		e, err := l.decodeAt(it)
		if err != nil {
			return nil, err
		}
		if events = append(events, e); len(events) > cutMost {
			return nil, ErrTooMany
		}
	}
	return events, it.Error()
}

// Empty makes the copy one of no entries, whose positions have the given epoch and terms.
func (l *Log) Empty(ctx context.Context, epoch uint64, terms []Term) error {
	l.prune.Lock()
	defer l.prune.Unlock()
	err := l.change(context.WithoutCancel(ctx), func(w *writer) error {
		for _, space := range []byte{eventSpace, topicSpace, publisherSpace, keySpace, tallySpace, markSpace, noteSpace} {
			_ = w.batch.DeleteRange([]byte{space}, []byte{space + 1}, nil)
		}
		l.mu.Lock()
		clear(l.pending)
		l.mu.Unlock()
		w.at, w.next, w.loose, w.names, w.settling = state{}, 1, 0, 0, false
		w.reach(copied{})
		w.setLineage(newLineage(epoch, terms...))
		w.shows = append(w.shows, func() {
			l.at = state{} // the origin moves back, too
			l.begin(0)
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("disklog: empty: %w", err)
	}
	l.forgotten()
	l.scrubSoon()
	return nil
}
