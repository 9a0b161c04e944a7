package sequencetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/eventlog/shared"
)

// Memory is a sequence in memory, with faults. It is shared by all nodes of a test: each
// uses what Node returns.
type Memory struct {
	// Fate decides what happens to an entry that is appended. Nil accepts all. Set it
	// before the first use.
	Fate func(entry []byte) Fate

	// Now is the engine's clock; nil means time.Now.
	Now func() time.Time

	// Largest is the size in bytes of the largest entry; 0 means 1 MiB.
	Largest int

	// Most is how many entries there may be; 0 means any number.
	Most int

	mu      sync.Mutex
	entries []shared.Entry
	first   uint64 // less one
	last    uint64
	life    int
	delayed [][]byte
	paused  chan struct{} // closed by Resume; nil if not paused
	down    error
	grown   chan struct{} // closed and replaced at each change
}

// Fate is what happens to an entry that is appended.
type Fate int

const (
	Accept    Fate = iota
	DropAck        // it is added, but Append returns an error
	Drop           // it is not added, and Append returns an error
	Duplicate      // it is added twice
	Delay          // Append returns an error, and the entry is added after one of the next
)

var errLost = errors.New("sequencetest: no answer")

// change wakes all that wait. It needs mu.
func (m *Memory) change() {
	if m.grown != nil {
		close(m.grown)
	}
	m.grown = make(chan struct{})
}

// Cut removes the entries after number n, as if the engine had lost them. Their numbers are
// assigned again. The fence changes if told is true.
func (m *Memory) Cut(n uint64, told bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = slices.DeleteFunc(m.entries, func(e shared.Entry) bool { return e.N > n })
	m.last = n
	if told {
		m.life++
	}
	m.change()
}

// Skip leaves a hole of n numbers.
func (m *Memory) Skip(n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last += n
}

// Pause makes all calls wait until Resume, as if the engine had stopped.
func (m *Memory) Pause() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.paused == nil {
		m.paused = make(chan struct{})
	}
}

// Resume ends Pause.
func (m *Memory) Resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.paused != nil {
		close(m.paused)
		m.paused = nil
	}
}

// Break makes all calls return err until Break(nil).
func (m *Memory) Break(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
	m.change()
}

// Entries returns all entries that are there.
func (m *Memory) Entries() []shared.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.entries)
}

// ready waits while the engine is paused. It locks mu if it returns no error.
func (m *Memory) ready(ctx, node context.Context) error {
	for {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case node.Err() != nil:
			return node.Err()
		}
		m.mu.Lock()
		paused, down := m.paused, m.down
		if paused == nil && down == nil {
			return nil
		}
		m.mu.Unlock()
		if down != nil {
			return down
		}
		select {
		case <-paused:
		case <-ctx.Done():
		case <-node.Done():
		}
	}
}

// Node returns a connection to the sequence.
func (m *Memory) Node() shared.Sequence {
	ctx, stop := context.WithCancel(context.Background())
	return &node{m, ctx, stop}
}

type node struct {
	m    *Memory
	ctx  context.Context
	stop context.CancelFunc
}

func (m *Memory) fence() string { return fmt.Sprint("life ", m.life) }

// add needs mu.
func (m *Memory) add(entry []byte) {
	now := time.Now
	if m.Now != nil {
		now = m.Now
	}
	m.last++
	m.entries = append(m.entries, shared.Entry{N: m.last, Time: now().Round(0), Data: slices.Clone(entry)})
}

func (n *node) Append(ctx context.Context, fence string, entry []byte) error {
	m := n.m
	if err := m.ready(ctx, n.ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	switch {
	case fence != m.fence():
		return shared.ErrMoved
	case m.Most > 0 && len(m.entries) >= m.Most:
		return shared.ErrFull
	case len(entry) > n.Limits().Entry:
		return fmt.Errorf("%w: %d bytes are too many", shared.ErrRefused, len(entry))
	}
	fate := Accept
	if m.Fate != nil {
		fate = m.Fate(entry)
	}
	defer m.change()
	switch fate {
	case Drop:
		return errLost
	case Delay:
		m.delayed = append(m.delayed, slices.Clone(entry))
		return errLost
	case Duplicate:
		m.add(entry)
	}
	m.add(entry)
	for _, late := range m.delayed {
		m.add(late)
	}
	m.delayed = nil
	if fate == DropAck {
		return errLost
	}
	return nil
}

// followBatch is small, so that a reader stops between entries often.
const followBatch = 64

func (n *node) Follow(ctx context.Context, fence string, from uint64) iter.Seq2[[]shared.Entry, error] {
	return func(yield func([]shared.Entry, error) bool) {
		for {
			batch, grown, err := n.page(ctx, fence, from)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(batch) > 0 {
				from = batch[len(batch)-1].N + 1
				if !yield(batch, nil) {
					return
				}
				continue
			}
			select {
			case <-grown:
			case <-ctx.Done():
			case <-n.ctx.Done():
			}
		}
	}
}

func (n *node) page(ctx context.Context, fence string, from uint64) ([]shared.Entry, <-chan struct{}, error) {
	m := n.m
	if err := m.ready(ctx, n.ctx); err != nil {
		return nil, nil, err
	}
	defer m.mu.Unlock()
	switch {
	case fence != m.fence():
		return nil, nil, shared.ErrMoved
	case from <= m.first:
		return nil, nil, shared.ErrTrimmed
	}
	if m.grown == nil {
		m.grown = make(chan struct{})
	}
	i, _ := slices.BinarySearchFunc(m.entries, from, func(e shared.Entry, n uint64) int { return int(int64(e.N) - int64(n)) })
	return slices.Clone(m.entries[i:min(len(m.entries), i+followBatch)]), m.grown, nil
}

func (n *node) Ends(ctx context.Context) (shared.Ends, error) {
	m := n.m
	if err := m.ready(ctx, n.ctx); err != nil {
		return shared.Ends{}, err
	}
	defer m.mu.Unlock()
	last := m.first
	if n := len(m.entries); n > 0 {
		last = m.entries[n-1].N
	}
	return shared.Ends{First: m.first + 1, Last: last, Fence: m.fence()}, nil
}

func (n *node) Trim(ctx context.Context, upTo uint64) error {
	m := n.m
	if err := m.ready(ctx, n.ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.first = min(max(m.first, upTo), m.last)
	m.entries = slices.DeleteFunc(m.entries, func(e shared.Entry) bool { return e.N <= m.first })
	m.change()
	return nil
}

func (n *node) Replace(ctx context.Context, number uint64, entry []byte) error {
	m := n.m
	if err := m.ready(ctx, n.ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for i := range m.entries {
		if m.entries[i].N == number {
			m.entries[i].Data = slices.Clone(entry)
		}
	}
	return nil
}

func (n *node) Limits() shared.Limits {
	l := shared.Limits{Entry: n.m.Largest, Durable: "until the end of the test"}
	if l.Entry == 0 {
		l.Entry = 1 << 20
	}
	return l
}

func (n *node) Close() error {
	n.stop()
	return nil
}
