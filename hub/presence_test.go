package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/topic"
)

// next returns what a stream writes next, as text.
func next(t *testing.T, st *Stream) string {
	t.Helper()
	b, err := nextWrite(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func listed(t *testing.T, h *Hub, f StreamFilter) []StreamInfo {
	t.Helper()
	page, err := h.Streams(t.Context(), f, StreamID{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	found := page.Streams
	page.Close()
	if total, err := h.CountStreams(t.Context(), f); err != nil || total != len(found) || page.More {
		t.Fatalf("%d streams of %d, %v", len(found), total, err)
	}
	return found
}

func one(t *testing.T, h *Hub, f StreamFilter) StreamInfo {
	t.Helper()
	page := listed(t, h, f)
	if len(page) != 1 {
		t.Fatalf("%d streams, want one", len(page))
	}
	return page[0]
}

func TestStreamsAreListed(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	sel, err := topic.Parse("news", "orders/{id}")
	if err != nil {
		t.Fatal(err)
	}
	agent := strings.Repeat("é", 150)
	st, err := h.Stream(t.Context(), Subscription{Selectors: sel, Types: []string{"b", "a"}}, StreamOptions{
		Heartbeat: time.Hour, Envelope: InJSON,
		Peer: Peer{Subject: "ann", Remote: "192.0.2.1:5", UserAgent: agent},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	got := one(t, h, StreamFilter{ID: st.ID()})
	if got.Subject != "ann" || got.Remote != "192.0.2.1:5" || got.UserAgent != agent[:maxUserAgent] || got.Envelope != InJSON ||
		!slices.Equal(got.Selectors, []string{"news", "orders/{id}"}) || !slices.Equal(got.Types, []string{"a", "b"}) || time.Since(got.Opened) < 0 {
		t.Errorf("listed as %+v", got)
	}
	if id, ok := ParseStreamID(st.ID().String()); !ok || id != st.ID() {
		t.Errorf("%s does not read as itself", st.ID())
	}
	st.Close()
	if page := listed(t, h, StreamFilter{}); len(page) != 0 {
		t.Errorf("closed, and still listed: %+v", page)
	}
}

func TestStreamFilters(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	open := map[string]*Stream{}
	for _, s := range []string{"news", "orders/{id}", "orders/{id}/items", "*"} {
		open[s] = openStream(t, h, From{}, s)
	}
	for _, tt := range []struct {
		why   string
		topic string
		want  []string
	}{
		{"a topic finds who gets its events", "orders/7", []string{"*", "orders/{id}"}},
		{"a template finds who asked for what it selects, or for the same", "orders/{id}", []string{"*", "orders/{id}"}},
		{"and who asked for it in another spelling", "{+x}", []string{"*", "news", "orders/{id}", "orders/{id}/items"}},
		{"a topic that nobody names", "weather", []string{"*"}},
		{"everything", "*", []string{"*", "news", "orders/{id}", "orders/{id}/items"}},
	} {
		sel, err := topic.Parse(tt.topic)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range listed(t, h, StreamFilter{Topics: sel}) {
			got = append(got, i.Selectors...)
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q gives %q, want %q", tt.why, tt.topic, got, tt.want)
		}
	}
	if got := one(t, h, StreamFilter{ID: open["news"].ID()}); got.Selectors[0] != "news" {
		t.Errorf("by id: %+v", got)
	}
	if got := listed(t, h, StreamFilter{Subject: "ann"}); len(got) != 0 {
		t.Errorf("nobody has that subject, and yet: %+v", got)
	}
}

func TestStreamsInPages(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	want := map[StreamID]bool{}
	for range 25 {
		want[openStream(t, h, From{}, "a").ID()] = true
	}
	var after StreamID
	for pages := 0; len(want) > 0; pages++ {
		page, err := h.Streams(t.Context(), StreamFilter{}, after, 10)
		if err != nil {
			t.Fatal(err)
		}
		defer page.Close()
		if len(page.Streams) == 0 || page.More != (len(want) > 10) || pages == 3 {
			t.Fatalf("page %d: %d streams, more: %t", pages, len(page.Streams), page.More)
		}
		for _, i := range page.Streams {
			if !want[i.ID] {
				t.Errorf("%s is listed twice, or is not open", i.ID)
			}
			delete(want, i.ID)
			after = i.ID
		}
	}
}

// TestStreamPages checks that pages contain each selected stream once, ordered by ID, and
// that the memory of a page is counted and bounded, however many streams there are and
// however much they ask for.
func TestStreamPages(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	lists := h.budget.Share(budget.Lists)
	long := strings.Repeat("x", 4000)
	want := map[string][]StreamID{}
	for i := range 600 {
		name := "short"
		texts := []string{name}
		if i%2 == 0 {
			name = "long"
			for j := range 15 {
				texts = append(texts, fmt.Sprint(i, "/", j, "/", long))
			}
			texts[0] = name
		}
		id := openStream(t, h, From{}, texts...).ID()
		want[name] = append(want[name], id)
		want["all"] = append(want["all"], id)
	}
	for name, f := range map[string]StreamFilter{
		"all":   {},
		"short": {Selector: "short"},
		"long":  {Topics: mustParse(t, "long")},
	} {
		var got []StreamID
		for after, more := (StreamID{}), true; more; {
			page, err := h.Streams(t.Context(), f, after, 100)
			if err != nil {
				t.Fatal(err)
			}
			held, n := int64(0), len(page.Streams)
			for _, i := range page.Streams {
				got = append(got, i.ID)
				for _, text := range i.Selectors {
					held += int64(len(text))
				}
			}
			if n == 0 || n > 100 || held > 256<<10+70_000 || lists.Used() < held || lists.Used() > 512<<10 {
				t.Fatalf("%s: a page has %d streams with %d bytes of selectors, and %d are counted", name, n, held, lists.Used())
			}
			after, more = got[len(got)-1], page.More
			page.Close()
			page.Close()
			if lists.Used() != 0 {
				t.Fatalf("%s: %d bytes are counted after a page was closed", name, lists.Used())
			}
		}
		slices.SortFunc(want[name], func(a, b StreamID) int { return bytes.Compare(a[:], b[:]) })
		if !slices.Equal(got, want[name]) {
			t.Errorf("%s: %d streams in pages, want %d, by id", name, len(got), len(want[name]))
		}
		if n, err := h.CountStreams(t.Context(), f); err != nil || n != len(want[name]) {
			t.Errorf("%s: %d streams are counted, %v", name, n, err)
		}
	}
	lists.Add(lists.Most())
	if _, err := h.Streams(t.Context(), StreamFilter{}, StreamID{}, 100); err != ErrOverBudget {
		t.Errorf("when lists hold all that they may: %v", err)
	}
	if lists.Used() != lists.Most() {
		t.Errorf("%d bytes are counted", lists.Used())
	}
}

// TestStreamsWaitForTheirTurn checks that listing streams takes turns with reads of the
// log, and that the call returns when its context ends.
func TestStreamsWaitForTheirTurn(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	openStream(t, h, From{}, "a")
	release := takeSlots(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	listed := make(chan error)
	go func() {
		_, err := h.Streams(ctx, StreamFilter{}, StreamID{}, 1)
		listed <- err
	}()
	select {
	case err := <-listed:
		t.Fatalf("a list does not wait for a slot: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	if err := <-listed; !errors.Is(err, context.Canceled) {
		t.Errorf("one whose client has gone ends with %v", err)
	}
	release(-1)
}

func TestStreamStates(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	behind := openStream(t, h, From{LastEventID: Earliest}, "a")
	st := openStream(t, h, From{}, "a")
	state := func(st *Stream) StreamInfo { return one(t, h, StreamFilter{ID: st.ID()}) }

	next(t, st)
	if b, err := st.Peek(); len(b) > 0 || err != nil { // it has caught up, so the feed keeps a window for it
		t.Fatalf("%q, %v", b, err)
	}
	first := put(t, h, "a", "1")
	b, err := st.await(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := st.writeSome(b, func([]byte) error {
		if got := state(st); got.State != Lagging || got.Behind == 0 {
			t.Errorf("while the peer has not taken the event, the stream is %+v", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := state(st); got.State != CaughtUp || got.Place != first || got.Behind != 0 {
		t.Errorf("when it has, the stream is %+v", got)
	}
	last := put(t, h, "a", "22")
	waitRouted(t, h, last)
	if got := state(st); got.State != Lagging || got.Behind == 0 {
		t.Errorf("with an event to take, the stream is %+v", got)
	}
	if got := state(behind); got.State != CatchingUp || got.Place != behind.start {
		t.Errorf("before it has read the log, a stream is %+v", got)
	}
	s, err := h.Stats(t.Context())
	if err != nil || s.Streams != 2 || s.Lagging != 1 || s.CatchingUp != 1 || s.Feeds != 1 || s.WindowBytes == 0 {
		t.Errorf("the figures are %+v, %v", s, err)
	}
}

func TestOutcomes(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	sel, err := topic.Parse("a")
	if err != nil {
		t.Fatal(err)
	}
	typed, err := h.Stream(t.Context(), Subscription{Selectors: sel, Types: []string{"price"}}, StreamOptions{Heartbeat: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer typed.Close()
	streams := map[Outcome]*Stream{
		Delivered:     openStream(t, h, From{}, "a"),
		Pending:       openStream(t, h, From{}, "a"),
		NotSubscribed: openStream(t, h, From{}, "b"),
		OtherType:     typed,
	}
	next(t, streams[Delivered])
	id := put(t, h, "a", "1")
	next(t, streams[Delivered])
	streams[BeganLater] = openStream(t, h, From{}, "a")

	e, err := h.Event(t.Context(), id.String())
	if err != nil || string(e.Data) != "1" {
		t.Fatalf("the event is %+v, %v", e, err)
	}
	for want, st := range streams {
		if got := one(t, h, StreamFilter{ID: st.ID(), Event: e}); got.Outcome != want {
			t.Errorf("the outcome is %s, want %s: %+v", got.Outcome, want, got)
		}
	}
}

func TestOutcomeOfAPrivateEvent(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	blind := openGranted(t, h, From{}, "a", Bare)
	openGranted(t, h, From{}, "a", Bare, "a")
	secret, err := h.Event(t.Context(), putPrivate(t, h, "1", "a").String())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range listed(t, h, StreamFilter{Event: secret}) {
		if (i.Outcome == NoGrant) != (i.ID == blind.ID()) {
			t.Errorf("the outcome is %s", i.Outcome)
		}
	}
}

func TestEventByID(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	publishedAs := func(id string) {
		if _, err := h.Publish(t.Context(), eventlog.Record{Topics: []string{"a"}, PublisherID: id, Data: []byte(id)}); err != nil {
			t.Fatal(err)
		}
	}
	publishedAs("mine")
	publishedAs("deleted")
	if _, err := h.DeleteID(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	if e, err := h.Event(t.Context(), "mine"); err != nil || string(e.Data) != "mine" {
		t.Errorf("by its publisher's id: %+v, %v", e, err)
	}
	for _, id := range []string{"deleted", "nobody's", "_", "_1-1", eventlog.ID{Epoch: 1, Lo: 1 << 40}.String()} {
		if e, err := h.Event(t.Context(), id); !errors.Is(err, eventlog.ErrNotFound) {
			t.Errorf("%s: %+v, %v", id, e, err)
		}
	}
}

func TestEnd(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	st := openStream(t, h, From{}, "a")
	next(t, st)
	ended := make(chan error)
	go func() {
		_, err := nextWrite(context.Background(), st)
		ended <- err
	}()
	if n := h.End(StreamFilter{ID: st.ID()}, ErrKicked); n != 1 {
		t.Errorf("ended %d streams", n)
	}
	if err := <-ended; !errors.Is(err, ErrKicked) {
		t.Errorf("the stream ended with %v", err)
	}
	st.End(ErrExpired) // the first cause counts, not this one
	st.Close()
	st.Close()

	gone := openStream(t, h, From{}, "a")
	gone.Close()
	s, err := h.Stats(t.Context())
	if err != nil || s.Connects != 2 || s.Disconnects[Kicked] != 1 || s.Disconnects[ClientGone] != 1 || s.Disconnects[TokenExpired] != 0 {
		t.Errorf("the figures are %+v, %v", s, err)
	}
}

// TestEndBetweenEvents checks that a stream sends an event whole before it ends.
func TestEndBetweenEvents(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	st := openStream(t, h, From{}, "a")
	next(t, st)
	large := strings.Repeat("x", 3*takeSize)
	put(t, h, "a", large)
	got := next(t, st)
	st.End(ErrKicked)
	for {
		b, err := nextWrite(t.Context(), st)
		if err != nil {
			if !errors.Is(err, ErrKicked) || !strings.HasSuffix(got, "x\n\n") || len(got) < len(large) {
				t.Errorf("the stream ended with %v after %d bytes that end in %q", err, len(got), got[len(got)-10:])
			}
			return
		}
		got += string(b)
	}
}

func TestCounters(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{Events: 2})
	records := []eventlog.Record{
		{Topics: []string{"a"}, Data: []byte("1234"), Key: "k"},
		{Topics: []string{"a"}, Data: []byte("1234"), Key: "k"},
		{Topics: []string{"a"}, Data: []byte("other"), Key: "k"},
	}
	results, err := h.Publish(t.Context(), records...)
	if err != nil {
		t.Fatal(err)
	}
	waitRouted(t, h, results[0].ID)
	live := openStream(t, h, From{}, "a")
	next(t, live)
	old := openStream(t, h, From{LastEventID: Earliest}, "a")
	next(t, old)
	sent := len(next(t, old)) // one event, from the log
	put(t, h, "a", "56")
	sent += len(next(t, live))
	openStream(t, h, From{LastEventID: "nobody's"}, "a")

	s, err := h.Stats(t.Context())
	if err != nil || s.Published != 2 || s.PublishedBytes != 6 || s.Duplicates != 1 ||
		s.Deliveries != 2 || s.DeliveredBytes != uint64(sent) || s.CatchUps != 1 || s.Gaps[Unknown] != 1 || s.Gaps[Trimmed] != 0 ||
		s.Latency.Count != 1 || s.Log.Events != 2 {
		t.Errorf("the figures are %+v, %v; %d bytes were sent", s, err, sent)
	}
}

func TestHistogram(t *testing.T) {
	var h feed.Latencies
	for _, d := range []time.Duration{-time.Second, 0, 999 * time.Nanosecond, 3 * time.Microsecond, 5 * time.Millisecond, time.Hour} {
		h.Add(d)
	}
	s := snapshot(&h)
	if s.Count != 6 || s.Buckets[0] != (Bucket{time.Microsecond, 3}) || s.Buckets[1] != (Bucket{4 * time.Microsecond, 1}) {
		t.Errorf("the histogram is %+v", s)
	}
	if p50 := s.Quantile(0.5); p50 != time.Microsecond {
		t.Errorf("the median is %s", p50)
	}
	if none := new(Histogram).Quantile(0.5); none != 0 {
		t.Errorf("of nothing, the median is %s", none)
	}
}
