package eventlog

import (
	"bytes"
	"context"
	"iter"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// pageSize is how many events a reader takes per lock.
const pageSize = 256

// Memory is an engine that keeps its events in memory: for development, tests, and
// hubs that may lose their events at a restart. Its positions are consecutive values
// of Lo. [Bounds].Bytes estimates the memory of events and indexes.
type Memory struct {
	epoch     uint64
	retention Retention
	clock     *Clock
	stop      chan struct{} // closed to end the sweeper
	swept     sync.WaitGroup

	mu          sync.RWMutex
	events      []*Event // events[i] is at origin+1+i
	origin      uint64
	tombs       int // events that are tombstones
	bytes       int64
	newest      time.Time // of the last event
	trimmed     time.Time // of the newest event dropped
	topics      map[string]*topicIndex
	order       []numberedTopic
	numbered    uint64              // the last number
	publisherID map[string][]uint64 // tombstones too
	keys        map[string]uint64
	grown       chan struct{} // closed and replaced by each append
	onBury      []func()
	closed      bool
}

// NewMemory returns an empty log of a new epoch. The caller must Close it.
func NewMemory(r Retention) *Memory { return NewMemoryWith(r, new(Clock)) }

// NewMemoryWith is like NewMemory, with the given clock, which then belongs to the log.
func NewMemoryWith(r Retention, c *Clock) *Memory {
	m := &Memory{
		clock:       c,
		epoch:       NewEpoch(),
		retention:   r,
		stop:        make(chan struct{}),
		topics:      map[string]*topicIndex{},
		publisherID: map[string][]uint64{},
		keys:        map[string]uint64{},
		grown:       make(chan struct{}),
	}
	if r.Age > 0 {
		m.swept.Go(m.sweep)
	}
	return m
}

// Append adds recs. They are not durable: they end with the process.
func (m *Memory) Append(ctx context.Context, recs ...Record) ([]Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	results := make([]Result, len(recs))
	now := m.clock.Now()
	if now.Before(m.newest) {
		now = m.newest
	}
	for i := range recs {
		results[i] = m.add(recs[i], now)
	}
	m.trim(now)
	close(m.grown)
	m.grown = make(chan struct{})
	return results, nil
}

func (m *Memory) add(r Record, now time.Time) Result {
	if at, ok := m.keys[r.Key]; ok && r.Key != "" {
		if !sameContent(&m.events[at-m.origin-1].Record, &r) {
			return Result{Err: ErrKeyReused}
		}
		return Result{ID: m.id(at), Duplicate: true}
	}
	at := m.origin + uint64(len(m.events)) + 1
	e := NewEvent(r, m.id(at), now)
	m.events = append(m.events, e)
	m.newest = now
	m.bytes += e.size()
	for _, t := range e.Topics {
		ix := m.topics[t]
		if ix == nil {
			ix = m.addTopic(t)
		}
		ix.at = append(ix.at, at)
		ix.bytes += e.size()
	}
	if id := e.PublisherID; id != "" {
		if m.publisherID[id] == nil {
			id = strings.Clone(id) // for the same reason
			m.bytes += publisherIDSize(id)
		}
		m.publisherID[id] = append(m.publisherID[id], at)
	}
	if e.Key != "" {
		m.keys[e.Key] = at
	}
	return Result{ID: e.ID}
}

// trim drops the events beyond the limits of retention.
func (m *Memory) trim(now time.Time) {
	r := m.retention
	n := 0
	for _, e := range m.events {
		tooMany := r.Events > 0 && int64(len(m.events)-n) > r.Events
		tooLarge := r.Bytes > 0 && m.bytes > r.Bytes
		tooOld := r.Age > 0 && now.Sub(e.Time) > r.Age
		if !tooMany && !tooLarge && !tooOld {
			break
		}
		m.forget(e)
		n++
	}
	clear(m.events[:n]) // the array may live on and must not keep them alive
	m.events = m.events[n:]
	if n > len(m.events) { // most of the array is unused now
		m.events = slices.Clone(m.events)
	}
	m.origin += uint64(n)
}

func (m *Memory) forget(e *Event) {
	m.trimmed = e.Time
	if len(e.Topics) == 0 {
		m.tombs--
	}
	m.unindex(e)
	if id := e.PublisherID; id != "" {
		if m.publisherID[id] = without(m.publisherID[id], e.ID.Lo); len(m.publisherID[id]) == 0 {
			delete(m.publisherID, id)
			m.bytes -= publisherIDSize(id)
		}
	}
}

// unindex removes e from all indexes but that of publishers' ids, which keeps its
// position. Retention drops the oldest event, which is first in each index.
func (m *Memory) unindex(e *Event) {
	m.bytes -= e.size()
	for _, t := range e.Topics {
		ix := m.topics[t]
		ix.at = without(ix.at, e.ID.Lo)
		ix.bytes -= e.size()
		if len(ix.at) == 0 {
			m.dropTopic(t, ix)
		}
	}
	delete(m.keys, e.Key)
}

func without(at []uint64, lo uint64) []uint64 {
	if at[0] == lo {
		return at[1:]
	}
	i, _ := slices.BinarySearch(at, lo)
	return slices.Delete(at, i, i+1)
}

// Delete replaces each event by a tombstone: an event without topics that keeps only the
// position and the publisher's id.
func (m *Memory) Delete(ctx context.Context, after ID, q Query) (int, error) {
	b, err := m.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	return PageFunc(m.page).Delete(ctx, b, after, q, func(_ context.Context, events []*Event) (n int, _ error) {
		for _, e := range events {
			if m.bury(e) {
				n++
			}
		}
		if n > 0 {
			m.buried()
		}
		return n, nil
	})
}

// OnBury implements [Log].
func (m *Memory) OnBury(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onBury = append(m.onBury, f)
}

func (m *Memory) buried() {
	m.mu.RLock()
	hooks := m.onBury
	m.mu.RUnlock()
	for _, f := range hooks {
		f()
	}
}

// bury replaces e by a tombstone. It reports false if e was gone already.
func (m *Memory) bury(e *Event) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || e.ID.Lo <= m.origin || m.events[e.ID.Lo-m.origin-1] != e {
		return false
	}
	m.unindex(e)
	m.tombs++
	tomb := NewEvent(Record{PublisherID: e.PublisherID}, e.ID, e.Time) // shares no memory with e
	m.bytes += tomb.size()
	m.events[e.ID.Lo-m.origin-1] = tomb
	return true
}

// sweep applies the age limit while nothing is appended.
func (m *Memory) sweep() {
	t := time.NewTicker(min(max(m.retention.Age/10, time.Millisecond), time.Minute))
	defer t.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-t.C:
			m.mu.Lock()
			m.trim(m.clock.Now())
			m.mu.Unlock()
		}
	}
}

// Read implements [Log].
func (m *Memory) Read(ctx context.Context, after ID, q Query) iter.Seq2[*Event, error] {
	return PageFunc(m.page).Read(ctx, after, q)
}

// Tail implements [Log].
func (m *Memory) Tail(ctx context.Context, after ID) iter.Seq2[*Event, error] {
	return PageFunc(m.page).Tail(ctx, after)
}

// page implements [PageFunc].
func (m *Memory) page(ctx context.Context, after ID, q Query) (_ []*Event, next ID, grown <-chan struct{}, _ error) {
	if err := ctx.Err(); err != nil {
		return nil, after, nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.check(after); err != nil {
		return nil, after, nil, err
	}
	last := m.origin + uint64(len(m.events))
	if !q.UpTo.IsZero() {
		last = min(last, q.UpTo.Lo)
	}
	if after.Lo >= last {
		return nil, after, m.grown, nil
	}
	if indexes := m.indexes(q); len(indexes) > 0 {
		page, end := m.indexPage(after.Lo, last, indexes)
		return page, m.id(end), m.grown, nil
	}
	end := min(last, after.Lo+pageSize)
	page := make([]*Event, 0, end-after.Lo)
	for _, e := range m.events[after.Lo-m.origin : end-m.origin] {
		if len(e.Topics) > 0 { // not a tombstone
			page = append(page, e)
		}
	}
	return page, m.id(end), m.grown, nil
}

// check returns an error if after is not a position from which reading can continue. It
// needs mu.
func (m *Memory) check(after ID) error {
	switch {
	case m.closed:
		return ErrClosed
	case after.Epoch != m.epoch:
		return ErrEpoch
	case after.Hi != 0 || after.Lo > m.origin+uint64(len(m.events)):
		return ErrAhead
	case after.Lo < m.origin:
		return &TrimmedError{Origin: m.id(m.origin)}
	}
	return nil
}

// Await implements [Log].
func (m *Memory) Await(ctx context.Context, id ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.check(id)
}

// indexes returns the indexes that contain all events that q asks for, each in
// ascending order. It returns nil if q gives no hint.
func (m *Memory) indexes(q Query) (indexes [][]uint64) {
	if q.PublisherID != "" {
		return [][]uint64{m.publisherID[q.PublisherID]}
	}
	for _, t := range q.Topics {
		var at []uint64
		if ix := m.topics[t]; ix != nil {
			at = ix.at
		}
		indexes = append(indexes, at)
	}
	return indexes
}

// indexPage merges indexes. The cost of a page depends on what it returns, not on what
// else the log holds.
func (m *Memory) indexPage(after, last uint64, indexes [][]uint64) (_ []*Event, end uint64) {
	var at []uint64
	for _, ix := range indexes {
		i := sort.Search(len(ix), func(i int) bool { return ix[i] > after })
		at = append(at, ix[i:min(len(ix), i+pageSize)]...)
	}
	slices.Sort(at)
	at = slices.Compact(at)
	end = last
	if len(at) >= pageSize { // otherwise no index has more
		at = at[:pageSize]
		end = min(end, at[pageSize-1])
	}
	page := make([]*Event, 0, len(at))
	for _, a := range at {
		if a > end {
			break
		}
		if e := m.events[a-m.origin-1]; len(e.Topics) > 0 { // not a tombstone
			page = append(page, e)
		}
	}
	return page, end
}

// Newest walks a topic's index from its end, one page at a time.
func (m *Memory) Newest(ctx context.Context, topic string, n int, match func(*Event) bool) ([]*Event, error) {
	var found []*Event
	for to := uint64(math.MaxUint64); len(found) < n; {
		page, err := m.pageBefore(ctx, topic, to)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for _, e := range slices.Backward(page) {
			if len(found) < n && (match == nil || match(e)) {
				found = append(found, e)
			}
		}
		to = page[0].ID.Lo
	}
	slices.Reverse(found)
	return found, nil
}

// pageBefore returns the newest events of a topic before a position.
func (m *Memory) pageBefore(ctx context.Context, topic string, to uint64) ([]*Event, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	ix := m.topics[topic]
	if ix == nil {
		return nil, ctx.Err()
	}
	end, _ := slices.BinarySearch(ix.at, to)
	begin := max(0, end-pageSize)
	page := make([]*Event, 0, end-begin)
	for _, at := range ix.at[begin:end] {
		page = append(page, m.events[at-m.origin-1])
	}
	return page, ctx.Err()
}

// At implements [Log] by a binary search, because times never decrease.
func (m *Memory) At(_ context.Context, t time.Time) (ID, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return ID{}, ErrClosed
	}
	if !t.After(m.trimmed) {
		return ID{}, &TrimmedError{Origin: m.id(m.origin)}
	}
	i := sort.Search(len(m.events), func(i int) bool { return !m.events[i].Time.Before(t) })
	return m.id(m.origin + uint64(i)), nil
}

// ByPublisherID implements [Log].
func (m *Memory) ByPublisherID(_ context.Context, id string) (ID, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return ID{}, ErrClosed
	}
	at := m.publisherID[id]
	if len(at) == 0 {
		return ID{}, ErrNotFound
	}
	return m.id(at[0]), nil
}

// Bounds implements [Log].
func (m *Memory) Bounds(context.Context) (Bounds, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return Bounds{}, ErrClosed
	}
	n := len(m.events)
	return Bounds{m.id(m.origin), m.id(m.origin + uint64(n)), int64(n - m.tombs), m.bytes}, nil
}

// Close ends the log and all its Tails.
func (m *Memory) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	m.closed = true
	close(m.grown)
	m.mu.Unlock()
	close(m.stop)
	m.swept.Wait()
	return nil
}

func (m *Memory) id(at uint64) ID { return ID{Epoch: m.epoch, Lo: at} }

// sameContent reports whether publishing b after a would be a repetition.
func sameContent(a, b *Record) bool {
	return a.Type == b.Type && a.Retry == b.Retry && a.Private == b.Private &&
		a.PublisherID == b.PublisherID && slices.Equal(a.Topics, b.Topics) && bytes.Equal(a.Data, b.Data)
}
