package feed

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/pace"
	"github.com/tidings-sse/tidings/topic"
)

// slowLog takes a while to match each event.
type slowLog struct {
	eventlog.Log
	took   time.Duration
	looked int
}

func (l *slowLog) Read(ctx context.Context, after eventlog.ID, q eventlog.Query) iter.Seq2[*eventlog.Event, error] {
	match := q.Match
	q.Match = func(e *eventlog.Event) bool {
		time.Sleep(l.took)
		l.looked++
		return match(e)
	}
	return l.Log.Read(ctx, after, q)
}

// TestPagesArePaced reads one page for a subscription that no event matches. The page
// ends after enough events or enough time. While events are published, the read rests.
func TestPagesArePaced(t *testing.T) {
	records := make([]eventlog.Record, 2*pace.MaxLooks)
	for i := range records {
		records[i].Topics = []string{"t"}
	}
	for _, tt := range []struct {
		why         string
		took        time.Duration // for each event
		live        bool          // events are being published
		least, most int           // events looked at
	}{
		{"by number", 0, false, pace.MaxLooks, pace.MaxLooks},
		{"by time", pace.Turn / 10, false, int(pace.MaxTime / (pace.Turn / 10)), int(2 * pace.MaxTime / (pace.Turn / 10))},
		{"by time, while events are published", pace.Turn / 10, true, int(pace.MaxTime / (pace.Turn / 10)), int(2 * pace.MaxTime / (pace.Turn / 10))},
	} {
		synctest.Test(t, func(t *testing.T) {
			log := &slowLog{Log: eventlog.NewMemory(eventlog.Retention{}), took: tt.took}
			if _, err := log.Append(t.Context(), records...); err != nil {
				t.Fatal(err)
			}
			d := newDesk(t, log, budget.New(0))
			c := d.open(d.Head(), "other/{x}")
			if tt.live {
				d.live.Note() // for longer than the page takes
			}
			pace, err := d.Slots.Begin(t.Context(), &c.feed.sel)
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			pg := d.pages.read(&pageEntry{feed: c.feed, place: d.origin(), head: d.Head()}, pace)
			pace.End()
			if pg.err != nil || log.looked < tt.least || log.looked > tt.most {
				t.Errorf("%s: it ends after %d events (%v); want %d to %d", tt.why, log.looked, pg.err, tt.least, tt.most)
			}
			work := time.Duration(log.looked) * tt.took
			rest := time.Since(begun) - work
			if tt.live && rest < work/2 || !tt.live && rest != 0 {
				t.Errorf("%s: %v of work, and %v of rest", tt.why, work, rest)
			}
		})
	}
}

// takeLong takes all slots for long reads, and returns a function that gives them back.
func (d *desk) takeLong() (release func()) {
	d.t.Helper()
	var long []*pace.Pace
	for range cap(d.Slots.slots[0]) {
		pace, err := d.Slots.Begin(context.Background(), &topic.Selectors{})
		if err != nil {
			d.t.Fatal(err)
		}
		long = append(long, pace)
	}
	return func() {
		for _, pace := range long {
			pace.End()
		}
	}
}

// TestShortReadsDoNotWait checks that a cursor that has fallen a little behind reads the
// log while all slots for long reads are taken, and that large events come by those slots.
func TestShortReadsDoNotWait(t *testing.T) {
	d := newMemoryDesk(t)
	d.routed(d.put(event("small", "hello"), event("large", strings.Repeat("x", PageBytes+1))))
	release := d.takeLong()
	large := d.open(d.origin(), "large")
	if b, err := large.Peek(); err != nil || len(b) > 0 {
		t.Fatalf("%q, %v", b, err)
	}
	blockedIn(t, "(*Pace).Yield(", 1)
	if got := d.next(d.open(d.origin(), "small")); got != "hello;" {
		t.Errorf("%.100q comes", got)
	}
	release()
	if got := d.next(large); !strings.HasPrefix(got, "xxx") {
		t.Errorf("%.100q comes", got)
	}
}

// TestReadsThatWaitCatchUp checks that a cursor attaches to its feed even if an event
// comes during each of its reads of the log.
func TestReadsThatWaitCatchUp(t *testing.T) {
	d := newMemoryDesk(t)
	c := d.open(d.Head(), "a")
	for reads := 0; ; reads++ {
		for range cap(d.Slots.short) {
			d.Slots.short <- struct{}{}
		}
		d.routed(d.put(event("a", "before")))
		b, err := c.Peek()
		for ; err == nil && len(b) > 0; b, err = c.Peek() {
			c.Advance(c.Step(len(b)))
		}
		d.routed(d.put(event("a", "meanwhile")))
		for range cap(d.Slots.short) {
			<-d.Slots.short
		}
		switch {
		case err != nil:
			t.Fatal(err)
		case c.attached:
			return
		case reads > 5:
			t.Fatal("it reads the log for ever")
		}
		for c.page != nil && !c.page.done.Load() {
			time.Sleep(time.Millisecond)
		}
	}
}

// TestShortReadEndsBeforeLargeEvent checks that what a short read has found need not wait
// for a large event that follows.
func TestShortReadEndsBeforeLargeEvent(t *testing.T) {
	d := newMemoryDesk(t)
	d.routed(d.put(event("a", "small"), event("a", strings.Repeat("x", PageBytes+1))))
	defer d.takeLong()()
	if got := d.next(d.open(d.origin(), "a")); got != "small;" {
		t.Errorf("%.100q comes first", got)
	}
}

// TestAbandonedReadsEnd closes cursors that wait for their turn to read the log. Nothing
// may stay of them until that turn comes.
func TestAbandonedReadsEnd(t *testing.T) {
	d := newMemoryDesk(t)
	d.routed(d.put(event("a", "hello")))
	for range cap(d.Slots.short) {
		d.Slots.short <- struct{}{}
	}
	const n = 10
	var cursors []*Cursor
	for i := range n {
		c := d.open(d.origin(), "a", fmt.Sprint("own/", i))
		if b, err := c.Peek(); err != nil || len(b) > 0 {
			t.Fatalf("%q, %v", b, err)
		}
		cursors = append(cursors, c)
	}
	blockedIn(t, "(*pages).fill(", n)
	for _, c := range cursors {
		c.Close()
	}
	blockedIn(t, "(*pages).fill(", 0)
	d.pages.mu.Lock()
	defer d.pages.mu.Unlock()
	if n := len(d.pages.byFeed); n > 0 {
		t.Errorf("%d feeds are remembered", n)
	}
}
