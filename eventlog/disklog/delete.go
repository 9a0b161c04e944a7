package disklog

import (
	"context"
	"slices"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// firstLook and lastLooks bound the exponential backoff with which rewriteValues polls
// until the store has removed deleted values. The store may defer a rewrite, for example
// if the clock was set back to before the file was created.
const (
	firstLook = 20 * time.Millisecond
	lastLooks = time.Minute
)

// Delete replaces each event by a tombstone. The files that held the events are then
// rewritten in the background.
func (l *Log) Delete(ctx context.Context, after eventlog.ID, q eventlog.Query) (int, error) {
	if l.options.Copy {
		return 0, errCopy
	}
	n, err := l.DeleteBy(ctx, after, q, l.bury)
	if n > 0 { // once, since scrubbing rewrites whole files
		l.scrubSoon()
	}
	return n, err
}

// scrubSoon lets scrubDeleted remove what was deleted from the disk.
func (l *Log) scrubSoon() {
	select {
	case l.scrub <- struct{}{}:
	default:
	}
}

// DeleteBy calls remove with the events that Delete would remove, some at a time. remove
// returns how many it removed; DeleteBy returns their sum.
func (l *Log) DeleteBy(ctx context.Context, after eventlog.ID, q eventlog.Query, remove func(context.Context, []*eventlog.Event) (int, error)) (int, error) {
	b, err := l.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	return eventlog.PageFunc(l.page).Delete(ctx, b, after, q, remove)
}

// OnBury implements [eventlog.Log].
func (l *Log) OnBury(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onBury = append(l.onBury, f)
}

// forgotten calls the functions of OnBury.
func (l *Log) forgotten() {
	l.mu.RLock()
	hooks := l.onBury
	l.mu.RUnlock()
	for _, f := range hooks {
		f()
	}
}

// bury replaces events by tombstones and returns how many were still there.
func (l *Log) bury(ctx context.Context, events []*eventlog.Event) (int, error) {
	if len(events) == 0 {
		return 0, nil
	}
	at := make([]uint64, len(events))
	for i, e := range events {
		at[i] = e.ID.Lo
	}
	l.prune.Lock()
	defer l.prune.Unlock()
	buried := 0
	// A caller may give up only between batches: retention must see what this batch has
	// changed, not what it is about to change.
	err := l.change(context.WithoutCancel(ctx), func(w *writer) (err error) {
		buried, err = w.bury(at)
		return err
	})
	if err != nil {
		return 0, err
	}
	if buried > 0 {
		l.forgotten()
	}
	return buried, nil
}

// scrub adds a record that changes nothing. Its commit makes the store begin a new
// write-ahead log file at the next flush.
func (w *writer) scrub() error {
	_ = w.batch.Set(scrubKey, nil, nil)
	return nil
}

// bury adds tombstones to the batch. It reads all events before it changes any.
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
	topics := map[string]uint64{} // the newest remaining position of each
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
		w.entomb(e)
	}
	for t, last := range topics {
		if h := hashOf(t); w.tallies[h].last <= l.tip { // otherwise the group has appended a newer event
			w.tallies[h] = w.tallies[h].then(tally{topic: t, last: last})
		}
	}
	return len(events), nil
}

// entomb adds a tombstone at the position of an event that was removed.
func (w *writer) entomb(e *eventlog.Event) {
	at := e.ID.Lo
	tomb := tombstone(&e.Record)
	value := encode(tomb)
	stamp(value, e.Time.UnixNano())
	_ = w.batch.Set(w.key(eventKey(w.scratch[:0], at)), value, nil)
	if tomb.PublisherID != "" {
		_ = w.batch.Set(w.key(indexKey(w.scratch[:0], publisherSpace, publisherHash(tomb), at)), nil, nil)
	}
	w.at.tombs++
	w.at.bytes += sizeOf(len(value), tomb)
	w.buried = append(w.buried, at)
}

// remove removes an event or a tombstone from the indexes and the counts.
func (w *writer) remove(e *eventlog.Event) {
	w.settling = true
	at := e.ID.Lo
	size := sizeOf(len(encode(&e.Record)), &e.Record)
	for i, t := range e.Topics {
		h := hashOf(t)
		_ = w.batch.Delete(w.key(indexKey(w.scratch[:0], topicSpace, h, at)), nil)
		count(w.tallies, e.Topics, i, h, tally{t, -1, -size, 0})
	}
	if e.PublisherID != "" {
		_ = w.batch.Delete(w.key(indexKey(w.scratch[:0], publisherSpace, publisherHash(&e.Record), at)), nil)
	}
	if e.Key != "" && w.owns(e) {
		_ = w.batch.Delete(w.key(hashKey(w.scratch[:0], keySpace, hashOf(e.Key))), nil)
	}
	if isTombstone(&e.Record) {
		w.at.tombs--
	} else {
		w.at.events--
	}
	w.at.bytes -= size
}

// scrubDeleted removes deleted events from the disk, after each Delete, until the log
// ends.
func (l *Log) scrubDeleted() {
	ctx, cancel := l.untilEnd()
	defer cancel()
	for {
		select {
		case <-l.stop:
			return
		case <-l.failures:
			return
		case <-l.scrub:
			start := time.Now()
			err := l.rewrite(ctx)
			l.options.Logger.Debug("eventlog: removed deleted events from the disk", "took", time.Since(start), "error", err)
		}
	}
}

// untilEnd returns a context that ends with the log.
func (l *Log) untilEnd() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-l.stop:
		case <-l.failures:
		case <-ctx.Done():
		}
		cancel()
	}()
	return ctx, cancel
}

// rewrite makes the store rewrite every file that holds deleted events. The store
// recycles the files of the write-ahead log with their old contents, so rewrite flushes
// as often as there are such files.
func (l *Log) rewrite(ctx context.Context) error {
	if err := l.sweepTallies(ctx); err != nil {
		return err
	}
	l.guard.noReuse.Store(true)
	defer l.guard.noReuse.Store(false)
	l.scrubbing.Store(true)
	defer l.scrubbing.Store(false)
	if err := l.db.Compact(ctx, []byte{0}, []byte{0xff}, false); err != nil {
		return err
	}
	for range walFiles {
		if err := l.flush(ctx); err != nil {
			return err
		}
	}
	return l.rewriteValues(ctx)
}

// rewriteValues waits until the blob files hold only values that tables refer to. The
// store looks for unreferenced values after each flush and compaction.
func (l *Log) rewriteValues(ctx context.Context) error {
	for wait := firstLook; ; wait = min(2*wait, lastLooks) {
		m := l.db.Metrics()
		if m.BlobFiles.ReferencedValueSize == m.BlobFiles.ValueSize {
			return nil
		}
		if m.Compact.NumInProgress == 0 {
			if err := l.flush(ctx); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// flush makes the store flush and begin a new write-ahead log file.
func (l *Log) flush(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := l.change(ctx, (*writer).scrub); err != nil {
		return err
	}
	return l.db.Flush()
}
