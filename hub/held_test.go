package hub

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
	"github.com/tidings-sse/tidings/topic"
)

// newDiskHub returns a hub on a log that holds almost nothing in memory, so that memory
// in use belongs to the readers.
func newDiskHub(t *testing.T, b *budget.Budget) *Hub {
	t.Helper()
	log, err := disklog.Open(t.TempDir(), disklog.Options{Window: 1, MinFree: -1, Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(log, Options{Budget: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // frees what the first one only marked
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestNewestHoldsPositions checks that streams and readers that ask for many large events
// and read none hold only their positions, that these are counted, and that all events
// arrive in the end.
func TestNewestHoldsPositions(t *testing.T) {
	const events, size, clients = 1000, 20_000, 10
	h := newDiskHub(t, nil)
	lists := h.budget.Share(budget.Lists)
	for i := range events {
		put(t, h, fmt.Sprint(i%3), fmt.Sprint(i, " ", strings.Repeat("x", size)))
	}
	for name, open := range map[string]func() (take func() (data string), close func()){
		"streams": func() (func() string, func()) {
			st := openStream(t, h, From{Last: events}, "0", "1")
			if b, err := nextWrite(t.Context(), st); err != nil || len(b) == 0 { // the beginning
				t.Fatal(err)
			}
			if b, err := nextWrite(t.Context(), st); err != nil || len(b) == 0 {
				t.Fatal(err)
			}
			st.Close()
			again := openStream(t, h, From{Last: events}, "0", "1")
			if _, err := nextWrite(t.Context(), again); err != nil {
				t.Fatal(err)
			}
			var left []string
			return func() string {
				if left == nil {
					for e, err := range decode(t.Context(), again) {
						if err != nil {
							t.Fatal(err)
						}
						if left = append(left, e.Data); len(left) == events*2/3+1 {
							break
						}
					}
				}
				first := left[0]
				left = left[1:]
				return first
			}, again.Close
		},
		"Go's subscribers": func() (func() string, func()) {
			r, err := h.read(t.Context(), Subscription{Selectors: mustParse(t, "0", "1"), From: From{Last: events}})
			if err != nil {
				t.Fatal(err)
			}
			var batch []*eventlog.Event
			take := func() string {
				if len(batch) == 0 {
					if batch, err = r.next(t.Context(), h.feeds.Head(), nil); err != nil {
						t.Fatal(err)
					}
				}
				first := string(batch[0].Data)
				batch = batch[1:]
				return first
			}
			return take, r.close
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := liveHeap()
			var takes []func() string
			var closes []func()
			for range clients {
				take, close := open()
				takes, closes = append(takes, take), append(closes, close)
			}
			held := liveHeap() - before
			if held > clients*(1<<20) {
				t.Errorf("%d clients hold %d bytes", clients, held)
			}
			if n := lists.Used(); n < clients*events*2/3*24 || n > held+held/8 { // the heap is measured with what else goes on
				t.Errorf("%d bytes of positions are counted, and %d held", n, held)
			}
			want := 0
			for range events * 2 / 3 {
				if got := takes[0](); !strings.HasPrefix(got, fmt.Sprint(want, " ")) {
					t.Fatalf("%.10q comes, want %d", got, want)
				}
				if want++; want%3 == 2 {
					want++
				}
			}
			for _, close := range closes {
				close()
			}
			if n := lists.Used(); n != 0 {
				t.Errorf("%d bytes are counted after all have gone", n)
			}
		})
	}
}

// TestNewestIsRefusedOverBudget checks that a stream is refused if the budget has no room
// for its positions.
func TestNewestIsRefusedOverBudget(t *testing.T) {
	h := newDiskHub(t, nil)
	for i := range 100 {
		put(t, h, "a", fmt.Sprint(i))
	}
	lists := h.budget.Share(budget.Lists)
	used := lists.Most() - 1000
	lists.Add(used)
	_, err := h.Stream(t.Context(), Subscription{Selectors: mustParse(t, "a"), From: From{Last: 100}}, StreamOptions{Heartbeat: time.Minute})
	if err != ErrOverBudget {
		t.Errorf("the stream begins with %v, want ErrOverBudget", err)
	}
	if lists.Used() != used {
		t.Errorf("%d bytes are counted, want %d", lists.Used(), used)
	}
}

// TestStalledStreamsHoldFewPages checks Serve and parking. Streams whose peers accept a
// little of a large event and then nothing hold at most half of the share of pages. All
// finish the event when their peers read again.
func TestStalledStreamsHoldFewPages(t *testing.T) {
	const streams, size = 60, 900_000
	for name, take := range map[string]func(st *Stream) (n int){
		"with a goroutine": func(st *Stream) int {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			b, err := nextWrite(ctx, st)
			if err != nil {
				t.Fatal(err)
			}
			return len(b)
		},
		"parked": func(st *Stream) int {
			woken := newSignal()
			st.Cursor().SetWaker(woken)
			for {
				b, err := st.Peek()
				if err != nil {
					t.Fatal(err)
				}
				if n := min(len(b), takeSize); n > 0 {
					st.Advance(n)
					st.Cursor().Rest()
					return n
				}
				select {
				case <-woken:
				case <-time.After(10 * time.Second):
					t.Fatal("its page is not read")
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newDiskHub(t, budget.New(100<<20)) // of which pages have 20
			pages := h.budget.Share(budget.Pages)
			waitRouted(t, h, put(t, h, "a", strings.Repeat("x", size)))
			before := liveHeap()
			var stalled []*Stream
			var taken []int
			for i := range streams { // each has a feed of its own
				st := openStream(t, h, From{LastEventID: Earliest}, "a", fmt.Sprint(i))
				take(st) // the beginning
				stalled, taken = append(stalled, st), append(taken, take(st))
			}
			if held := pages.Used(); held > pages.Most()/2+2*size {
				t.Errorf("%d streams have taken pages of %d bytes", streams, held)
			}
			held := liveHeap() - before
			if held > pages.Most()/2+2*size+streams*(takeSize+(8<<10)) {
				t.Errorf("%d streams hold %d bytes", streams, held)
			}
			for i, st := range stalled {
				for taken[i] < size {
					taken[i] += take(st)
				}
				st.Close()
			}
			if pages.Used() != 0 {
				t.Errorf("%d bytes are counted after all have gone", pages.Used())
			}
		})
	}
}

// TestPagesAreNotReadAhead checks that, however many streams ask at once, the log is read
// only for as many as the share of pages allows, and that all get their turn.
func TestPagesAreNotReadAhead(t *testing.T) {
	const streams, size = 60, 900_000
	h := newDiskHub(t, budget.New(100<<20)) // of which pages have 20
	waitRouted(t, h, put(t, h, "a", strings.Repeat("x", size)))
	ready := make(chan *Stream, 2*streams)
	for i := range streams {
		st := openStream(t, h, From{LastEventID: Earliest}, "a", fmt.Sprint(i))
		st.Cursor().SetWaker(wakeFunc(func() { ready <- st }))
		if b, err := st.Peek(); err != nil || !st.Advance(len(b)) { // the beginning
			t.Fatal(err)
		}
		if b, err := st.Peek(); err != nil || len(b) > 0 { // its page is to be read
			t.Fatal(len(b), err)
		}
	}
	pages := h.budget.Share(budget.Pages)
	most := pages.Most() + 2*size
	for begun := time.Now(); time.Since(begun) < 300*time.Millisecond; runtime.Gosched() {
		if held := pages.Used(); held > most {
			t.Fatalf("pages of %d bytes have been read, and %d may be", held, most)
		}
	}
	for range streams {
		st := <-ready
		if b, err := st.Peek(); err != nil || len(b) < size {
			t.Fatal(len(b), err)
		}
		st.Close()
	}
}

type wakeFunc func()

func (f wakeFunc) Wake() { f() }

// TestPagesOfPrivateEventsAreBounded checks that the topics of private events are
// counted, and count towards the end of a page.
func TestPagesOfPrivateEventsAreBounded(t *testing.T) {
	h := newDiskHub(t, nil)
	for i := range 100 {
		r := eventlog.Record{Topics: []string{"a"}, Private: true}
		for j := range 20 {
			r.Topics = append(r.Topics, fmt.Sprint(i, j, strings.Repeat("x", 4000)))
		}
		if _, err := h.Publish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	st, err := h.Stream(t.Context(), Subscription{Selectors: mustParse(t, "a"), From: From{LastEventID: Earliest}, Grant: topic.Everything()}, StreamOptions{Heartbeat: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	next(t, st) // its position
	if n := strings.Count(next(t, st), "id: "); n != 1 {
		t.Errorf("a page holds %d events that are guarded by 80 KB of topics each", n)
	}
	if n := h.budget.Share(budget.Pages).Used(); n < 80_000 {
		t.Errorf("%d bytes are counted", n)
	}
}

func mustParse(t testing.TB, texts ...string) topic.Selectors {
	t.Helper()
	sel, err := topic.Parse(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return sel
}

// TestPublishIsRefusedOverBudget checks that records for which there is no memory are
// refused before the log has any of them, and that other records are counted only until
// the log has them.
func TestPublishIsRefusedOverBudget(t *testing.T) {
	log := &appendLog{Log: eventlog.NewMemory(eventlog.Retention{})}
	b := budget.New(1 << 20)
	h, err := New(log, Options{Budget: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); log.Close() })
	publishes := b.Share(budget.Publishes)
	log.held = publishes.Used
	large := eventlog.Record{Topics: []string{"a"}, Data: make([]byte, publishes.Most()/2)}
	if _, err := h.Publish(t.Context(), large, large); err != ErrOverBudget || log.appended != 0 {
		t.Errorf("records that do not fit: %v, and the log has %d of them", err, log.appended)
	}
	if publishes.Used() != 0 || publishes.Refused() != 1 {
		t.Errorf("%d bytes are counted after %d refusals", publishes.Used(), publishes.Refused())
	}
	if _, err := h.Publish(t.Context(), large); err != nil || log.most < publishes.Most()/2 {
		t.Errorf("one that fits: %v, counted as %d bytes", err, log.most)
	}
	if publishes.Used() != 0 {
		t.Errorf("%d bytes are counted after all was answered", publishes.Used())
	}
}

// appendLog records what is appended, and how much is held at that time.
type appendLog struct {
	eventlog.Log
	held     func() int64
	appended int
	most     int64
}

func (l *appendLog) Append(ctx context.Context, recs ...eventlog.Record) ([]eventlog.Result, error) {
	l.appended += len(recs)
	l.most = max(l.most, l.held())
	return l.Log.Append(ctx, recs...)
}
