package shared

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// maxFact is how many bytes a fact's key and value may have.
const maxFact = 32 << 10

// Facts are values under keys, such as revocations, that every node has to know in the
// log's order. A fact stays until it ends, whatever happens to the log's events.
type Facts struct{ l *Log }

// Facts returns the log's facts.
func (l *Log) Facts() Facts { return Facts{l} }

// Put puts a fact in the place of the one with the key. It returns when the fact is durable
// and in force on this node; others follow when they apply the entry. The fact ends at a
// time of the log, which goes by the engine's clock and stands still while nothing is
// appended; the zero time means never. Errors are those of Append; beyond
// [Options].Facts it returns eventlog.ErrNoSpace.
func (f Facts) Put(ctx context.Context, key string, value []byte, until time.Time) error {
	if len(key)+len(value) > maxFact {
		return fmt.Errorf("shared: a fact of %d bytes is too large; at most %d are possible", len(key)+len(value), maxFact)
	}
	f.l.applier.mu.RLock()
	s := &f.l.applier.state
	held := s.factBytes
	if old := s.facts[key]; old != nil {
		held -= factSize(key, old.value)
	}
	f.l.applier.mu.RUnlock()
	if held+factSize(key, value) > f.l.o.Facts {
		return fmt.Errorf("%w (facts take %d bytes)", eventlog.ErrNoSpace, held)
	}
	return f.submit(ctx, key, fact{value: value, until: unixNano(until)})
}

// Remove removes the fact with the key.
func (f Facts) Remove(ctx context.Context, key string) error {
	return f.submit(ctx, key, fact{removed: true})
}

func (f Facts) submit(ctx context.Context, key string, v fact) error {
	if err := f.l.usable(ctx); err != nil {
		return err
	}
	body := appendFact(nil, key, v)
	return f.l.submit(ctx, control(kindFact, 1, len(body), func(*state) []byte { return body }))
}

func appendFact(b []byte, key string, f fact) []byte { return f.append(appendBytes(b, key)) }

// Get returns the fact with the key, as this node knows it. The caller must not modify
// value.
func (f Facts) Get(key string) (value []byte, ok bool) {
	a := f.l.applier
	a.mu.RLock()
	defer a.mu.RUnlock()
	v := a.state.facts[key]
	if v == nil || !v.live(a.state.time) {
		return nil, false
	}
	return v.value, true
}

// Watch calls fn with every fact that there is, and then with every change, in the log's
// order. A change that is made while Watch is called may come twice. value is nil if the
// fact was removed. Watch does not call fn when a fact ends. fn must not block.
func (f Facts) Watch(fn func(key string, value []byte, until time.Time)) {
	w := &f.l.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	a := f.l.applier
	a.mu.RLock()
	defer a.mu.RUnlock()
	for key, v := range a.state.facts {
		if v.live(a.state.time) {
			fn(key, v.value, unixTime(v.until))
		}
	}
	w.fns = append(w.fns, fn)
}

// watchers are the functions that Watch was called with.
type watchers struct {
	mu  sync.Mutex
	fns []func(string, []byte, time.Time)
}

// notify calls the functions with what the applier has changed since the last call.
func (w *watchers) notify(l *Log) {
	changed := l.applier.changed
	l.applier.changed = nil
	if len(changed) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range changed {
		value := c.fact.value
		if c.fact.removed {
			value = nil
		}
		for _, fn := range w.fns {
			fn(c.key, value, unixTime(c.fact.until))
		}
	}
}

// End calls Options.Ended on every node, after all that was appended before.
func (l *Log) End(ctx context.Context, filter []byte) error {
	if err := l.usable(ctx); err != nil {
		return err
	}
	return l.submit(ctx, control(kindEnd, 0, len(filter), func(*state) []byte { return filter }))
}

// endsFor is how old an end entry may be when it is applied.
const endsFor = 30 * time.Second

func (l *Log) ended(filter []byte, at time.Time) {
	if l.o.Ended != nil && l.o.Clock.Now().Sub(at) < endsFor {
		l.o.Ended(filter)
	}
}

// Level returns the highest level that was raised: what all nodes may write.
func (l *Log) Level() uint64 {
	l.applier.mu.RLock()
	defer l.applier.mu.RUnlock()
	return l.applier.state.level
}

// Raise raises the level, on all nodes.
func (l *Log) Raise(ctx context.Context, level uint64) error {
	if err := l.usable(ctx); err != nil {
		return err
	}
	return l.submit(ctx, control(kindLevel, 0, 16, func(*state) []byte { return binary.AppendUvarint(nil, level) }))
}

// tellLoss appends a loss entry.
func (l *Log) tellLoss() {
	f := &l.follower
	body := binary.AppendUvarint(binary.AppendUvarint(nil, f.branch), f.lost)
	p := control(kindLoss, 0, len(body), func(*state) []byte { return body })
	if err := l.queue.put(p); err == nil {
		l.queue.mu.Lock()
		p.left = true
		l.queue.mu.Unlock()
	}
}
