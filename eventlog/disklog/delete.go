package disklog

import (
	"context"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// pruneBatch is how many events are removed in one commit, so that a publisher
// who shares it waits a millisecond, not a second.
const pruneBatch = 256

// Delete leaves a tombstone in the place of each event, and has the files that
// held them rewritten.
func (l *Log) Delete(ctx context.Context, after eventlog.ID, q eventlog.Query) (int, error) {
	done, err := l.use(ctx)
	if err != nil {
		return 0, err
	}
	done()
	at, _ := l.shown()
	if after.IsZero() {
		after = l.id(at.origin)
	}
	if q.UpTo.IsZero() || q.UpTo.Lo > at.last {
		q.UpTo = l.id(at.last)
	}
	n := 0
	defer func() {
		if n > 0 {
			select {
			case l.scrub <- struct{}{}:
			default:
			}
		}
	}()
	var batch []uint64
	bury := func() error {
		buried, err := l.bury(ctx, batch)
		n += buried
		batch = batch[:0]
		return err
	}
	for e, err := range l.Read(ctx, after, q) {
		if err != nil {
			return n, err
		}
		if batch = append(batch, e.ID.Lo); len(batch) == pruneBatch {
			if err := bury(); err != nil {
				return n, err
			}
		}
	}
	err = bury()
	return n, err
}

// bury returns how many of the events were still there.
func (l *Log) bury(ctx context.Context, at []uint64) (int, error) {
	if len(at) == 0 {
		return 0, nil
	}
	l.prune.Lock()
	defer l.prune.Unlock()
	j := newJob()
	at = slices.Clone(at) // the job may outlive the call
	buried := 0
	j.change = func(w *writer) (err error) {
		buried, err = w.bury(at)
		return err
	}
	if err := l.do(ctx, j); err != nil {
		return 0, err
	}
	return buried, nil
}

// bury puts tombstones into the batch. It reads all before it changes any.
func (w *writer) bury(at []uint64) (int, error) {
	l := w.l
	var events []*eventlog.Event
	for _, p := range at {
		e, err := l.event(p)
		if err != nil {
			return 0, err
		}
		if e != nil && p > w.at.origin {
			events = append(events, e)
		}
	}
	topics := map[string]uint64{} // the newest of each that stays
	for _, e := range events {
		for _, t := range e.Topics {
			if _, ok := topics[t]; ok {
				continue
			}
			topics[t] = 0
			for e, err := range l.backward(t, w.at.origin, l.tip) {
				if err != nil {
					return 0, err
				}
				if !slices.Contains(at, e.ID.Lo) {
					topics[t] = e.ID.Lo
					break
				}
			}
		}
	}
	for _, e := range events {
		w.remove(e)
		_ = w.batch.Set(w.key(eventKey(w.scratch[:0], e.ID.Lo)), encodeTomb(e.Time.UnixNano()), nil)
		w.at.tombs++
		w.at.bytes += tombSize
		w.buried = append(w.buried, e.ID.Lo)
	}
	for t, last := range topics {
		if h := hashOf(t); w.tallies[h].last <= l.tip { // else the group has appended a newer one
			w.tallies[h] = w.tallies[h].then(tally{topic: t, last: last})
		}
	}
	return len(events), nil
}

// remove takes an event out of the indexes and the counts.
func (w *writer) remove(e *eventlog.Event) {
	at := e.ID.Lo
	size := sizeOf(len(encode(&e.Record)), &e.Record)
	for i, t := range e.Topics {
		h := hashOf(t)
		_ = w.batch.Delete(w.key(indexKey(w.scratch[:0], topicSpace, h, at)), nil)
		w.count(e.Topics, i, h, tally{t, -1, -size, 0})
	}
	if e.PublisherID != "" {
		_ = w.batch.Delete(w.key(indexKey(w.scratch[:0], publisherSpace, hashOf(e.PublisherID), at)), nil)
	}
	if e.Key != "" {
		_ = w.batch.Delete(w.key(hashKey(w.scratch[:0], keySpace, hashOf(e.Key))), nil)
	}
	w.at.events--
	w.at.bytes -= size
}

// scrubDeleted takes off the disk what Delete has made unreadable.
func (l *Log) scrubDeleted() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-l.stop:
		case <-l.failures:
		case <-ctx.Done():
		}
		cancel()
	}()
	for {
		select {
		case <-l.stop:
			return
		case <-l.failures:
			return
		case <-l.scrub:
			start := time.Now()
			err := l.rewrite(ctx)
			l.options.Logger.Debug("eventlog: deleted events are off the disk", "took", time.Since(start), "error", err)
		}
	}
}

// rewrite has every file of the store written anew, without what was deleted.
// The files of the write-ahead log are kept for reuse with what they held: so
// many flushes change them all.
func (l *Log) rewrite(ctx context.Context) error {
	if err := l.sweepTallies(ctx); err != nil {
		return err
	}
	l.guard.noReuse.Store(true)
	defer l.guard.noReuse.Store(false)
	if err := l.db.Compact(ctx, []byte{0}, []byte{0xff}, false); err != nil {
		return err
	}
	for range walFiles {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := l.db.Set(scrubKey, nil, pebble.Sync); err != nil {
			return err
		}
		if err := l.db.Flush(); err != nil {
			return err
		}
	}
	return nil
}
