package feed

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

// A booth is a feed without a log.
type booth struct {
	t    *testing.T
	feed *Feed
	n    uint64 // events so far
}

func newBooth(t *testing.T, b *budget.Budget) *booth {
	t.Helper()
	set := &Set{windows: newWindowShare(b)}
	return &booth{t: t, feed: newFeed(set, Request{Selectors: topic.Everything(), Form: plain{}})}
}

// enter attaches a cursor that is caught up.
func (s *booth) enter() *Cursor {
	s.t.Helper()
	return s.enterAt(s.feed.last())
}

func (s *booth) enterAt(place eventlog.ID) *Cursor {
	s.t.Helper()
	c := &Cursor{feed: s.feed, place: place, Waiter: NewWaiter(newSignal()), grant: new(topic.Selectors)}
	if !s.feed.attach(c) {
		s.t.Fatal("it is not in the window")
	}
	return c
}

func (s *booth) add(b []byte) {
	s.n++
	e := &eventlog.Event{Record: eventlog.Record{Topics: []string{"t"}}, ID: eventlog.ID{Epoch: 1, Lo: s.n}, Time: time.Unix(0, 1)}
	s.feed.add(e, 0, func(*Feed) ([]byte, guard) { return b, guardOf(e) })
}

// take sends all of a run.
func (s *booth) take(c *Cursor, r run) {
	s.feed.advance(c, &Step{Bytes: len(r.bytes), place: r.marks[len(r.marks)-1].id})
}

// scribble overwrites memory that windows have released, until the test ends, so that a
// stream that still refers to it is found out.
func scribble(t *testing.T) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Microsecond):
			}
			r := rooms.Get().(*room)
			b, marks := r.buf[:cap(r.buf)], r.marks[:cap(r.marks)]
			for i := range b {
				b[i] = '!'
			}
			for i := range marks {
				marks[i] = mark{end: 1 << 60}
			}
			rooms.Put(r)
		}
	})
	t.Cleanup(func() {
		close(done)
		running.Wait()
	})
}

// TestWindowMemory empties a window in each possible way while a stream refers to a part
// of it and other windows need memory.
func TestWindowMemory(t *testing.T) {
	for _, tt := range []struct {
		why string
		let func(s *booth, c *Cursor)
	}{
		{"windows hold too much", func(s *booth, _ *Cursor) {
			large := s.feed.set.windows.large
			large.Add(large.Most())
			s.add(bytes.Repeat([]byte("more"), 1000))
			large.Give(large.Most())
		}},
		{"the pump was too slow", func(s *booth, _ *Cursor) { s.feed.skip(eventlog.ID{Epoch: 1, Lo: s.n}) }},
		{"another leaves, who has it, too", func(s *booth, _ *Cursor) {
			c := s.enterAt(s.feed.start)
			s.feed.peek(c)
			s.feed.leave(c)
		}},
		{"another is done with it", func(s *booth, _ *Cursor) {
			c := s.enterAt(s.feed.start)
			s.take(c, s.feed.peek(c))
		}},
		{"two others come and go", func(s *booth, _ *Cursor) {
			a, b := s.enterAt(s.feed.start), s.enter()
			s.add([]byte("more"))
			s.take(b, s.feed.peek(b))
			s.feed.leave(b)
			s.take(a, s.feed.peek(a))
		}},
	} {
		held := budget.New(0)
		s := newBooth(t, held)
		c := s.enter()
		want := bytes.Repeat([]byte("x"), 1000)
		s.add(want)
		r := s.feed.peek(c)
		before := fmt.Sprint(r.marks)
		tt.let(s, c)
		for range 10 {
			others := newBooth(t, held)
			others.enter()
			others.add(bytes.Repeat([]byte("y"), 1000))
		}
		if !bytes.Equal(r.bytes, want) || fmt.Sprint(r.marks) != before {
			t.Errorf("when %s, what a stream has changes", tt.why)
		}
	}
}

// TestWindowMemoryReused counts the allocations that an event costs a feed of one stream
// that sends it at once.
func TestWindowMemoryReused(t *testing.T) {
	held := budget.New(0)
	s := newBooth(t, held)
	c := s.enter()
	b := bytes.Repeat([]byte("x"), 1000)
	got := testing.AllocsPerRun(1000, func() {
		s.add(b)
		s.take(c, s.feed.peek(c))
	})
	if got > 2 { // one is the event; under the race detector, sync.Pool drops some items
		t.Errorf("%v allocations", got)
	}
	if held.Used() != 0 || s.feed.behind != 0 {
		t.Errorf("it holds %d bytes, and %d are behind", held.Used(), s.feed.behind)
	}
}

// TestWindowsKeepToBudget publishes to a stream that sends nothing and to one that sends
// everything, until the budget has no room. Both must then read the log.
func TestWindowsKeepToBudget(t *testing.T) {
	b := budget.New(200 << 10)
	small, large := b.Share(budget.SmallWindows), b.Share(budget.Windows)
	s := newBooth(t, b)
	slow, fast := s.enter(), s.enter()
	lag := func() (read bool) {
		for range 100 {
			s.add(bytes.Repeat([]byte("x"), 1000))
			if large.Used() > large.Most() || small.Used() > small.Most() {
				t.Fatalf("the window takes %d and %d bytes of %d and %d", large.Used(), small.Used(), large.Most(), small.Most())
			}
			r := s.feed.peek(fast)
			if len(r.bytes) == 0 {
				return false
			}
			s.take(fast, r)
		}
		return true
	}
	if !lag() || large.Refused() == 0 {
		t.Errorf("one that keeps up has to read the log after %d refusals", large.Refused())
	}
	s.feed.peek(slow)
	if slow.attached {
		t.Error("one that lags does not read the log")
	}
	slow = s.enter()
	b.Share(budget.Publishes).Add(b.Limit()) // the whole account is full, so there is not even room for small windows
	if lag() || small.Refused() == 0 || s.feed.set.windows.used() != 0 {
		t.Errorf("%d bytes are held after %d refusals", s.feed.set.windows.used(), small.Refused())
	}
	s.feed.peek(slow)
	if slow.attached || fast.attached {
		t.Errorf("they do not read the log: slow %v, fast %v", slow.attached, fast.attached)
	}
}

// TestLagLeavesRoomToKeepUp fills all of the budget but the part of small windows with
// what lagging streams and others hold. A stream that keeps up must not have to read the
// log.
func TestLagLeavesRoomToKeepUp(t *testing.T) {
	b := budget.New(1 << 20)
	for _, u := range budget.Uses() {
		for u != budget.SmallWindows && u != budget.Connections && b.Share(u).Take(1000) {
		}
	}
	s := newBooth(t, b)
	s.enter() // lags
	fast := s.enter()
	for range 100 {
		s.add(bytes.Repeat([]byte("x"), 1000))
		r := s.feed.peek(fast)
		if len(r.bytes) == 0 {
			t.Fatalf("it has to read the log, with %d of %d bytes held", b.Used(), b.Limit())
		}
		s.take(fast, r)
	}
}

// TestLagTakesNoSmallWindow checks that a feed whose streams all lag loses its small
// window after a few events, when there is no other room.
func TestLagTakesNoSmallWindow(t *testing.T) {
	b := budget.New(1 << 20)
	small, large := b.Share(budget.SmallWindows), b.Share(budget.Windows)
	large.Add(large.Most())
	s := newBooth(t, b)
	lags := s.enter()
	for i := range nearEvents + 1 {
		s.add(bytes.Repeat([]byte("x"), 100))
		if held := small.Used() > 0; held != (i < nearEvents) {
			t.Errorf("after event %d, a small window is held: %v", i, held)
		}
	}
	if s.feed.peek(lags); lags.attached {
		t.Error("the stream does not read the log")
	}
}

// TestJoiningKeepsASmallWindow checks that a stream that is about to attach finds the next
// events in the window, although others lag and there is no other room.
func TestJoiningKeepsASmallWindow(t *testing.T) {
	b := budget.New(1 << 20)
	b.Share(budget.Windows).Add(b.Share(budget.Windows).Most())
	s := newBooth(t, b)
	s.enter() // lags
	for range nearEvents + 1 {
		s.add([]byte("x"))
	}
	c := &Cursor{feed: s.feed, place: s.feed.last(), Waiter: NewWaiter(newSignal()), grant: new(topic.Selectors)}
	s.feed.join(c)
	s.add([]byte("hello"))
	if !s.feed.attach(c) {
		t.Fatal("the stream cannot attach")
	}
	if r := s.feed.peek(c); string(r.bytes) != "hello" {
		t.Errorf("the stream gets %q", r.bytes)
	}
}

// TestSmallWindowsUseTheOtherShare fills the share of small windows. A feed with a stream
// that keeps up must draw on the other.
func TestSmallWindowsUseTheOtherShare(t *testing.T) {
	b := budget.New(1 << 20)
	small, large := b.Share(budget.SmallWindows), b.Share(budget.Windows)
	small.Add(small.Most())
	s := newBooth(t, b)
	c := s.enter()
	s.add([]byte("hello"))
	if large.Used() == 0 {
		t.Error("the window is not counted as a large one")
	}
	if r := s.feed.peek(c); string(r.bytes) != "hello" {
		t.Errorf("the stream gets %q", r.bytes)
	}
	s.feed.leave(c)
	if large.Used() != 0 || small.Used() != small.Most() {
		t.Errorf("%d and %d bytes are still held", large.Used(), small.Used()-small.Most())
	}
}

// TestLargeEventsKeepToBudget adds an event that pushes all earlier ones out of the
// window, and for which alone there is no room.
func TestLargeEventsKeepToBudget(t *testing.T) {
	b := budget.New(20 << 20)
	held := b.Share(budget.Windows)
	s := newBooth(t, b)
	c := s.enter()
	s.add(make([]byte, MaxWindow/2))
	held.Add(held.Most() - held.Used() - MaxWindow/4)
	others := held.Used() - s.feed.counted
	s.add(make([]byte, MaxWindow))
	if s.feed.bytes != nil || held.Used() != others {
		t.Errorf("a window of %d bytes is counted as %d", cap(s.feed.bytes), held.Used()-others)
	}
	s.feed.peek(c)
	if c.attached {
		t.Error("its stream does not read the log")
	}
}

// TestGuardsAreCounted checks that the topics of private events in a window are counted,
// and that the window holds nothing else of the events.
func TestGuardsAreCounted(t *testing.T) {
	held := budget.New(0)
	s := newBooth(t, held)
	s.enter()
	event := strings.Repeat("x", 1<<20)
	for range 10 {
		s.n++
		e := &eventlog.Event{Record: eventlog.Record{Topics: []string{event[:4000], event[4000:8000]}, Private: true}, ID: eventlog.ID{Epoch: 1, Lo: s.n}}
		s.feed.add(e, 0, func(*Feed) ([]byte, guard) { return []byte("x"), guardOf(e) })
	}
	if n := held.Used(); n < 80_000 || n > 100_000 {
		t.Errorf("ten guards of 8,000 bytes are counted as %d", n)
	}
	for _, m := range s.feed.marks {
		if at := uintptr(unsafe.Pointer(unsafe.StringData(m.private[0]))) - uintptr(unsafe.Pointer(unsafe.StringData(event))); at < uintptr(len(event)) {
			t.Error("a guard is a part of the event")
		}
	}
	s.feed.drop(5)
	s.feed.count()
	if n := held.Used(); n < 40_000 || n > 50_000 {
		t.Errorf("five guards of 8,000 bytes are counted as %d", n)
	}
}

// TestLargeEventIsNotCopied checks that a large event is in memory once, however many
// windows refer to it: a copy for each feed would hold up live delivery.
func TestLargeEventIsNotCopied(t *testing.T) {
	data := bytes.Repeat([]byte("x"), MaxWindow-1000)
	var first *byte
	for range 2 {
		s := newBooth(t, budget.New(0))
		c := s.enter()
		for i := range 2 { // the second takes the place of the first
			s.add(data[i:])
			at := unsafe.SliceData(s.feed.bytes)
			if at != &data[i] {
				t.Errorf("event %d of %d bytes was copied", i, len(data))
			}
			if first == nil {
				first = at
			}
		}
		s.add([]byte("small"))
		if r := s.feed.peek(c); len(r.bytes) > 0 && !bytes.HasSuffix(s.feed.bytes, []byte("small")) {
			t.Error("what follows a large event is not there")
		}
	}
	if string(data[:1]) != "x" || data[len(data)-1] != 'x' || *first != 'x' {
		t.Error("an event's bytes were changed")
	}
}
