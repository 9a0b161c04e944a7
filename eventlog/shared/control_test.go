package shared_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/shared/sequencetest"
)

func TestFacts(t *testing.T) {
	var clock atomic.Int64
	m := &sequencetest.Memory{Now: func() time.Time { return time.Unix(clock.Load(), 0) }}
	clock.Store(1000)
	o := quick(eventlog.Retention{})
	o.Facts = 4000
	var ended atomic.Int64
	o.Clock = &eventlog.Clock{Read: func() (time.Time, time.Duration) {
		return time.Unix(clock.Load(), 0), time.Duration(clock.Load()) * time.Second
	}}
	o.Ended = func(filter []byte) { ended.Add(int64(len(filter))) }
	c := newCluster(t, m, o, 2)
	ctx, a, b := t.Context(), c.node(0).Facts(), c.node(1).Facts()
	var mu sync.Mutex
	var changes []string
	put := func(key, value string, until time.Time) {
		t.Helper()
		if err := a.Put(ctx, key, []byte(value), until); err != nil {
			t.Fatal(err)
		}
		if v, ok := a.Get(key); !ok || string(v) != value {
			t.Errorf("after Put, %s is %q, %v", key, v, ok)
		}
	}
	put("x", "1", time.Time{})
	c.settled()
	b.Watch(func(key string, value []byte, _ time.Time) {
		mu.Lock()
		defer mu.Unlock()
		changes = append(changes, fmt.Sprint(key, "=", string(value), value == nil))
	})
	put("x", "2", time.Time{})
	put("y", "3", time.Unix(1010, 0))
	if err := b.Remove(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	put("z", "4", time.Time{})
	c.settled()
	eventually(t, "report the last change", func() bool { // it comes after reads see the event
		mu.Lock()
		defer mu.Unlock()
		return len(changes) > 0 && changes[len(changes)-1] == "z=4false"
	})
	mu.Lock()
	got := fmt.Sprint(slices.Compact(changes)) // that of the moment of Watch may come twice
	mu.Unlock()
	if got != "[x=1false x=2false y=3false x=true z=4false]" {
		t.Errorf("the watcher heard %s", got)
	}
	clock.Store(1010)
	put("z", "5", time.Time{}) // so that the log's time moves
	if _, ok := a.Get("y"); ok {
		t.Error("a fact outlives its end")
	}
	if err := c.node(0).End(ctx, []byte("1234")); err != nil {
		t.Fatal(err)
	}
	c.settled()
	if ended.Load() != 8 {
		t.Errorf("the nodes were told to end %d bytes of filters; want 4 each", ended.Load())
	}
	if err := a.Put(ctx, "large", make([]byte, 4000), time.Time{}); !errors.Is(err, eventlog.ErrNoSpace) {
		t.Errorf("more facts than may be: %v; want ErrNoSpace", err)
	}
	for i := range c.nodes {
		c.restart(i)
		if v, ok := c.node(i).Facts().Get("z"); !ok || string(v) != "5" {
			t.Errorf("after a restart, z is %q, %v", v, ok)
		}
	}
}

// TestFactsSpace checks that facts which have ended leave their space to others, though the log is
// never trimmed, and that a fact may take the space of the one that it replaces.
func TestFactsSpace(t *testing.T) {
	var clock atomic.Int64
	clock.Store(1000)
	o := quick(eventlog.Retention{}).WithSpan(8, 64)
	o.Facts = 10_000
	l := openNode(t, &sequencetest.Memory{Now: func() time.Time { return time.Unix(clock.Load(), 0) }}, vfs.NewMem(), o)
	put := func(key string, size int, until time.Time) {
		t.Helper()
		if err := l.Facts().Put(t.Context(), key, make([]byte, size), until); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	for i := range 40 {
		put(fmt.Sprint("short", i), 60, time.Unix(1010, 0))
	}
	clock.Store(1020)
	for range 20 {
		if _, err := l.Append(t.Context(), eventlog.Record{Topics: []string{"t"}}); err != nil {
			t.Fatal(err)
		}
	}
	put("large", 8000, time.Time{})
	put("large", 9000, time.Time{})
}

// TestBackPressure stops the engine, and checks what publishers are answered, and that what waits is
// bounded.
func TestBackPressure(t *testing.T) {
	m := new(sequencetest.Memory)
	o := quick(eventlog.Retention{})
	o.Queue, o.Submitters = 100_000, 1
	l := openNode(t, m, vfs.NewMem(), o)
	m.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	r := eventlog.Record{Topics: []string{"t"}, Data: make([]byte, 10_000)}
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() {
			_, err := l.Append(ctx, r)
			errs <- err
		}()
	}
	refused := 0
	for range 11 { // nine fit
		if err := <-errs; !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("more than may wait: %v; want ErrUnavailable", err)
		}
		refused++
	}
	eventually(t, "submit an entry", func() bool { return l.Submitted() > 0 })
	cancel()
	uncertain, unavailable := 0, 0
	for range cap(errs) - refused {
		switch err := <-errs; {
		case errors.Is(err, eventlog.ErrUncertain) && errors.Is(err, context.Canceled):
			uncertain++
		case errors.Is(err, eventlog.ErrUnavailable) && errors.Is(err, context.Canceled):
			unavailable++
		default:
			t.Errorf("given up: %v", err)
		}
	}
	if uncertain == 0 {
		t.Error("nothing was submitted")
	}
	m.Resume()
	eventually(t, "publish again", func() bool { // once what was given up has left the queue
		_, err := l.Append(t.Context(), r)
		if err != nil && !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("the engine is back: %v", err)
		}
		return err == nil
	})
	got := len(readAll(t, l))
	if got < 1 || got > uncertain+1 {
		t.Errorf("%d events are there; %d were uncertain, and %d not submitted", got, uncertain, unavailable)
	}
}

// TestFull checks that a full engine refuses, and takes entries again.
func TestFull(t *testing.T) {
	m := &sequencetest.Memory{Most: 5}
	l := openNode(t, m, vfs.NewMem(), quick(eventlog.Retention{}))
	r := eventlog.Record{Topics: []string{"t"}}
	for range 4 {
		if _, err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Append(t.Context(), r); !errors.Is(err, eventlog.ErrNoSpace) {
		t.Errorf("a full engine: %v; want ErrNoSpace", err)
	}
	if err := m.Node().Trim(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), r); err != nil {
		t.Errorf("after a trim: %v", err)
	}
}

// TestLargest appends records that fill entries, and one that no entry can hold.
func TestLargest(t *testing.T) {
	m := &sequencetest.Memory{Largest: 64 << 10}
	l := openNode(t, m, vfs.NewMem(), quick(eventlog.Retention{}))
	var recs []eventlog.Record
	for i := range 50 {
		recs = append(recs, eventlog.Record{Topics: []string{"t"}, Data: make([]byte, 1000*i)})
	}
	if _, err := l.Append(t.Context(), recs...); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, l); len(got) != len(recs) {
		t.Errorf("%d events are there, of %d", len(got), len(recs))
	}
	if _, err := l.Append(t.Context(), eventlog.Record{Topics: []string{"t"}, Data: make([]byte, 64<<10)}); err == nil {
		t.Error("a record that no entry can hold was accepted")
	}
}

// TestTrimOfAnotherTerm composes trims. One that was decided in an earlier term names entries
// that may be lost by now, and is dropped.
func TestTrimOfAnotherTerm(t *testing.T) {
	l := openNode(t, new(sequencetest.Memory), vfs.NewMem(), quick(eventlog.Retention{}))
	if entry, err := l.ComposeTrim(1); entry || err != nil {
		t.Errorf("a trim of an earlier term: an entry %v, %v; want none", entry, err)
	}
	if entry, err := l.ComposeTrim(0); !entry || err != nil {
		t.Errorf("a trim of this term: no entry, %v", err)
	}
}
