package disklog

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

const (
	// pruneBatch is the least number of events removed in one commit, if there are as
	// many. A publisher that shares the commit waits about 1 ms for it.
	pruneBatch = 256

	// trimPause lets excess events accumulate, so that fewer commits remove them.
	trimPause = 5 * time.Millisecond

	// purgeBytes is how much is dropped before its range is deleted: a few large ranges
	// cost readers less than many small ones.
	purgeBytes = 8 << 20

	// reclaimBytes is how much must have been deleted before reclaim compacts it, if that
	// is also a quarter of what is retained.
	reclaimBytes = 32 << 20

	// sweepInterval is how often tallies of topics without events are removed.
	sweepInterval = time.Minute
)

// retain drops the events beyond the limits of retention, until the log ends.
func (l *Log) retain() {
	r := l.options.Retention
	if r == (eventlog.Retention{}) && !l.options.Copy {
		return
	}
	every := time.Minute
	if r.Age > 0 {
		every = min(max(r.Age/10, time.Millisecond), every)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	t := trimmer{l: l, swept: time.Now()}
	for {
		for {
			n, err := t.trim()
			if err != nil {
				l.options.Logger.Debug("eventlog: retention", "error", err)
				return // the log has ended
			}
			t.reclaim()
			if n == 0 {
				break
			}
		}
		select {
		case <-l.stop:
			return
		case <-tick.C:
			if err := t.purge(); err != nil {
				return
			}
			if t.trimmed && time.Since(t.swept) > sweepInterval {
				if err := l.sweepTallies(context.Background()); err != nil {
					return
				}
				t.trimmed, t.swept = false, time.Now()
			}
		case <-l.excess:
			select {
			case <-l.stop:
				return
			case <-time.After(trimPause):
			}
		}
	}
}

// over estimates how many events exceed the limits on number and size. It returns 0 only
// if there are none.
func (l *Log) over(at *state) int64 { return over(l.options.Retention, at) }

func over(r eventlog.Retention, at *state) int64 {
	n := int64(0)
	if r.Events > 0 {
		n = max(n, at.events-r.Events)
	}
	if r.Bytes > 0 && at.bytes > r.Bytes {
		n = max(n, 1+int64(float64(at.events)*float64(at.bytes-r.Bytes)/float64(at.bytes)))
	}
	return n
}

// A trimmer drops events. It keeps track of which of them have been deleted as a range.
type trimmer struct {
	l       *Log
	purged  uint64 // the position up to which ranges were deleted
	bytes   int64  // dropped since
	deleted int64  // bytes deleted as ranges since the last reclaim

	reclaiming atomic.Bool

	swept   time.Time
	trimmed bool // events were dropped since

	floor   uint64 // of the copy, when oldest looked
	dropped int64
}

// trim drops the oldest events, at most one batch, and returns how many.
func (t *trimmer) trim() (int, error) {
	l := t.l
	l.prune.Lock()
	defer l.prune.Unlock()
	old, err := t.oldest()
	if err != nil || len(old) == 0 {
		return 0, errors.Join(err, t.reachFloor())
	}
	last := old[len(old)-1]
	// Move the origin first, because readers check it after they have read.
	l.mu.Lock()
	l.at.origin, l.at.trimmed = last.ID.Lo, last.Time.UnixNano()
	l.window.trim(last.ID.Lo)
	l.mu.Unlock()

	t.trimmed = true
	return len(old), l.change(context.Background(), func(w *writer) error {
		before := w.at.bytes
		for _, e := range old {
			w.remove(e)
		}
		w.at.origin, w.at.trimmed = last.ID.Lo, last.Time.UnixNano()
		if t.bytes += before - w.at.bytes; t.bytes >= purgeBytes {
			t.deleteRange(w)
		}
		return nil
	})
}

// reachFloor moves a copy's origin to the floor, once there are no events up to it.
func (t *trimmer) reachFloor() error {
	l, floor, dropped := t.l, t.floor, t.dropped // later floors may have events up to them
	l.mu.Lock()
	if floor <= l.at.origin || l.copied.floor < floor { // the copy was emptied meanwhile
		l.mu.Unlock()
		return nil
	}
	l.at.origin, l.at.trimmed = floor, dropped
	l.tip = max(l.tip, floor) // readers may begin at the origin
	l.window.trim(floor)
	l.wake()
	l.mu.Unlock()
	return l.change(context.Background(), func(w *writer) error {
		w.at.origin, w.at.trimmed = floor, dropped
		if w.at.last < floor {
			w.at.last, w.at.reserved, w.next = floor, floor, floor+1
		}
		return w.scrub() // without a change there is no commit
	})
}

// deleteRange deletes all events up to the origin.
func (t *trimmer) deleteRange(w *writer) {
	if t.purged > w.at.origin { // the copy was emptied
		t.purged = 0
	}
	_ = w.batch.DeleteRange(eventKey(nil, t.purged+1), eventKey(nil, w.at.origin+1), nil)
	t.deleted += t.bytes
	t.purged, t.bytes = w.at.origin, 0
}

// reclaim compacts the deleted ranges in the background. The store would do so only when
// they are many, and until then their values occupy the disk.
func (t *trimmer) reclaim() {
	l := t.l
	if at, _ := l.shown(); t.deleted < max(reclaimBytes, at.bytes/4) || !t.reclaiming.CompareAndSwap(false, true) {
		return
	}
	t.deleted = 0
	upTo := eventKey(nil, t.purged+1)
	l.running.Go(func() {
		defer t.reclaiming.Store(false)
		ctx, cancel := l.untilEnd()
		defer cancel()
		if err := l.db.Compact(ctx, eventKey(nil, 0), upTo, false); err != nil {
			l.options.Logger.Debug("eventlog: reclaim space of dropped events", "error", err)
		}
	})
}

// purge deletes the range of events that were dropped and not yet deleted.
func (t *trimmer) purge() error {
	if t.bytes == 0 {
		return nil
	}
	return t.l.change(context.Background(), func(w *writer) error {
		t.deleteRange(w)
		return nil
	})
}

// oldest returns the oldest events that exceed the limits, at most one batch.
func (t *trimmer) oldest() (old []*eventlog.Event, err error) {
	done, err := t.l.use(context.Background())
	if err != nil {
		return nil, err
	}
	defer done()
	t.l.mu.RLock()
	at := t.l.at
	t.floor, t.dropped = t.l.copied.floor, t.l.copied.dropped
	t.l.mu.RUnlock()
	if at.last <= at.origin {
		return nil, nil
	}
	it, err := t.l.db.NewIter(&pebble.IterOptions{LowerBound: eventKey(nil, at.origin+1), UpperBound: eventKey(nil, at.last+1)})
	if err != nil {
		return nil, err
	}
	defer func() { err = closeIter(it, err) }()
	// Each commit removes somewhat more than one adds, however large the publishers'
	// batches, and up to four times as much when several of theirs fall on one of
	// these.
	pace := t.l.pace.Load()
	now := t.l.options.Clock.Now()
	batch := int(max(pruneBatch, pace*5/4, min(pace*4, t.l.over(&at)/2)))
	for ok := it.First(); ok && len(old) < batch; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		nanos, err := stamped(value)
		if err != nil {
			return nil, err
		}
		if t.l.options.Copy {
			if position(it.Key()) > t.floor {
				break
			}
		} else if age := t.l.options.Retention.Age; t.l.over(&at) == 0 && !(age > 0 && now.Sub(time.Unix(0, nanos)) > age) {
			break
		}
		e, err := t.l.decodeAt(it)
		if err != nil {
			return nil, err
		}
		old = append(old, e)
		if !isTombstone(&e.Record) {
			at.events--
		}
		at.bytes -= sizeOf(len(value), &e.Record)
	}
	return old, nil
}
