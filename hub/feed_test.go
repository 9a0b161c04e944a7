package hub

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
)

// A booth is a feed without a hub.
type booth struct {
	t    *testing.T
	feed *feed
	n    uint64 // events so far
}

func newBooth(t *testing.T, held *budget.Share) *booth {
	t.Helper()
	f, err := newFeed(Subscription{Selectors: Everything()}, form{}, held)
	if err != nil {
		t.Fatal(err)
	}
	f.all = new(totals)
	return &booth{t: t, feed: f}
}

// enter attaches a cursor that is caught up.
func (s *booth) enter() *cursor {
	s.t.Helper()
	return s.enterAt(s.feed.last())
}

func (s *booth) enterAt(place eventlog.ID) *cursor {
	s.t.Helper()
	c := &cursor{place: place, waker: newSignal(), grant: new(Selectors)}
	if !s.feed.attach(c) {
		s.t.Fatal("it is not in the window")
	}
	return c
}

func (s *booth) add(b []byte) {
	s.n++
	e := &eventlog.Event{Record: eventlog.Record{Topics: []string{"t"}}, ID: eventlog.ID{Epoch: 1, Lo: s.n}, Time: time.Unix(0, 1)}
	s.feed.add(e, 0, func(*feed) ([]byte, guard) { return b, guardOf(e) })
}

// take sends all of a run.
func (s *booth) take(c *cursor, r run) {
	s.feed.advance(c, len(r.bytes), r.marks[len(r.marks)-1].id, eventlog.ID{}, 0)
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
		let func(s *booth, c *cursor, held *budget.Share)
	}{
		{"windows hold too much", func(s *booth, _ *cursor, held *budget.Share) {
			held.Add(held.Most())
			s.add(bytes.Repeat([]byte("more"), 1000))
			held.Give(held.Most())
		}},
		{"the pump was too slow", func(s *booth, _ *cursor, _ *budget.Share) { s.feed.skip(eventlog.ID{Epoch: 1, Lo: s.n}) }},
		{"another leaves, who has it, too", func(s *booth, _ *cursor, _ *budget.Share) {
			c := s.enterAt(s.feed.start)
			s.feed.peek(c)
			s.feed.leave(c)
		}},
		{"another is done with it", func(s *booth, _ *cursor, _ *budget.Share) {
			c := s.enterAt(s.feed.start)
			s.take(c, s.feed.peek(c))
		}},
		{"two others come and go", func(s *booth, _ *cursor, _ *budget.Share) {
			a, b := s.enterAt(s.feed.start), s.enter()
			s.add([]byte("more"))
			s.take(b, s.feed.peek(b))
			s.feed.leave(b)
			s.take(a, s.feed.peek(a))
		}},
	} {
		held := budget.New(0).Share(budget.Windows)
		s := newBooth(t, held)
		c := s.enter()
		want := bytes.Repeat([]byte("x"), 1000)
		s.add(want)
		r := s.feed.peek(c)
		before := fmt.Sprint(r.marks)
		tt.let(s, c, held)
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
	held := budget.New(0).Share(budget.Windows)
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
	held := budget.New(200 << 10).Share(budget.Windows)
	s := newBooth(t, held)
	slow, fast := s.enter(), s.enter()
	for range 100 {
		s.add(bytes.Repeat([]byte("x"), 1000))
		if held.Used() > held.Most() {
			t.Fatalf("the window takes %d bytes of %d", held.Used(), held.Most())
		}
		r := s.feed.peek(fast)
		if len(r.bytes) == 0 {
			break
		}
		s.take(fast, r)
	}
	s.feed.peek(slow)
	if slow.attached || fast.attached || held.Used() != 0 || held.Refused() == 0 {
		t.Errorf("%d bytes are held after %d refusals, slow %v, fast %v", held.Used(), held.Refused(), slow.attached, fast.attached)
	}
}

// TestLargeEventsKeepToBudget adds an event that pushes all earlier ones out of the
// window, and for which alone there is no room.
func TestLargeEventsKeepToBudget(t *testing.T) {
	held := budget.New(20 << 20).Share(budget.Windows)
	s := newBooth(t, held)
	c := s.enter()
	s.add(make([]byte, maxWindow/2))
	held.Add(held.Most() - held.Used() - maxWindow/4)
	others := held.Used() - s.feed.counted
	s.add(make([]byte, maxWindow))
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
	held := budget.New(0).Share(budget.Windows)
	s := newBooth(t, held)
	s.enter()
	event := strings.Repeat("x", 1<<20)
	for range 10 {
		s.n++
		e := &eventlog.Event{Record: eventlog.Record{Topics: []string{event[:4000], event[4000:8000]}, Private: true}, ID: eventlog.ID{Epoch: 1, Lo: s.n}}
		s.feed.add(e, 0, func(*feed) ([]byte, guard) { return []byte("x"), guardOf(e) })
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
