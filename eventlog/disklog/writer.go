package disklog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

const (
	// maxGroup limits the bytes of a commit, and so how long the next one waits. It is
	// well below half a memtable, beyond which the store handles a batch differently.
	maxGroup = 4 << 20

	// maxGather is how long a group waits for the publishers of the last one.
	maxGather = 100 * time.Microsecond

	// reservation is how many positions are reserved at once, and so the largest hole
	// that a crash leaves.
	reservation = 1 << 16
)

// Append adds recs atomically: after a crash either all of them are there, or none.
func (l *Log) Append(ctx context.Context, recs ...eventlog.Record) ([]eventlog.Result, error) {
	if err := errors.Join(ctx.Err(), l.failed()); err != nil {
		return nil, err
	}
	if l.options.Copy {
		return nil, errCopy
	}
	if len(recs) == 0 {
		return nil, nil
	}
	j := l.queue.newJob(ctx)
	j.add(recs)
	if !l.space.enough(j.bytes) {
		l.queue.release(j)
		return nil, eventlog.ErrNoSpace
	}
	return l.do(j)
}

// change submits a change to the writer and waits for it.
func (l *Log) change(ctx context.Context, change func(*writer) error) error {
	j := l.queue.newJob(ctx)
	j.change = change
	_, err := l.do(j)
	return err
}

// do submits j to the writer, waits for the answer, and releases j.
func (l *Log) do(j *job) ([]eventlog.Result, error) {
	defer l.queue.release(j)
	if err := l.queue.put(j); err != nil {
		return nil, errors.Join(err, l.failed())
	}
	<-j.answer
	if j.err != nil {
		return nil, j.err
	}
	return j.results, nil
}

// A writer is the only goroutine that changes the store. Jobs that arrive while it commits
// form the next group: one batch, one sync.
type writer struct {
	l *Log

	next    uint64 // the next position to assign
	now     int64
	at      state
	batch   *pebble.Batch
	reserve bool // the batch reserves positions

	index    []indexEntry   // index entries for the batch, to be sorted
	tallies  map[hash]tally // the group's changes to the tallies
	settling bool           // the batch writes these, and the pending ones, to the store
	names    int            // about how many bytes tallies and pending take
	loose    uint64         // events that no tally in the store includes

	keys    map[string]added // the group's own records by key
	added   []added
	buried  []uint64
	errs    []error  // one for each job of the group
	known   []*known // one for each record of a job
	scratch []byte

	// Of Apply and its kind:
	shows  []func() // run under Log.mu when the batch is shown to readers
	value  []byte
	topics []hash
}

// added is a record of the group that is in the batch.
type added struct {
	event *eventlog.Event
	value []byte
}

func newWriter(l *Log) *writer {
	return &writer{l: l, next: l.tip + 1, at: l.at, tallies: map[hash]tally{}, keys: map[string]added{}, loose: l.loose}
}

// run ends when the log is closed and no job waits any more.
func (w *writer) run() {
	for stopping := false; !stopping; {
		select {
		case <-w.l.queue.ready:
		case <-w.l.stop:
			stopping = true // after the jobs that were submitted before
		}
		for group := w.gather(); len(group) > 0; group = w.gather() {
			w.write(group)
		}
	}
}

// gather takes the next group. Publishers that were just answered tend to append again at
// once; a short wait lets them share a sync.
func (w *writer) gather() []*job {
	q := &w.l.queue
	if n, previous := q.waiting(); n > 0 && n < previous {
		for start := time.Now(); n < previous && time.Since(start) < maxGather; n, _ = q.waiting() {
			runtime.Gosched()
		}
	}
	return q.take(maxGroup)
}

// write commits a group and answers its jobs.
func (w *writer) write(group []*job) {
	w.errs = slices.Grow(w.errs[:0], len(group))[:len(group)]
	err := w.l.failed()
	if err == nil {
		w.begin()
		for i, j := range group {
			if j.change != nil {
				w.errs[i] = j.change(w)
			} else {
				j.results, w.errs[i] = w.append(j)
			}
		}
		err = w.commit()
	}
	w.l.queue.done(w.errs, err)
	clear(w.errs)
}

func (w *writer) begin() {
	w.now = max(w.l.options.Clock.Now().UnixNano(), w.at.newest, w.at.trimmed)
	w.batch = w.l.db.NewBatch()
	w.reserve, w.settling, w.shows = false, false, nil
	clear(w.tallies)
	clear(w.keys)
	clear(w.added)
	w.added, w.buried, w.index = w.added[:0], w.buried[:0], w.index[:0]
}

// append adds j's records to the batch. It looks up all idempotency keys first, so that an
// error leaves no record in the batch.
func (w *writer) append(j *job) ([]eventlog.Result, error) {
	w.known = w.known[:0]
	defer func() { clear(w.known) }()
	for i := range j.recs {
		k, err := w.find(j.recs[i].Key)
		if err != nil {
			return nil, err
		}
		w.known = append(w.known, k)
	}
	results := make([]eventlog.Result, len(j.recs))
	for i := range j.recs {
		r := &j.recs[i]
		if k, ok := w.keys[r.Key]; ok && r.Key != "" {
			results[i] = repeated(j.values[i], k.value, k.event.ID)
		} else if known := w.known[i]; known != nil {
			results[i] = repeated(j.values[i], known.value, w.l.id(known.at))
		} else {
			results[i] = eventlog.Result{ID: w.add(r, j.values[i], j.topics[i])}
		}
	}
	return results, nil
}

// known is a retained event that has the idempotency key of a record.
type known struct {
	at    uint64
	value []byte
}

// find returns the event in the store with the key, or nil.
func (w *writer) find(key string) (*known, error) {
	if key == "" {
		return nil, nil
	}
	w.scratch = hashKey(w.scratch[:0], keySpace, hashOf(key))
	at, err := get(w.l.db, w.scratch, func(v []byte) (uint64, error) {
		if len(v) != 8 {
			return 0, errEncoding
		}
		return position(v), nil
	})
	if err != nil || at <= w.at.origin || slices.Contains(w.buried, at) {
		return nil, err
	}
	value, err := get(w.l.db, eventKey(w.scratch[:0], at), func(v []byte) ([]byte, error) { return bytes.Clone(v), nil })
	if err != nil || value == nil {
		return nil, fmt.Errorf("disklog: the event of a key is missing: %w", errors.Join(errState, err))
	}
	return &known{at, value}, nil
}

// repeated returns the result for a record whose key was used before.
func repeated(value, before []byte, id eventlog.ID) eventlog.Result {
	// The encoding includes the key, so a different key with the same hash differs too.
	if len(value) < valueHeader || len(before) < valueHeader || value[0] != before[0] ||
		!bytes.Equal(value[valueHeader:], before[valueHeader:]) {
		return eventlog.Result{Err: eventlog.ErrKeyReused}
	}
	return eventlog.Result{ID: id, Duplicate: true}
}

// add adds a record and its index entries to the batch.
func (w *writer) add(r *eventlog.Record, value []byte, topics []hash) eventlog.ID {
	at := w.next
	w.next++
	if at > w.at.reserved {
		w.at.reserved = at + w.l.options.reservation
		w.reserve = true
	}
	stamp(value, w.now)
	e := eventlog.NewEvent(*r, w.l.id(at), time.Unix(0, w.now)) // the window keeps it
	w.put(e, value, topics)
	return e.ID
}

// put adds an event and its index entries to the batch.
func (w *writer) put(e *eventlog.Event, value []byte, topics []hash) {
	r, at := &e.Record, e.ID.Lo
	size := sizeOf(len(value), r)
	_ = w.batch.Set(w.key(eventKey(w.scratch[:0], at)), value, nil)
	for i, h := range topics {
		w.index = append(w.index, entryOf(topicSpace, h, at))
		count(w.tallies, e.Topics, i, h, tally{w.tallied(h, e.Topics[i]), 1, size, at})
	}
	if r.PublisherID != "" {
		w.index = append(w.index, entryOf(publisherSpace, hashOf(r.PublisherID), at))
	}
	a := added{e, value}
	if r.Key != "" {
		_ = w.batch.Set(w.key(hashKey(w.scratch[:0], keySpace, hashOf(r.Key))), appendUint64s(nil, at), nil)
		w.keys[e.Key] = a
	}
	w.added = append(w.added, a)
	w.at.last, w.at.newest = at, e.Time.UnixNano()
	w.at.events++
	w.at.bytes += size
	w.loose++
}

// tallied returns a topic's name for a tally. A tally may outlive the event that topic is
// a part of, so the name is shared with an existing tally or copied.
func (w *writer) tallied(h hash, topic string) string {
	if t, ok := w.tallies[h]; ok {
		return t.topic
	}
	if t, ok := w.l.pending[h]; ok { // only the writer changes pending
		return t.topic
	}
	w.names += len(topic) + tallyBytes
	return strings.Clone(topic)
}

// An indexEntry is a key of an index. The memtable searches each key of a batch from the
// place of the previous one, which is near if the keys are sorted. Their order makes up
// half of their cost.
type indexEntry [1 + len(hash{}) + 8]byte

func entryOf(space byte, h hash, at uint64) indexEntry {
	return indexEntry(indexKey(make([]byte, 0, len(indexEntry{})), space, h, at))
}

// key saves the buffer of a key for reuse; the batch copies the key.
func (w *writer) key(k []byte) []byte {
	w.scratch = k
	return k
}

// commit makes the batch durable and then shows it to readers. All writes to the store
// are synced; verifyWAL relies on it.
func (w *writer) commit() error {
	defer w.batch.Close()
	slices.SortFunc(w.index, func(a, b indexEntry) int { return bytes.Compare(a[:], b[:]) })
	for i := range w.index {
		_ = w.batch.Set(w.index[i][:], nil, nil)
	}
	if w.settling = w.settling || w.loose >= w.l.options.unsettled || w.names > maxNames; w.settling {
		w.settle()
	}
	if w.batch.Empty() {
		return nil
	}
	_ = w.batch.Set(stateKey, w.at.encode(), nil)
	w.l.space.wrote(w.batch.Len())
	w.l.guard.syncWAL.Store(w.reserve)
	err := w.batch.Commit(pebble.Sync)
	w.l.commits.Add(1)
	if failed := w.l.failed(); failed != nil {
		return fmt.Errorf("%w: %w", eventlog.ErrUncertain, failed)
	}
	if err != nil { // the store failed without a failed write or sync
		w.l.fail(err)
		return fmt.Errorf("%w: %w", eventlog.ErrUncertain, w.l.failed())
	}
	w.publish()
	return nil
}

func (w *writer) publish() {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range w.buried {
		l.window.bury(at)
	}
	origin, trimmed := l.at.origin, l.at.trimmed
	l.at = w.at
	if w.settling {
		clear(l.pending)
	} else {
		for h, t := range w.tallies {
			l.pending[h] = l.pending[h].then(t)
		}
	}
	if origin > w.at.origin { // retention is ahead, and submits its change next
		l.at.origin, l.at.trimmed = origin, trimmed
	}
	for _, show := range w.shows {
		show()
	}
	for _, a := range w.added {
		l.window.push(a.event)
		l.tip = a.event.ID.Lo
	}
	if len(w.added) > 0 {
		l.pace.Store(int64(len(w.added)))
		l.wake()
		if l.over(&l.at) > 0 {
			select {
			case l.excess <- struct{}{}:
			default:
			}
		}
	}
}

// get looks a key up and parses its value. The result of parse must not refer to the
// value. If the key is not there, get returns the zero value.
func get[T any](db pebble.Reader, key []byte, parse func([]byte) (T, error)) (T, error) {
	var zero T
	value, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return zero, nil
	}
	if err != nil {
		return zero, err
	}
	defer closer.Close()
	return parse(value)
}
