// Package sequencetest is the conformance suite for the sequences of package shared, and a
// sequence in memory whose faults tests inject.
package sequencetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog/shared"
)

// Open returns a new, empty sequence, and a function that connects to it once more, as
// another node does. The test closes what they return.
type Open func(t *testing.T) (s shared.Sequence, another func() shared.Sequence)

// Run tests the engine that open opens. A test waits at most 10 s for an entry.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, shared.Sequence, shared.Sequence){
		"Order":      testOrder,
		"From":       testFrom,
		"Empty":      testEmpty,
		"Trim":       testTrim,
		"Replace":    testReplace,
		"Largest":    testLargest,
		"Moved":      testMoved,
		"Concurrent": testConcurrent,
		"Ended":      testEnded,
		"Bus":        testBus,
	} {
		t.Run(name, func(t *testing.T) {
			a, another := open(t)
			b := another()
			t.Cleanup(func() {
				if err := errors.Join(a.Close(), b.Close()); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test(t, a, b)
		})
	}
}

func ends(t *testing.T, s shared.Sequence) shared.Ends {
	t.Helper()
	e, err := s.Ends(t.Context())
	if err != nil {
		t.Fatalf("Ends: %v", err)
	}
	return e
}

func add(t *testing.T, s shared.Sequence, entries ...string) {
	t.Helper()
	fence := ends(t, s).Fence
	for _, e := range entries {
		if err := s.Append(t.Context(), fence, []byte(e)); err != nil {
			t.Fatalf("Append: %v", err)
		}
	}
}

// take follows s until it has n entries.
func take(t *testing.T, s shared.Sequence, from uint64, n int) (got []shared.Entry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for batch, err := range s.Follow(ctx, ends(t, s).Fence, from) {
		if err != nil {
			t.Fatalf("Follow from %d, after %d of %d entries: %v", from, len(got), n, err)
		}
		if got = append(got, batch...); len(got) >= n {
			break
		}
	}
	return got
}

// followError follows s until an error.
func followError(entries iter.Seq2[[]shared.Entry, error]) (err error) {
	for _, err = range entries {
	}
	return err
}

func text(entries []shared.Entry) (s string) {
	for _, e := range entries {
		s += string(e.Data) + " "
	}
	return s
}

// testOrder checks that two readers see the same entries with the same numbers and times.
func testOrder(t *testing.T, a, b shared.Sequence) {
	before := time.Now()
	add(t, a, "1", "2")
	add(t, b, "3")
	add(t, a, "4")
	x, y := take(t, a, 1, 4), take(t, b, 1, 4)
	if text(x) != "1 2 3 4 " {
		t.Fatalf("the entries are %s", text(x))
	}
	for i := range x {
		if x[i].N != y[i].N || !x[i].Time.Equal(y[i].Time) || !bytes.Equal(x[i].Data, y[i].Data) {
			t.Errorf("one reader has %+v, the other %+v", x[i], y[i])
		}
		if i > 0 && x[i].N <= x[i-1].N || x[i].N == 0 || x[i].N >= 1<<48 {
			t.Errorf("number %d follows %d", x[i].N, x[max(0, i-1)].N)
		}
		if x[i].Time.Sub(before).Abs() > time.Minute {
			t.Errorf("an entry of now has the time %v", x[i].Time)
		}
	}
	if e := ends(t, b); e.First != x[0].N || e.Last < x[3].N {
		t.Errorf("the ends are %+v, the entries %d to %d", e, x[0].N, x[3].N)
	}
}

// testFrom begins in the middle, at the end, and beyond it.
func testFrom(t *testing.T, a, b shared.Sequence) {
	add(t, a, "1", "2", "3")
	all := take(t, a, 1, 3)
	if got := take(t, b, all[1].N, 2); text(got) != "2 3 " || got[0].N != all[1].N {
		t.Errorf("from the second: %s", text(got))
	}
	waited := make(chan []shared.Entry)
	go func() { waited <- take(t, b, all[2].N+1, 2) }()
	add(t, a, "4", "5")
	if got := <-waited; text(got) != "4 5 " {
		t.Errorf("from the end on: %s", text(got))
	}
}

func testEmpty(t *testing.T, a, _ shared.Sequence) {
	if e := ends(t, a); e.First != e.Last+1 || e.Fence == "" {
		t.Errorf("the ends of nothing are %+v", e)
	}
	got := make(chan []shared.Entry)
	go func() { got <- take(t, a, 1, 1) }()
	add(t, a, "1")
	if got := <-got; text(got) != "1 " {
		t.Errorf("the first entry: %s", text(got))
	}
}

// testTrim checks that no reader skips over what was trimmed.
func testTrim(t *testing.T, a, b shared.Sequence) {
	add(t, a, "1", "2", "3", "4")
	all := take(t, a, 1, 4)
	for range 2 { // the second call finds nothing left
		if err := a.Trim(t.Context(), all[1].N); err != nil {
			t.Fatal(err)
		}
	}
	e := ends(t, b)
	if e.First <= all[1].N || e.First > all[2].N {
		t.Errorf("the first is %d; want %d", e.First, all[2].N)
	}
	for _, from := range []uint64{1, all[0].N, all[1].N} {
		if err := followError(b.Follow(t.Context(), e.Fence, from)); !errors.Is(err, shared.ErrTrimmed) {
			t.Errorf("from %d, which was trimmed: %v; want ErrTrimmed", from, err)
		}
	}
	if got := take(t, b, e.First, 2); text(got) != "3 4 " {
		t.Errorf("after the trim: %s", text(got))
	}
	if err := a.Trim(t.Context(), all[3].N); err != nil {
		t.Fatal(err)
	}
	if e := ends(t, b); e.First != e.Last+1 || e.Last < all[3].N {
		t.Errorf("all is trimmed, and the ends are %+v", e)
	}
	add(t, a, "5")
	if got := take(t, b, all[3].N+1, 1); text(got) != "5 " || got[0].N <= all[3].N {
		t.Errorf("after all was trimmed: %+v follows %d", got, all[3].N)
	}
}

func testReplace(t *testing.T, a, b shared.Sequence) {
	add(t, a, "1", "secret", "3")
	all := take(t, a, 1, 3)
	err := a.Replace(t.Context(), all[1].N, []byte("2"))
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this engine cannot replace an entry")
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := take(t, b, all[0].N, 3); text(got) != "1 2 3 " || got[1].N != all[1].N || !got[1].Time.Equal(all[1].Time) {
		t.Errorf("replaced %+v: got %+v", all, got)
	}
	if err := a.Trim(t.Context(), all[1].N); err != nil {
		t.Fatal(err)
	}
	if err := a.Replace(t.Context(), all[1].N, []byte("again")); err != nil {
		t.Errorf("an entry that is gone: %v", err)
	}
	if got := take(t, b, all[2].N, 1); text(got) != "3 " {
		t.Errorf("replacing an entry that is gone left %s", text(got))
	}
}

// testLargest appends an entry of the largest size, of all bytes, and one that is larger.
func testLargest(t *testing.T, a, b shared.Sequence) {
	l := a.Limits()
	if l.Entry < 64<<10 || l.Durable == "" {
		t.Fatalf("Limits = %+v", l)
	}
	entry := make([]byte, l.Entry)
	for i := range entry {
		entry[i] = byte(i * 7)
	}
	add(t, a, string(entry))
	if got := take(t, b, 1, 1); !bytes.Equal(got[0].Data, entry) {
		t.Errorf("an entry of %d bytes came back as %d bytes, or others", len(entry), len(got[0].Data))
	}
	err := a.Append(t.Context(), ends(t, a).Fence, append(entry, 0))
	if !errors.Is(err, shared.ErrRefused) {
		t.Errorf("an entry of %d bytes: %v; want ErrRefused", len(entry)+1, err)
	}
}

// testMoved names a life that the engine does not have.
func testMoved(t *testing.T, a, _ shared.Sequence) {
	add(t, a, "1")
	if err := followError(a.Follow(t.Context(), "another life", 1)); !errors.Is(err, shared.ErrMoved) {
		t.Errorf("Follow: %v; want ErrMoved", err)
	}
	if err := a.Append(t.Context(), "another life", []byte("2")); err != nil && !errors.Is(err, shared.ErrMoved) {
		t.Errorf("Append: %v; want ErrMoved, or success if the engine cannot tell", err)
	}
}

// testConcurrent appends on two connections at once. Both must see one order, in which each
// writer's entries stand as it wrote them.
func testConcurrent(t *testing.T, a, b shared.Sequence) {
	const writers, each = 4, 50
	fence := ends(t, a).Fence
	var wg sync.WaitGroup
	orders := make([][]shared.Entry, 2)
	for i, s := range []shared.Sequence{a, b} {
		wg.Go(func() { orders[i] = take(t, s, 1, writers*each) })
		for w := range writers / 2 {
			wg.Go(func() {
				for k := range each {
					if err := s.Append(t.Context(), fence, fmt.Appendf(nil, "%d/%03d", 2*w+i, k)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	if x, y := text(orders[0]), text(orders[1]); x != y {
		t.Errorf("the orders differ:\n%s\n%s", x, y)
	}
	last := map[byte]string{}
	for _, e := range orders[0] {
		if d := string(e.Data); d <= last[d[0]] {
			t.Errorf("%s came after %s", d, last[d[0]])
		}
		last[e.Data[0]] = string(e.Data)
	}
}

// testEnded ends the context of calls, and then the connection.
func testEnded(t *testing.T, a, b shared.Sequence) {
	fence := ends(t, a).Fence
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- followError(a.Follow(ctx, fence, 1)) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Follow ended with %v; want context.Canceled", err)
	}
	if err := a.Append(ctx, fence, []byte("x")); err == nil {
		t.Error("Append with an ended context was accepted")
	}
	go func() { ended <- followError(b.Follow(t.Context(), fence, 1)) }()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("Follow ended without an error when the connection was closed")
	}
}

// testBus sends messages, of which one at least must arrive everywhere.
func testBus(t *testing.T, a, b shared.Sequence) {
	from, ok := a.(shared.Bus)
	if !ok {
		t.Skip("this sequence has no bus")
	}
	message := bytes.Repeat([]byte{0, 1, 0xff, '\n'}, 7<<10/4)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	sent, stop := context.WithCancel(ctx)
	for _, s := range []shared.Sequence{a, b} {
		wg.Go(func() {
			for got := range s.(shared.Bus).Receive(ctx) {
				if !bytes.Equal(got, message) {
					t.Errorf("received %d bytes, of %d, or others", len(got), len(message))
				}
				return
			}
			t.Error("nothing was received")
		})
	}
	go func() {
		for sent.Err() == nil { // messages may be lost
			if err := from.Send(sent, message); err != nil && sent.Err() == nil {
				t.Errorf("Send: %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	wg.Wait()
	stop()
}
