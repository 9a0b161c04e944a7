package hub

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
			defer log.Close()
			if _, err := log.Append(t.Context(), records...); err != nil {
				t.Fatal(err)
			}
			bounds, err := log.Bounds(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			h, err := New(log, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			st := openStream(t, h, From{}, "other/{x}")
			if tt.live {
				h.live.Note() // for longer than the page takes
			}
			pace, err := h.pages.begin(t.Context(), &st.feed.sel)
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			pg := h.pages.read(&pageEntry{feed: st.feed, place: bounds.Origin, head: bounds.Last}, pace)
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

func listStreams(t *testing.T, h *Hub, f StreamFilter) {
	page, err := h.Streams(context.Background(), f, StreamID{}, 100)
	if err != nil {
		t.Error(err)
		return
	}
	page.Close()
}

// TestWalksTakeTurns checks that walks through all streams, or through the templates of
// all feeds, wait for a slot and release it to others before they are done.
func TestWalksTakeTurns(t *testing.T) {
	templates := func(first string) (texts []string) {
		for i := range MaxTopics {
			texts = append(texts, fmt.Sprintf("%s%d/{x}", first, i))
		}
		return texts
	}
	topics := make([]string, MaxTopics)
	for i := range topics {
		topics[i] = fmt.Sprint("a", i)
	}
	for name, walk := range map[string]func(h *Hub, e *eventlog.Event, a *Audience){
		"the list of streams to topics": func(h *Hub, _ *eventlog.Event, _ *Audience) {
			listStreams(t, h, StreamFilter{Topics: mustSelect(t, templates("other")...)})
		},
		"the end of streams to topics": func(h *Hub, _ *eventlog.Event, _ *Audience) {
			h.End(StreamFilter{Topics: mustSelect(t, templates("other")...)}, ErrKicked)
		},
		"a ban": func(h *Hub, _ *eventlog.Event, _ *Audience) { ban(t, h, time.Hour, templates("b")...) },
		"what became of an event": func(h *Hub, e *eventlog.Event, _ *Audience) {
			listStreams(t, h, StreamFilter{Event: e})
		},
		"how many get a topic": func(_ *Hub, _ *eventlog.Event, a *Audience) { a.Of("c") },
	} {
		synctest.Test(t, func(t *testing.T) {
			h, _ := newTestHub(t, eventlog.Retention{})
			slot := make(chan struct{}, 1)
			h.pages.slots = [2]chan struct{}{slot, slot}
			for i := range 90 {
				openStream(t, h, From{}, append(templates(fmt.Sprint("s", i)), topics[:20]...)...)
				openStream(t, h, From{}, fmt.Sprint("s", i))
			}
			putTopics(t, h, "x", topics[20:]...)
			bounds, err := h.Bounds(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			e, err := h.Event(t.Context(), bounds.Last.String())
			if err != nil {
				t.Fatal(err)
			}
			audience := h.Audience()
			slot <- struct{}{}
			done, got, hold := false, false, make(chan struct{})
			go func() {
				walk(h, e, audience)
				done = true
			}()
			synctest.Wait()
			if done {
				t.Errorf("%s waits for no slot", name)
				return
			}
			go func() {
				slot <- struct{}{}
				got = true
				<-hold
				<-slot
			}()
			synctest.Wait()
			<-slot
			synctest.Wait()
			if !got || done {
				t.Errorf("%s: it is done: %v, before another got the slot: %v", name, done, got)
			}
			close(hold)
			synctest.Wait()
			if !done {
				t.Errorf("%s does not come to its end", name)
			}
		})
	}
}

// TestShortReadsDoNotWait checks that a stream that has fallen a little behind reads the
// log while all slots for long reads are taken, and that large events come by those slots.
func TestShortReadsDoNotWait(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	put(t, h, "small", "hello")
	waitRouted(t, h, put(t, h, "large", strings.Repeat("x", pageBytes+1)))
	var long []*pace.Pace
	for range cap(h.pages.slots[0]) {
		pace, err := h.pages.begin(t.Context(), &topic.Selectors{})
		if err != nil {
			t.Fatal(err)
		}
		long = append(long, pace)
	}
	peek := func(topic string) *Stream {
		st := openStream(t, h, From{LastEventID: Earliest}, topic)
		next(t, st) // its position
		if b, err := st.Peek(); err != nil || len(b) > 0 {
			t.Fatalf("%q, %v", b, err)
		}
		return st
	}
	large := peek("large")
	blockedIn(t, "(*Pace).Yield(", 1)
	dataUntil(t, peek("small"), "hello")
	for _, pace := range long {
		pace.End()
	}
	dataUntil(t, large, "x")
}

// TestReadsThatWaitCatchUp checks that a stream attaches to its feed even if an event
// comes during each of its reads of the log.
func TestReadsThatWaitCatchUp(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	st := openStream(t, h, From{}, "a")
	next(t, st) // its position
	for reads := 0; ; reads++ {
		for range cap(h.pages.short) {
			h.pages.short <- struct{}{}
		}
		waitRouted(t, h, put(t, h, "a", "before"))
		b, err := st.Peek()
		for ; err == nil && len(b) > 0; b, err = st.Peek() {
			st.Advance(len(b))
		}
		waitRouted(t, h, put(t, h, "a", "meanwhile"))
		for range cap(h.pages.short) {
			<-h.pages.short
		}
		switch {
		case err != nil:
			t.Fatal(err)
		case st.cursor.attached:
			return
		case reads > 5:
			t.Fatal("it reads the log for ever")
		}
		for st.page != nil && !st.page.done.Load() {
			time.Sleep(time.Millisecond)
		}
	}
}

// TestShortReadEndsBeforeLargeEvent checks that what a short read has found need not wait
// for a large event that follows.
func TestShortReadEndsBeforeLargeEvent(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	put(t, h, "a", "small")
	waitRouted(t, h, put(t, h, "a", strings.Repeat("x", pageBytes+1)))
	for range cap(h.pages.slots[0]) {
		p, err := h.pages.begin(t.Context(), &topic.Selectors{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.End()
	}
	st := openStream(t, h, From{LastEventID: Earliest}, "a")
	next(t, st) // its position
	if got := next(t, st); !strings.Contains(got, "small") {
		t.Errorf("%.100q comes first", got)
	}
}
