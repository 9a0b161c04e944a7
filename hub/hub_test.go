package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/sse"
	"github.com/tidings-sse/tidings/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newHub(t *testing.T, r eventlog.Retention) *hub.Hub {
	t.Helper()
	log := eventlog.NewMemory(r)
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(h.Close(), log.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func publish(t *testing.T, h *hub.Hub, topic, data string) eventlog.ID {
	t.Helper()
	return publishRecord(t, h, eventlog.Record{Topics: []string{topic}, Data: []byte(data)})
}

func publishRecord(t *testing.T, h *hub.Hub, r eventlog.Record) eventlog.ID {
	t.Helper()
	results, err := h.Publish(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return results[0].ID
}

func selectors(t *testing.T, texts ...string) topic.Selectors {
	t.Helper()
	s, err := topic.Parse(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A tail is a stream as a browser sees it.
type tail struct {
	*hub.Stream
	begins string // its first position
	gapped bool
	events chan sse.Event // without positions; closed when the stream has ended
	retry  time.Duration  // the reconnection time of the drain, once it has ended
	err    error          // why it ended, once it has
}

// open opens a stream on topics, and reads it as fast as the test receives its events.
func open(t *testing.T, h *hub.Hub, from hub.From, topics ...string) *tail {
	t.Helper()
	return openSubscription(t, h, hub.Subscription{Selectors: selectors(t, topics...), From: from})
}

func openSubscription(t *testing.T, h *hub.Hub, s hub.Subscription) *tail {
	t.Helper()
	st, err := h.Stream(t.Context(), s, hub.StreamOptions{Heartbeat: 15 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	tl := &tail{Stream: st, events: make(chan sse.Event)}
	tl.begins, tl.gapped = st.Start()
	ctx, cancel := context.WithCancel(context.Background())
	body, w := io.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() {
		defer st.Close()
		tl.err = st.Serve(ctx, func(b []byte) error {
			_, err := w.Write(b)
			return err
		})
		_ = w.Close()
	})
	serving.Go(func() {
		defer close(tl.events)
		d := sse.NewDecoder(body)
		for e, err := range d.Events() {
			if err != nil {
				break
			}
			if e.Type == hub.PositionType {
				continue
			}
			select {
			case tl.events <- e:
			case <-ctx.Done():
				return
			}
		}
		tl.retry, _ = d.ReconnectionTime()
	})
	t.Cleanup(func() {
		cancel()
		_ = body.Close()
		serving.Wait()
	})
	return tl
}

// next waits for the next event.
func (tl *tail) next(t *testing.T) sse.Event {
	t.Helper()
	select {
	case e, ok := <-tl.events:
		if !ok {
			t.Fatalf("the stream has ended: %v", tl.err)
		}
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event comes")
	}
	panic("unreachable")
}

// take waits for n events and returns their data.
func take(t *testing.T, tl *tail, n int) []string {
	t.Helper()
	var got []string
	for range n {
		got = append(got, tl.next(t).Data)
	}
	return got
}

func wantData(t *testing.T, why string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", why, got, want)
	}
}

func TestSubscribeFrom(t *testing.T) {
	var (
		ids    []string
		middle time.Time
	)
	fill := func(h *hub.Hub) {
		ids = nil
		for i := range 6 {
			ids = append(ids, publish(t, h, []string{"a", "b"}[i%2], fmt.Sprint(i)).String())
		}
		publishRecord(t, h, eventlog.Record{Topics: []string{"a"}, Data: []byte("named"), PublisherID: "mine"})
		middle = time.Now()
		publish(t, h, "a", "late")
	}
	for _, tt := range []struct {
		why    string
		from   func() hub.From
		topics []string
		want   []string // before the live event
	}{
		{"live", func() hub.From { return hub.From{} }, []string{"a"}, nil},
		{"everything", func() hub.From { return hub.From{LastEventID: hub.Earliest} }, []string{"a"}, []string{"0", "2", "4", "named", "late"}},
		{"after an id", func() hub.From { return hub.From{LastEventID: ids[2]} }, []string{"a"}, []string{"4", "named", "late"}},
		{"after an id of another topic", func() hub.From { return hub.From{LastEventID: ids[3]} }, []string{"a"}, []string{"4", "named", "late"}},
		{"after a publisher's id", func() hub.From { return hub.From{LastEventID: "mine"} }, []string{"a"}, []string{"late"}},
		{"since a time", func() hub.From { return hub.From{Since: middle} }, []string{"a"}, []string{"late"}},
		{"since before the beginning", func() hub.From { return hub.From{Since: middle.Add(-time.Hour)} }, []string{"a"}, []string{"0", "2", "4", "named", "late"}},
		{"since the future, which is live", func() hub.From { return hub.From{Since: middle.Add(time.Hour)} }, []string{"a"}, nil},
		{"the newest", func() hub.From { return hub.From{Last: 1} }, []string{"a"}, []string{"late"}},
		{"more than there are", func() hub.From { return hub.From{Last: 100} }, []string{"a"}, []string{"0", "2", "4", "named", "late"}},
		{"the newest of each topic, in log order", func() hub.From { return hub.From{Last: 1} }, []string{"a", "b"}, []string{"5", "late"}},
		{"the newest of each topic that * matches", func() hub.From { return hub.From{Last: 1} }, []string{"*"}, []string{"5", "late"}},
		{"two of each", func() hub.From { return hub.From{Last: 2} }, []string{"*"}, []string{"3", "5", "named", "late"}},
	} {
		t.Run(tt.why, func(t *testing.T) {
			h := newHub(t, eventlog.Retention{})
			fill(h)
			sub := open(t, h, tt.from(), tt.topics...)
			publish(t, h, "a", "live")
			want := append(slices.Clone(tt.want), "live")
			wantData(t, tt.why, take(t, sub, len(want)), want...)

			// Resuming from its first position gives the same events, or more.
			again := open(t, h, hub.From{LastEventID: sub.begins}, tt.topics...)
			if sub.gapped || again.gapped {
				t.Fatal("there is no gap here")
			}
			got := take(t, again, 1)
			if got[0] != want[0] {
				t.Errorf("resumed at its first position, it begins with %q, not %q", got[0], want[0])
			}
			for got[len(got)-1] != "live" {
				got = append(got, take(t, again, 1)...)
			}
		})
	}
}

// nextGap waits for a gap.
func nextGap(t *testing.T, tl *tail) (g hub.Gap) {
	t.Helper()
	e := tl.next(t)
	if e.Type != hub.GapType {
		t.Fatalf("%+v comes; want a gap", e)
	}
	if err := json.Unmarshal([]byte(e.Data), &g); err != nil {
		t.Fatal(err)
	}
	if e.ID != g.ResumedAfter {
		t.Errorf("the gap's id is %s, but it says resumed_after %s", e.ID, g.ResumedAfter)
	}
	return g
}

func TestGap(t *testing.T) {
	other := newHub(t, eventlog.Retention{})
	foreign := publish(t, other, "a", "of another log").String()
	for _, tt := range []struct {
		why    string
		from   func(first, last eventlog.ID) hub.From
		reason hub.GapReason
		want   []string // events after the gap, before the live one
	}{
		{"retention has passed it", func(first, _ eventlog.ID) hub.From { return hub.From{LastEventID: first.String()} }, "trimmed", []string{"6", "7", "8", "9"}},
		{"a time that retention has passed", func(_, _ eventlog.ID) hub.From { return hub.From{Since: time.Now().Add(-time.Hour)} }, "trimmed", []string{"6", "7", "8", "9"}},
		{"another log's", func(_, _ eventlog.ID) hub.From { return hub.From{LastEventID: foreign} }, "epoch", []string{"6", "7", "8", "9"}},
		{"never published", func(_, _ eventlog.ID) hub.From { return hub.From{LastEventID: "nobody's"} }, "unknown", nil},
		{"never given by this log", func(_, last eventlog.ID) hub.From {
			last.Lo += 1000
			return hub.From{LastEventID: last.String()}
		}, "unknown", nil},
		{"looks like ours, and is not", func(_, _ eventlog.ID) hub.From { return hub.From{LastEventID: "_nonsense"} }, "unknown", nil},
	} {
		t.Run(tt.why, func(t *testing.T) {
			h := newHub(t, eventlog.Retention{Events: 4})
			var first, last eventlog.ID
			for i := range 10 {
				last = publish(t, h, "a", fmt.Sprint(i))
				if i == 0 {
					first = last
				}
			}
			from := tt.from(first, last)
			sub := open(t, h, from, "a")
			if !sub.gapped {
				t.Error("Start does not tell of the gap")
			}
			g := nextGap(t, sub)
			if g.Reason != tt.reason || from.LastEventID != "" && g.Requested != from.LastEventID {
				t.Errorf("gap %+v; want the reason %s and what was requested", g, tt.reason)
			}
			wantData(t, tt.why, take(t, sub, len(tt.want)), tt.want...)
			again := open(t, h, hub.From{LastEventID: g.ResumedAfter}, "a")
			if again.gapped {
				t.Error("the gap's own id leads to another gap")
			}
			wantData(t, "after the gap's id", take(t, again, len(tt.want)), tt.want...)
			publish(t, h, "a", "live")
			wantData(t, "then live", take(t, sub, 1), "live")
		})
	}
}

// TestResumeFromDeleted resumes streams after deleted events, by the hub's id and by the
// publisher's, also where the publisher repeats one. That id then belongs to the next
// event that has it.
func TestResumeFromDeleted(t *testing.T) {
	h := newHub(t, eventlog.Retention{})
	named := eventlog.Record{Topics: []string{"a"}, Data: []byte("named"), PublisherID: "mine"}
	publish(t, h, "a", "before")
	first := publishRecord(t, h, named)
	publish(t, h, "b", "elsewhere")
	publish(t, h, "a", "between")
	publishRecord(t, h, named)
	publish(t, h, "a", "after")
	resume := func(id string, want ...string) {
		t.Helper()
		sub := open(t, h, hub.From{LastEventID: id}, "a")
		if sub.gapped || sub.begins != first.String() {
			t.Errorf("%s: the stream begins at %v, a gap: %v; want %v", id, sub.begins, sub.gapped, first)
		}
		wantData(t, id, take(t, sub, len(want)), want...)
	}
	remove := func(id string, want int) {
		t.Helper()
		if n, err := h.DeleteID(t.Context(), id); n != want || err != nil {
			t.Fatalf("DeleteID(%s) = %d, %v; want %d", id, n, err, want)
		}
	}
	remove(first.String(), 1)
	resume("mine", "between", "named", "after")
	if e, err := h.Event(t.Context(), "mine"); err != nil || string(e.Data) != "named" {
		t.Errorf("Event = %+v, %v; want the one that is left", e, err)
	}
	remove("mine", 1)
	remove("mine", 0)
	if e, err := h.Event(t.Context(), "mine"); !errors.Is(err, eventlog.ErrNotFound) {
		t.Errorf("Event = %+v, %v; want ErrNotFound", e, err)
	}
	resume("mine", "between", "after")
	resume(first.String(), "between", "after")
}

// TestGapUnderASlowSubscriber checks that a lagging stream receives a gap in place of
// what retention drops.
func TestGapUnderASlowSubscriber(t *testing.T) {
	h := newHub(t, eventlog.Retention{Events: 10})
	sub := open(t, h, hub.From{}, "a")
	publish(t, h, "a", "first")
	wantData(t, "live", take(t, sub, 1), "first")
	pad := strings.Repeat(".", 10<<10)
	for i := range 300 { // more than a window holds
		publish(t, h, "a", fmt.Sprint(i, pad))
	}
	gaps, gapped := 0, false
	for last := -1; last < 299; {
		e := sub.next(t)
		if e.Type == hub.GapType {
			gaps, gapped = gaps+1, true
			if !strings.Contains(e.Data, `"trimmed"`) {
				t.Errorf("gap %s; want the reason trimmed", e.Data)
			}
			continue
		}
		var n int
		if _, err := fmt.Sscan(strings.TrimRight(e.Data, "."), &n); err != nil || n <= last || n > last+1 && !gapped {
			t.Fatalf("%.10q comes after %d, and a gap: %v", e.Data, last, gapped)
		}
		last, gapped = n, false
	}
	if gaps == 0 {
		t.Error("no gap has come")
	}
}

func TestTypes(t *testing.T) {
	h := newHub(t, eventlog.Retention{Events: 100})
	first := publish(t, h, "a", "first")
	wanted := hub.Subscription{Selectors: selectors(t, "a"), Types: []string{"price", "message"}}
	sub := openSubscription(t, h, wanted)
	for _, typ := range []string{"price", "", "news", "price"} {
		publishRecord(t, h, eventlog.Record{Topics: []string{"a"}, Type: typ, Data: []byte(typ)})
	}
	wantData(t, "price and the unnamed", take(t, sub, 3), "price", "", "price")
	for i := range 200 {
		publishRecord(t, h, eventlog.Record{Topics: []string{"a"}, Type: "news", Data: fmt.Append(nil, i)})
	}
	wanted.From.LastEventID = first.String()
	if g := nextGap(t, openSubscription(t, h, wanted)); g.Reason != "trimmed" {
		t.Errorf("gap %+v: a filter by type never hides one", g)
	}
}

func TestSelectors(t *testing.T) {
	for _, tt := range []struct {
		why       string
		selectors []string
		topic     string
		want      bool
	}{
		{"exact", []string{"news"}, "news", true},
		{"exact, not a prefix", []string{"news"}, "newsletter", false},
		{"case counts", []string{"news"}, "News", false},
		{"one of two", []string{"a", "b"}, "b", true},
		{"everything", []string{"*"}, "https://shop.example/orders/42", true},
		{"* within a topic is a plain character", []string{"a*"}, "ab", false},
		{"a template", []string{"https://shop.example/orders/{id}"}, "https://shop.example/orders/42", true},
		{"a template's variable stops at a slash", []string{"https://shop.example/orders/{id}"}, "https://shop.example/orders/42/items", false},
		{"a reserved expansion does not", []string{"https://shop.example/{+path}"}, "https://shop.example/orders/42/items", true},
		{"a template is anchored", []string{"orders/{id}"}, "my/orders/42", false},
		{"a dot in a template is a dot", []string{"a.b/{id}"}, "aXb/1", false},
		{"a template selects the topic that it spells", []string{"orders/{id}"}, "orders/{id}", true},
	} {
		s := selectors(t, tt.selectors...)
		if got := s.Match([]string{"other topic", tt.topic}); got != tt.want {
			t.Errorf("%s: %q matches %q: %v", tt.why, tt.selectors, tt.topic, got)
		}
	}
	for _, tt := range []struct{ why, selector string }{
		{"empty", ""},
		{"too long", string(make([]byte, topic.MaxBytes+1))},
		{"not UTF-8", "\xff"},
		{"an open brace", "a{b"},
		{"a closing brace", "a}b"},
		{"no variable", "{}"},
		{"a large template", "{a}" + string(slices.Repeat([]byte("x"), 2000))},
		{"more variables than a program should have", "{a" + string(slices.Repeat([]byte(",a"), 100)) + "}"},
	} {
		var invalid *topic.InvalidError
		if _, err := topic.Parse("ok", tt.selector); !errors.As(err, &invalid) {
			t.Errorf("%s: topic.Parse(%.20q) = %v; want an InvalidError", tt.why, tt.selector, err)
		}
	}
}

// TestNothingLostNothingTwice checks that subscribers which come, go and resume at any
// time while events are published receive every event once and in order.
func TestNothingLostNothingTwice(t *testing.T) {
	h := newHub(t, eventlog.Retention{})
	const publishers, each, subscribers = 4, 500, 16
	all := selectors(t, "a", "orders/{id}")
	var wg sync.WaitGroup
	for i := range subscribers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			from := hub.From{LastEventID: hub.Earliest}
			next := map[string]int{}
			for seen := 0; seen < publishers*each; {
				stay := 1 + rng.IntN(300)
				for e, err := range h.Subscribe(t.Context(), hub.Subscription{Selectors: all, From: from}) {
					if err != nil {
						t.Error(err)
						return
					}
					var publisher string
					var n int
					if _, err := fmt.Sscanf(string(e.Data), "%1s/%d", &publisher, &n); err != nil || n != next[publisher] {
						t.Errorf("got %q (%v), want number %d of that publisher", e.Data, err, next[publisher])
						return
					}
					next[publisher]++
					seen++
					from.LastEventID = e.ID.String()
					if stay--; stay == 0 || seen == publishers*each {
						break
					}
				}
			}
		})
	}
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				topic := "a"
				if p%2 == 1 {
					topic = fmt.Sprintf("orders/%d", i)
				}
				publish(t, h, topic, fmt.Sprintf("%d/%d", p, i))
				publish(t, h, "of no interest", "x")
			}
		})
	}
	wg.Wait()
}

// TestHeartbeatNamesThePosition checks that a heartbeat reports the position, also past
// events that the stream did not ask for.
func TestHeartbeatNamesThePosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, eventlog.Retention{})
		const heartbeat = 15 * time.Second
		st, err := h.Stream(t.Context(), hub.Subscription{Selectors: selectors(t, "quiet")}, hub.StreamOptions{Heartbeat: heartbeat})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		id := publish(t, h, "busy", "x")
		begun := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		writes := 0
		_ = st.Serve(ctx, func(b []byte) error {
			if writes++; writes == 1 { // the beginning
				return nil
			}
			if want := "event: position\nid: " + id.String(); !strings.HasPrefix(string(b), want) {
				t.Errorf("%q is written, want %q", b, want)
			}
			cancel()
			return nil
		})
		if waited := time.Since(begun); waited != heartbeat {
			t.Errorf("the heartbeat came after %v, not %v", waited, heartbeat)
		}
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, eventlog.Retention{})
		const n, over, base = 200, 10 * time.Second, 3 * time.Second
		var mu sync.Mutex
		var left, back []time.Duration // since the drain began
		begun := time.Now()
		var wg sync.WaitGroup
		for range n {
			sub := open(t, h, hub.From{}, "a")
			wg.Go(func() {
				for e := range sub.events {
					t.Errorf("%+v comes", e)
				}
				if !errors.Is(sub.err, hub.ErrDrained) {
					t.Errorf("the stream ended with %v, want ErrDrained", sub.err)
				}
				mu.Lock()
				defer mu.Unlock()
				left = append(left, time.Since(begun))
				back = append(back, time.Since(begun)+sub.retry)
			})
		}
		synctest.Wait()
		if err := h.Drain(t.Context(), over, base); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if took := time.Since(begun); took > over {
			t.Errorf("the drain took %v, not at most %v", took, over)
		}
		for name, at := range map[string][]time.Duration{"leave": left, "come back": back} {
			perSecond := map[int]int{}
			for _, d := range at {
				perSecond[int(d/time.Second)]++
			}
			for second, count := range perSecond {
				if count > n/4 {
					t.Errorf("%d of %d %s in second %d: a herd", count, n, name, second)
				}
			}
		}
		if first := slices.Min(back); first < over+base {
			t.Errorf("someone comes back after %v, before the next hub can be up", first)
		}
		late := hub.StreamOptions{OnClose: func() { t.Error("OnClose is called for a stream that did not open") }}
		if _, err := h.Stream(t.Context(), hub.Subscription{Selectors: selectors(t, "a")}, late); !errors.Is(err, hub.ErrDrained) {
			t.Errorf("a stream that opens late: %v, want ErrDrained", err)
		}
	})
}

// TestDrainEndsSubscribe checks that a drain ends a loop over Subscribe as well.
func TestDrainEndsSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, eventlog.Retention{})
		begun := time.Now()
		ended := make(chan error)
		for range 20 {
			go func() {
				var last error
				for _, err := range h.Subscribe(t.Context(), hub.Subscription{Selectors: selectors(t, "a")}) {
					last = err
				}
				ended <- last
			}()
		}
		synctest.Wait()
		go func() { _ = h.Drain(context.Background(), 10*time.Second, time.Second) }()
		ends := map[time.Duration]bool{}
		for range 20 {
			if err := <-ended; !errors.Is(err, hub.ErrDrained) {
				t.Errorf("Subscribe ended with %v, want ErrDrained", err)
			}
			ends[time.Since(begun)] = true
		}
		if took := time.Since(begun); took > 10*time.Second || len(ends) < 10 {
			t.Errorf("they ended within %v, at %d moments", took, len(ends))
		}
	})
}

// A loop over Subscribe gets each event when it is published, not with the next one.
func TestSubscribeGetsTheLastEvent(t *testing.T) {
	h := newHub(t, eventlog.Retention{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan string)
	ended := make(chan struct{})
	first := publish(t, h, "a", "first").String()
	go func() {
		defer close(ended)
		for e, err := range h.Subscribe(ctx, hub.Subscription{Selectors: selectors(t, "a"), From: hub.From{LastEventID: first}}) {
			if err != nil {
				return
			}
			got <- string(e.Data)
		}
	}()
	for i := range 5000 {
		publish(t, h, "a", fmt.Sprint(i))
		select {
		case data := <-got:
			if data != fmt.Sprint(i) {
				t.Fatalf("%s comes, want %d", data, i)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("event %d does not come", i)
		}
	}
	cancel()
	<-ended
}

func TestDrainWithoutSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, eventlog.Retention{})
		begun := time.Now()
		if err := h.Drain(t.Context(), time.Hour, time.Second); err != nil || time.Since(begun) != 0 {
			t.Errorf("Drain took %v, %v; there is nobody to wait for", time.Since(begun), err)
		}
		if retry, ok := h.Draining(); !ok || retry < time.Hour {
			t.Errorf("Draining = %v, %v; want a time after the drain", retry, ok)
		}
	})
}

func TestDeliversWhileDraining(t *testing.T) {
	h := newHub(t, eventlog.Retention{})
	sub := open(t, h, hub.From{}, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Drain(ctx, time.Hour, time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain: %v", err)
	}
	publish(t, h, "a", "x")
	wantData(t, "while draining", take(t, sub, 1), "x")
}

func TestClosedHub(t *testing.T) {
	log := eventlog.NewMemory(eventlog.Retention{})
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		var last error
		for _, err := range h.Subscribe(t.Context(), hub.Subscription{Selectors: selectors(t, "a")}) {
			last = err
		}
		ended <- last
	}()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, hub.ErrClosed) {
		t.Errorf("a subscriber of a closed hub: %v; want ErrClosed", err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	many := func(n int) (topics []string) {
		for i := range n {
			topics = append(topics, fmt.Sprint(i))
		}
		return topics
	}
	long := func(n int) string { return string(slices.Repeat([]byte("x"), n)) }
	for _, tt := range []struct {
		why string
		r   eventlog.Record
		ok  bool
	}{
		{"plain", eventlog.Record{Topics: []string{"a"}}, true},
		{"an IRI", eventlog.Record{Topics: []string{"https://例え.jp/注文/42"}}, true},
		{"as many topics as may be", eventlog.Record{Topics: many(hub.MaxTopics)}, true},
		{"more", eventlog.Record{Topics: many(hub.MaxTopics + 1)}, false},
		{"none", eventlog.Record{}, false},
		{"an empty topic", eventlog.Record{Topics: []string{"a", ""}}, false},
		{"as long a topic as may be", eventlog.Record{Topics: []string{long(topic.MaxBytes)}}, true},
		{"longer", eventlog.Record{Topics: []string{long(topic.MaxBytes + 1)}}, false},
		{"a topic twice", eventlog.Record{Topics: []string{"a", "b", "a"}}, false},
		{"a topic that is no UTF-8", eventlog.Record{Topics: []string{"\xff"}}, false},
		{"the selector for all", eventlog.Record{Topics: []string{"*"}}, false},
		{"the hub's own type", eventlog.Record{Topics: []string{"a"}, Type: "gap"}, false},
		{"a type that would break out", eventlog.Record{Topics: []string{"a"}, Type: "x\ndata: y"}, false},
		{"a type with CR", eventlog.Record{Topics: []string{"a"}, Type: "x\r"}, false},
		{"an id that would break out", eventlog.Record{Topics: []string{"a"}, PublisherID: "1\ndata: y"}, false},
		{"an id with a control byte, which no header carries", eventlog.Record{Topics: []string{"a"}, PublisherID: "1\x01"}, false},
		{"an id with a space at its end", eventlog.Record{Topics: []string{"a"}, PublisherID: "1 "}, false},
		{"an id with a space within", eventlog.Record{Topics: []string{"a"}, PublisherID: "1 2"}, true},
		{"an id that asks for all", eventlog.Record{Topics: []string{"a"}, PublisherID: "earliest"}, false},
		{"an id that looks like the hub's", eventlog.Record{Topics: []string{"a"}, PublisherID: "_1-1"}, false},
		{"an id that begins with #", eventlog.Record{Topics: []string{"a"}, PublisherID: "#1"}, false},
		{"as long an id as may be", eventlog.Record{Topics: []string{"a"}, PublisherID: long(hub.MaxIDBytes)}, true},
		{"longer", eventlog.Record{Topics: []string{"a"}, PublisherID: long(hub.MaxIDBytes + 1)}, false},
		{"data that is no UTF-8", eventlog.Record{Topics: []string{"a"}, Data: []byte("\xff")}, false},
		{"a reconnection time of days", eventlog.Record{Topics: []string{"a"}, Retry: 48 * time.Hour}, false},
	} {
		err := hub.Check(&tt.r)
		var invalid *topic.InvalidError
		if tt.ok && err != nil || !tt.ok && !errors.As(err, &invalid) {
			t.Errorf("%s: Check = %v", tt.why, err)
		}
	}
}
