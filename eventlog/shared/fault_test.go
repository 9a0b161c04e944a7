package shared_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/shared"
	"github.com/tidings-sse/tidings/eventlog/shared/sequencetest"
)

// A cluster is some nodes on one sequence, and what their publishers were answered.
type cluster struct {
	t     *testing.T
	m     *sequencetest.Memory
	o     shared.Options
	disks []vfs.FS

	mu    sync.RWMutex
	nodes []*shared.Log

	answers sync.Mutex
	ids     map[eventlog.ID]string // of every event that a publisher was answered
	keys    map[string]eventlog.ID // of events with a key
}

func newCluster(t *testing.T, m *sequencetest.Memory, o shared.Options, nodes int) *cluster {
	c := &cluster{t: t, m: m, o: o, ids: map[eventlog.ID]string{}, keys: map[string]eventlog.ID{}}
	for range nodes {
		fs := vfs.NewMem()
		c.disks = append(c.disks, fs)
		c.nodes = append(c.nodes, openNode(t, m, fs, o))
	}
	return c
}

func (c *cluster) node(i int) *shared.Log {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.nodes[i]
}

// restart closes and opens a node.
func (c *cluster) restart(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.nodes[i].Close(); err != nil {
		c.t.Errorf("Close: %v", err)
	}
	c.nodes[i] = openNode(c.t, c.m, c.disks[i], c.o)
}

// publish publishes a record on a node until it has an answer. Without a key it tries
// once, and reports whether that was successful.
func (c *cluster) publish(node int, r eventlog.Record) bool {
	for {
		results, err := c.node(node).Append(c.t.Context(), r)
		if err == nil && results[0].Err == nil {
			c.note(results[0], &r)
			return true
		}
		if err == nil {
			c.t.Errorf("%s: %v", r.Data, results[0].Err)
			return false
		}
		if !errors.Is(err, eventlog.ErrUncertain) && !errors.Is(err, eventlog.ErrUnavailable) && !errors.Is(err, eventlog.ErrClosed) {
			c.t.Errorf("%s: %v", r.Data, err)
		}
		if r.Key == "" && errors.Is(err, eventlog.ErrUncertain) || c.t.Context().Err() != nil {
			return false
		}
		time.Sleep(time.Millisecond)
	}
}

// note records what a publisher was answered. No id may name two events, and no key two ids.
func (c *cluster) note(result eventlog.Result, r *eventlog.Record) {
	c.answers.Lock()
	defer c.answers.Unlock()
	if data, ok := c.ids[result.ID]; ok && data != string(r.Data) {
		c.t.Errorf("%v is the id of %s and of %s", result.ID, data, r.Data)
	}
	c.ids[result.ID] = string(r.Data)
	if r.Key == "" {
		return
	}
	if id, ok := c.keys[r.Key]; ok && id != result.ID {
		c.t.Errorf("the key %s has the ids %v and %v", r.Key, id, result.ID)
	}
	c.keys[r.Key] = result.ID
}

// settled waits until all nodes have applied the same entry, and returns the events of each.
func (c *cluster) settled() (events [][]*eventlog.Event) {
	c.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for i := range c.nodes {
		ctx, cancel := context.WithDeadline(c.t.Context(), deadline)
		if err := c.node(i).Ready(ctx); err != nil {
			c.t.Fatalf("node %d is not ready: %v", i, err)
		}
		cancel()
	}
	for {
		var at []uint64
		for i := range c.nodes {
			n, _ := c.node(i).Applied()
			at = append(at, n)
		}
		if all := c.m.Entries(); slices.Min(at) == all[len(all)-1].N && c.dropped() {
			break
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the nodes are at %v", at)
		}
		time.Sleep(time.Millisecond)
	}
	for i := range c.nodes {
		events = append(events, readAll(c.t, c.node(i)))
	}
	return events
}

// dropped reports whether all nodes have dropped the same events.
func (c *cluster) dropped() bool {
	var all []eventlog.Bounds
	for i := range c.nodes {
		b, err := c.node(i).Bounds(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, b)
	}
	return len(slices.Compact(all)) == 1
}

func readAll(t *testing.T, l *shared.Log) (events []*eventlog.Event) {
	t.Helper()
	b, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range l.Read(t.Context(), b.Origin, eventlog.Query{}) {
		if errors.As(err, new(*eventlog.TrimmedError)) {
			return readAll(t, l)
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// check compares the nodes with each other and with what publishers were answered. lost says that
// events may be missing.
func (c *cluster) check(lost bool) {
	c.t.Helper()
	all := c.settled()
	text := func(e *eventlog.Event) string { return fmt.Sprint(e.ID, e.Time.UnixNano(), e.Record) }
	for i := range all {
		if !slices.EqualFunc(all[i], all[0], func(a, b *eventlog.Event) bool { return text(a) == text(b) }) {
			c.t.Errorf("node %d has %d events, node 0 has %d, or others", i, len(all[i]), len(all[0]))
		}
	}
	there := map[eventlog.ID]bool{}
	data := map[string]eventlog.ID{}
	for _, e := range all[0] {
		there[e.ID] = true
		if id, ok := data[string(e.Data)]; ok {
			c.t.Errorf("%s is there twice: at %v and %v", e.Data, id, e.ID)
		}
		data[string(e.Data)] = e.ID
		if told, ok := c.ids[e.ID]; ok && told != string(e.Data) {
			c.t.Errorf("%v is %s, and a publisher was answered %s", e.ID, e.Data, told)
		}
	}
	for id, what := range c.ids {
		if !there[id] && !lost {
			c.t.Errorf("%s, which was acknowledged as %v, is not there; it is %v", what, id, data[what])
		}
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the nodes did not %s within 10 s", what)
		}
	}
}

// faults makes an engine fail in every way, with a probability for each.
func faults(seed uint64) func([]byte) sequencetest.Fate {
	rng := rand.New(rand.NewPCG(seed, 2)) // Fate is called under a lock
	return func([]byte) sequencetest.Fate {
		if n := rng.IntN(20); n <= int(sequencetest.Delay) {
			return sequencetest.Fate(n)
		}
		return sequencetest.Accept
	}
}

// TestFaults publishes on three nodes, while acknowledgements and entries get lost, come twice
// or late, the engine pauses, and nodes are restarted. What was acknowledged must be there once,
// under the id that was answered, on all nodes.
func TestFaults(t *testing.T) {
	for name, o := range map[string]shared.Options{
		"Span": quick(eventlog.Retention{}),
		"Tiny": quick(eventlog.Retention{}).WithSpan(3, 4), // so that entries are often void
	} {
		t.Run(name, func(t *testing.T) {
			m := &sequencetest.Memory{Fate: faults(1)}
			c := newCluster(t, m, o, 3)
			const publishers, each = 6, 40
			var wg sync.WaitGroup
			for p := range publishers {
				wg.Go(func() {
					for i := range each {
						r := eventlog.Record{Topics: []string{"t"}, Data: fmt.Append(nil, p, "/", i)}
						if i%2 == 0 {
							r.Key = string(r.Data)
						}
						if i%6 != 0 {
							c.publish(p%3, r)
							continue
						}
						var both sync.WaitGroup // the same key on two nodes at once
						both.Go(func() { c.publish(p%3, r) })
						both.Go(func() { c.publish((p+1)%3, r) })
						both.Wait()
					}
				})
			}
			stop := make(chan struct{})
			var chaos sync.WaitGroup
			chaos.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(30 * time.Millisecond):
					}
					switch i % 4 {
					case 0:
						m.Skip(3)
					case 1:
						m.Pause()
					case 2:
						m.Resume()
					case 3:
						c.restart(i % 3)
					}
				}
			})
			wg.Wait()
			close(stop)
			chaos.Wait()
			m.Resume()
			c.check(false)
			if len(c.ids) < publishers*each/2 {
				t.Errorf("only %d events were acknowledged", len(c.ids))
			}
		})
	}
}

// TestLostTail lets the engine lose acknowledged entries, and assign their numbers again. A new
// term must begin. No id may name another event than before, and a position that was
// lost must be reported as such.
func TestLostTail(t *testing.T) {
	for _, tt := range []struct {
		name  string
		told  bool // the engine's fence changes
		plain bool // the lost entries have only added events
		down  bool // a node is down meanwhile
	}{
		{name: "Told", told: true, plain: true},
		{name: "Untold", plain: true},
		{name: "Deleted", told: true},
		{name: "Down", told: true, plain: true, down: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := new(sequencetest.Memory)
			c := newCluster(t, m, quick(eventlog.Retention{}), 2)
			publish := func(from, to int) {
				for i := from; i < to; i++ {
					c.publish(i%2, eventlog.Record{Topics: []string{"t"}, Data: fmt.Append(nil, i), Key: fmt.Sprint("key", i)})
				}
			}
			publish(0, 20)
			before := c.settled()[0]
			branch := m.Entries()[len(m.Entries())-1].N
			publish(20, 30)
			if !tt.plain {
				if _, err := c.node(0).Delete(t.Context(), eventlog.ID{}, eventlog.Query{Limit: 1}); err != nil {
					t.Fatal(err)
				}
			}
			lost := c.settled()[1]
			lost = lost[len(lost)-10:]
			if tt.down {
				if err := c.nodes[1].Close(); err != nil {
					t.Fatal(err)
				}
			}
			m.Cut(branch, tt.told)
			c.keys = map[string]eventlog.ID{} // those that were lost may have other ids now
			if tt.down {
				c.nodes[1] = openNode(t, m, c.disks[1], c.o)
			}
			for i := range c.nodes {
				eventually(t, "notice the loss", func() bool { return len(c.node(i).Losses()) > 0 })
			}
			publish(20, 60)
			c.check(true)
			after := c.settled()[1]
			for i := range 20 {
				if after[i].ID != before[i].ID {
					t.Errorf("event %d, from before, has the id %v instead of %v", i, after[i].ID, before[i].ID)
				}
			}
			if len(after) != 60 {
				t.Errorf("%d events are there; want 60, of which 10 were published again", len(after))
			}
			for i := range c.nodes {
				for _, e := range lost {
					var gap *eventlog.LostError
					if err := c.node(i).Await(t.Context(), e.ID); !errors.As(err, &gap) || gap.Branch.Compare(before[19].ID) < 0 || gap.Branch.Compare(after[20].ID) >= 0 {
						t.Errorf("node %d, %v, which was lost: %v", i, e.ID, err)
					}
				}
				if err := c.node(i).Await(t.Context(), before[19].ID); err != nil {
					t.Errorf("node %d, the last position that was not lost: %v", i, err)
				}
			}
		})
	}
}

// TestJoin trims the sequence, and lets a node join, and one come back that was away too
// long.
func TestJoin(t *testing.T) {
	m := new(sequencetest.Memory)
	c := newCluster(t, m, quick(eventlog.Retention{Events: 40}).WithSpan(8, 64), 2)
	ctx := t.Context()
	if err := c.node(0).Facts().Put(ctx, "old", []byte("kept"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := c.node(0).Facts().Put(ctx, "gone", []byte("x"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := c.node(1).Facts().Remove(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	if err := c.node(0).Raise(ctx, 3); err != nil {
		t.Fatal(err)
	}
	c.settled()
	if err := c.nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	first := uint64(0)
	for i := 0; first < 100; i++ {
		c.publish(0, eventlog.Record{Topics: []string{"t"}, Data: fmt.Append(nil, i), Key: fmt.Sprint("key", i)})
		first = m.Entries()[0].N
	}
	c.nodes[1] = openNode(t, m, c.disks[1], c.o)
	c.nodes = append(c.nodes, openNode(t, m, vfs.NewMem(), c.o))
	c.check(true) // retention has dropped most
	for i := range c.nodes {
		if v, ok := c.node(i).Facts().Get("old"); !ok || string(v) != "kept" {
			t.Errorf("node %d: the fact is %q, %v", i, v, ok)
		}
		if v, ok := c.node(i).Facts().Get("gone"); ok {
			t.Errorf("node %d: the removed fact is %q", i, v)
		}
		if n := c.node(i).Level(); n != 3 {
			t.Errorf("node %d: the level is %d", i, n)
		}
	}
}

// A withheld engine adds no entries of one kind while it is closed.
type withheld struct {
	kind    byte
	closed  atomic.Bool
	dropped atomic.Int64
}

func (w *withheld) fate(entry []byte) sequencetest.Fate {
	if entry[2] != w.kind || !w.closed.Load() {
		return sequencetest.Accept
	}
	w.dropped.Add(1)
	return sequencetest.Drop
}

// lose publishes events, calls act while the engine adds no entries of the kind, and lets the
// engine lose the newest events and get others in their place. The entry of act comes after that.
func (w *withheld) lose(t *testing.T, act func(c *cluster, old []*eventlog.Event)) (c *cluster, others []*eventlog.Event) {
	t.Helper()
	m := &sequencetest.Memory{Fate: w.fate}
	w.closed.Store(true)
	c = newCluster(t, m, quick(eventlog.Retention{}), 2)
	publish := func(what string, n int) {
		for i := range n {
			if !c.publish(1, eventlog.Record{Topics: []string{"t"}, Data: fmt.Append(nil, what, i)}) {
				t.Fatalf("%s %d was not published", what, i)
			}
		}
	}
	publish("old", 60)
	act(c, c.settled()[0])
	eventually(t, "submit the entry", func() bool { return w.dropped.Load() > 0 })
	m.Cut(15, true)
	for i := range c.nodes {
		eventually(t, "notice the loss", func() bool { return len(c.node(i).Losses()) > 0 })
	}
	publish("new", 35)
	others = readAll(t, c.node(1))
	w.closed.Store(false)
	return c, others
}

// TestDeleteLost deletes an event that the engine loses before the deletion is there. By then
// another event has its number, and stays.
func TestDeleteLost(t *testing.T) {
	w := &withheld{kind: 2}
	done := make(chan string, 1)
	c, others := w.lose(t, func(c *cluster, old []*eventlog.Event) {
		go func() {
			id := old[25].ID
			n, err := c.node(0).Delete(t.Context(), id.Prev(), eventlog.Query{UpTo: id})
			done <- fmt.Sprint(n, err)
		}()
	})
	if got := <-done; got != "0 <nil>" {
		t.Errorf("deleting an event that is lost: %s; want 0 deleted", got)
	}
	for i, events := range c.settled() {
		if len(events) != len(others) {
			t.Errorf("node %d has %d events; want all %d", i, len(events), len(others))
		}
	}
}
