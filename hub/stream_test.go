package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/sse"
	"github.com/tidings-sse/tidings/topic"
)

// countingLog counts the reads of a log.
type countingLog struct {
	eventlog.Log
	reads      atomic.Int64
	afterFirst func() // called once, with the first event of the first read
}

func (l *countingLog) Read(ctx context.Context, after eventlog.ID, q eventlog.Query) iter.Seq2[*eventlog.Event, error] {
	first := l.reads.Add(1) == 1
	return func(yield func(*eventlog.Event, error) bool) {
		for e, err := range l.Log.Read(ctx, after, q) {
			if first && l.afterFirst != nil {
				first = false
				l.afterFirst()
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func newTestHub(t testing.TB, r eventlog.Retention) (*Hub, *countingLog) {
	t.Helper()
	return newTestHubWith(t, r, Options{})
}

// newBudgetedHub returns a hub on a log in memory, with budget b.
func newBudgetedHub(t testing.TB, b *budget.Budget) *Hub {
	t.Helper()
	h, _ := newTestHubWith(t, eventlog.Retention{}, Options{Budget: b})
	return h
}

func newTestHubWith(t testing.TB, r eventlog.Retention, o Options) (*Hub, *countingLog) {
	t.Helper()
	log := &countingLog{Log: eventlog.NewMemory(r)}
	h, err := New(log, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.Close()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return h, log
}

func put(t testing.TB, h *Hub, topic, data string) eventlog.ID {
	t.Helper()
	results, err := h.Publish(context.Background(), eventlog.Record{Topics: []string{topic}, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return results[0].ID
}

func openStream(t testing.TB, h *Hub, from From, selectors ...string) *Stream {
	t.Helper()
	sel, err := topic.Parse(selectors...)
	if err != nil {
		t.Fatal(err)
	}
	st, err := h.Stream(context.Background(), Subscription{Selectors: sel, From: from}, StreamOptions{Retry: time.Second, Heartbeat: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	return st
}

// urns is a spelling of ids that is not the log's.
var urns = &Spelling{Of: eventlog.ID.URN}

// brackets is a framing.
var brackets = &Framing{
	Open:  func(dst []byte) []byte { return append(dst, '[') },
	Close: func(dst []byte, _ int) []byte { return append(dst, ']') },
	End:   ".",
}

// nextWrite returns what Serve writes next.
func nextWrite(ctx context.Context, st *Stream) (written []byte, err error) {
	b, err := st.await(ctx)
	if err != nil {
		return nil, err
	}
	err = st.writeSome(b, func(b []byte) error {
		written = bytes.Clone(b)
		return nil
	})
	return written, err
}

// body reads a stream as the body of a response.
type body struct {
	st   *Stream
	ctx  context.Context
	left []byte
}

func (r *body) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		b, err := nextWrite(r.ctx, r.st)
		if err != nil {
			return 0, err
		}
		r.left = bytes.Clone(b) // b is valid until the next call
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// decode returns the events of a stream without its positions.
func decode(ctx context.Context, st *Stream) iter.Seq2[sse.Event, error] {
	return func(yield func(sse.Event, error) bool) {
		for e, err := range sse.Read(&body{st: st, ctx: ctx}) {
			if e.Type != PositionType && !yield(e, err) {
				return
			}
		}
	}
}

// idle waits until the hub has routed everything and no window holds anything.
func idle(t testing.TB, h *Hub) {
	t.Helper()
	b, err := h.log.Bounds(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	waitRouted(t, h, b.Last)
	if n := h.feeds.WindowBytes(); n != 0 {
		t.Errorf("the windows hold %d bytes, and nobody is behind", n)
	}
}

// TestStreamsNothingLostNothingTwice checks that streams which come and go, read slowly
// or fast, fall out of the window and resume anywhere receive every event once and in
// order.
func TestStreamsNothingLostNothingTwice(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	const publishers, each, streams = 4, 400, 24
	pad := strings.Repeat("x", 3000) // several windows in all
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(2, uint64(i)))
			from := From{LastEventID: Earliest}
			next := map[string]int{}
			for seen := 0; seen < publishers*each; {
				stay := 1 + rng.IntN(each)
				st := openStream(t, h, from, "a", "orders/{id}")
				for e, err := range decode(t.Context(), st) {
					var publisher string
					var n int
					if err == nil {
						_, err = fmt.Sscanf(e.Data, "%1s/%d", &publisher, &n)
					}
					if err != nil || n != next[publisher] {
						t.Errorf("got %.30q (%v), want number %d of publisher %s", e.Data, err, next[publisher], publisher)
						return
					}
					next[publisher]++
					seen++
					from.LastEventID = e.ID
					if i%4 == 0 && rng.IntN(10) == 0 {
						time.Sleep(time.Millisecond) // a slow reader, by its nature
					}
					if stay--; stay == 0 || seen == publishers*each {
						break
					}
				}
				st.Close()
			}
		})
	}
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				topic := "a"
				if p%2 == 1 {
					topic = fmt.Sprintf("orders/%d", i%10)
				}
				put(t, h, topic, fmt.Sprintf("%d/%d %s", p, i, pad))
				put(t, h, "of no interest", "x")
			}
		})
	}
	wg.Wait()
	idle(t, h)
	if feeds, subscribers := h.feeds.Totals().Feeds(), h.feeds.Members(); feeds != 0 || subscribers != 0 {
		t.Errorf("%d feeds and %d subscribers are left, and nobody is there", feeds, subscribers)
	}
}

// TestFallingOutOfTheWindow checks that a stream which reads nothing while more than a
// window is published continues from the log, and that the window never exceeds its
// limit.
func TestFallingOutOfTheWindow(t *testing.T) {
	h, log := newTestHub(t, eventlog.Retention{})
	st := openStream(t, h, From{}, "a")
	fast := openStream(t, h, From{}, "a")
	const n = 100
	big := strings.Repeat("x", feed.MaxWindow/20)
	var caught sync.WaitGroup
	caught.Go(func() {
		i := 0
		for e, err := range decode(t.Context(), fast) {
			if err != nil || !strings.HasPrefix(e.Data, fmt.Sprint(i, " ")) {
				t.Errorf("event %d: %.10q, %v", i, e.Data, err)
			}
			if i++; i == n {
				return
			}
		}
	})
	for i := range n {
		put(t, h, "a", fmt.Sprint(i, " ", big))
		if held := h.feeds.WindowBytes(); held > feed.MaxWindow*3/2+int64(len(big)) { // append may grow the buffer by a quarter
			t.Fatalf("the window holds %d bytes", held)
		}
	}
	caught.Wait()
	if log.reads.Load() >= n {
		t.Errorf("who keeps up had the log read %d times", log.reads.Load())
	}
	i := 0
	for e, err := range decode(t.Context(), st) {
		if err != nil || !strings.HasPrefix(e.Data, fmt.Sprint(i, " ")) {
			t.Fatalf("event %d: %.10q, %v", i, e.Data, err)
		}
		if i++; i == n {
			break
		}
	}
	idle(t, h)
}

// TestPagesAreShared checks that each page is read once for many streams that resume at
// one position.
func TestPagesAreShared(t *testing.T) {
	h, log := newTestHub(t, eventlog.Retention{})
	const n, herd = 2000, 200
	pad := strings.Repeat("x", 500)
	for i := range n {
		put(t, h, "a", fmt.Sprint(i, " ", pad))
	}
	idle(t, h)
	var wg sync.WaitGroup
	for range herd {
		st := openStream(t, h, From{LastEventID: Earliest}, "a")
		wg.Go(func() {
			i := 0
			for e, err := range decode(t.Context(), st) {
				if err != nil || !strings.HasPrefix(e.Data, fmt.Sprint(i, " ")) {
					t.Errorf("event %d: %.10q, %v", i, e.Data, err)
					return
				}
				if i++; i == n {
					return
				}
			}
		})
	}
	wg.Wait()
	const pages = n * 500 / (feed.PageBytes / 4)
	if reads := log.reads.Load(); reads > 3*pages {
		t.Errorf("%d subscribers had the log read %d times; there are no more than %d pages", herd, reads, pages)
	}
	if held := h.budget.Share(budget.Pages); held.Used() <= 0 || held.Full() {
		t.Errorf("the pages hold %d bytes", held.Used())
	}
}

// TestPagesConverge checks that streams that resume at different positions soon read the
// same pages, however their events are spread in the log.
func TestPagesConverge(t *testing.T) {
	for _, every := range []int{1, 3, 20} {
		h, log := newTestHub(t, eventlog.Retention{})
		var ids []eventlog.ID
		pad := strings.Repeat("x", 300)
		for i := range 4000 {
			ids = append(ids, put(t, h, "a", fmt.Sprint(i, pad)))
			for range every - 1 {
				put(t, h, "b", "x")
			}
		}
		idle(t, h)
		const herd = 50
		for i := range herd {
			st := openStream(t, h, From{LastEventID: ids[i*7].String()}, "a")
			for e, err := range decode(t.Context(), st) {
				if err != nil {
					t.Fatal(err)
				}
				if e.ID == ids[len(ids)-1].String() {
					break
				}
			}
			defer st.Close()
		}
		const pages = 4000 * 330 / (feed.PageBytes / 2)
		if reads := log.reads.Load(); reads > 8*pages+4*herd {
			t.Errorf("every %d: %d who came back to different places had the log read %d times; there are about %d pages", every, herd, reads, pages)
		}
	}
}

// TestPagesGoWithTheirFeed checks that the cache drops the pages of a feed that is gone:
// many subscriptions with a feed each may come and go.
func TestPagesGoWithTheirFeed(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	for i := range 500 {
		put(t, h, "a", fmt.Sprint(i, strings.Repeat("x", 500)))
	}
	idle(t, h)
	st := openStream(t, h, From{LastEventID: Earliest}, "a")
	for _, err := range decode(t.Context(), st) {
		if err != nil {
			t.Fatal(err)
		}
		if h.budget.Share(budget.Pages).Used() > 0 {
			break
		}
	}
	st.Close()
	if n := h.budget.Share(budget.Pages).Used(); n != 0 {
		t.Errorf("%d bytes of pages are left of a feed that is gone", n)
	}
}

// TestDeleteReachesPagesBeingRead checks that no later stream gets a page that was being
// read while its events were deleted.
func TestDeleteReachesPagesBeingRead(t *testing.T) {
	h, log := newTestHub(t, eventlog.Retention{})
	secret := put(t, h, "a", "secret")
	put(t, h, "a", "other")
	idle(t, h) // otherwise they are delivered live, and no page is read
	reading, deleted := make(chan struct{}), make(chan struct{})
	log.afterFirst = func() {
		close(reading)
		<-deleted
	}
	first := openStream(t, h, From{LastEventID: Earliest}, "a")
	go func() {
		for range decode(t.Context(), first) {
			break
		}
	}()
	<-reading
	if n, err := h.DeleteID(t.Context(), secret.String()); n != 1 || err != nil {
		t.Fatalf("DeleteID = %d, %v", n, err)
	}
	close(deleted)
	for e, err := range decode(t.Context(), openStream(t, h, From{LastEventID: Earliest}, "a")) {
		if err != nil || e.Data != "other" {
			t.Errorf("after the delete a new stream gets %q, %v", e.Data, err)
		}
		break
	}
}

// TestLargeEventsInParts checks that a stream sends a large event in parts, even if the
// window drops it meanwhile, and nothing in between.
func TestLargeEventsInParts(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	st := openStream(t, h, From{}, "a")
	var got []byte
	next := func() {
		b, err := nextWrite(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 2*feed.PageBytes && !st.Cursor().CatchingUp() {
			t.Fatalf("took %d bytes at once", len(b))
		}
		got = append(got, b...)
	}
	next()                                                   // the beginning
	large := strings.Repeat("0123456789", feed.MaxWindow/20) // half a window
	put(t, h, "a", "small")
	for len(parse(t, got)) < 2 {
		next()
	}
	for i := range 6 {
		put(t, h, "a", fmt.Sprint(i, large))
		if i == 0 {
			next()
			if !st.cursor.Within() {
				t.Fatal("it was not taken in parts")
			}
		}
	}
	for !bytes.Contains(got, []byte("data: 5"+large+"\n\n")) {
		next()
	}
	blocks := parse(t, got)
	if len(blocks) != 8 { // the position, small and six
		t.Fatalf("%d blocks, want 8", len(blocks))
	}
	for i, b := range blocks[2:] {
		if b.data != fmt.Sprint(i, large) {
			t.Errorf("event %d is %.20q…, %d bytes", i, b.data, len(b.data))
		}
	}
}

// TestWritesAllocateNothing sends an event a byte at a time.
func TestWritesAllocateNothing(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	st := openStream(t, h, From{}, "a")
	next(t, st) // its position
	if b, err := st.Peek(); err != nil || len(b) > 0 {
		t.Fatalf("%q, %v", b, err)
	}
	waitRouted(t, h, put(t, h, "a", strings.Repeat("x", 2000)))
	if n := testing.AllocsPerRun(1000, func() {
		if b, err := st.Peek(); err != nil || len(b) == 0 {
			t.Fatalf("%q, %v", b, err)
		}
		st.Advance(1)
	}); n > 0 {
		t.Errorf("a write allocates %v times", n)
	}
}

// TestEventGoneInMidWrite checks that a stream which has sent part of an event ends if
// the rest is gone, and that the error says whether retention or an operator removed it.
func TestEventGoneInMidWrite(t *testing.T) {
	for want, retained := range map[error]int64{ErrEventTrimmed: 1, ErrEventDeleted: 0} {
		h, _ := newTestHub(t, eventlog.Retention{Events: retained})
		st := openStream(t, h, From{}, "a")
		if _, err := nextWrite(t.Context(), st); err != nil { // the beginning
			t.Fatal(err)
		}
		if _, err := st.Peek(); err != nil || st.Cursor().CatchingUp() { // a page would keep the event in memory
			t.Fatalf("the stream is not caught up: %v", err)
		}
		id := put(t, h, "a", strings.Repeat("0123456789", feed.MaxWindow/20))
		waitRouted(t, h, id)
		for !st.cursor.Within() {
			if _, err := nextWrite(t.Context(), st); err != nil {
				t.Fatal(err)
			}
		}
		if retained == 0 {
			if n, err := h.DeleteID(t.Context(), id.String()); n != 1 || err != nil {
				t.Fatalf("Delete = %d, %v", n, err)
			}
		}
		for range 3 {
			waitRouted(t, h, put(t, h, "a", strings.Repeat("9876543210", feed.MaxWindow/20)))
		}
		var err error
		for err == nil {
			_, err = nextWrite(t.Context(), st)
		}
		if !errors.Is(err, want) || !WasEnded(err) {
			t.Errorf("the stream ends with %v; want %v", err, want)
		}
	}
}

func TestPageCacheIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("publishes 128 MiB")
	}
	h, _ := newTestHub(t, eventlog.Retention{})
	big := strings.Repeat("x", 1<<20)
	held := h.budget.Share(budget.Pages)
	for range 2 * held.Most() >> 20 {
		put(t, h, "a", big)
	}
	last := put(t, h, "a", "last")
	for e, err := range decode(t.Context(), openStream(t, h, From{LastEventID: Earliest}, "a")) {
		if err != nil {
			t.Fatal(err)
		}
		if held.Used() > held.Most()+int64(len(big))+1000 {
			t.Fatalf("the pages hold %d bytes", held.Used())
		}
		if e.ID == last.String() {
			break
		}
	}
}

// TestOpenTemplatesAreBounded checks that the hub limits the templates that have to be
// tried on every topic, and that ordinary templates are accepted even then.
func TestOpenTemplatesAreBounded(t *testing.T) {
	b := budget.New(0)
	h := newBudgetedHub(t, b)
	ask := func(texts ...string) (*Stream, error) {
		return h.Stream(t.Context(), Subscription{Selectors: mustSelect(t, texts...)}, StreamOptions{Retry: time.Second})
	}
	var streams []*Stream
	var err error
	for i := 0; err == nil; i++ {
		var st *Stream
		if st, err = ask(fmt.Sprintf("{+a}%d{+b}/{c}", i)); err == nil {
			streams = append(streams, st)
		}
	}
	if err != ErrTooManyTemplates || len(streams) < 500 || len(streams) > 2000 {
		t.Fatalf("after %d templates without a literal: %v", len(streams), err)
	}
	for _, text := range []string{"https://shop.example/orders/{id}", "{x}", "{+x}", "{/x}", "shop/{a}/orders/{b}", "{+other}7{+names}/{x}"} {
		if st, err := ask(text); err != nil {
			t.Errorf("%s is refused: %v", text, err)
		} else {
			streams = append(streams, st)
		}
	}
	for _, st := range streams {
		st.Close()
	}
	if b.Used() != 0 {
		t.Errorf("without streams, %d bytes are held", b.Used())
	}
}

// TestEventOfManyTopicsComesOnce checks that a feed delivers an event once, even if it
// selects several of its topics.
func TestEventOfManyTopicsComesOnce(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	st := openStream(t, h, From{}, "a", "b", "{x}")
	for _, data := range []string{"1", "2"} {
		if _, err := h.Publish(t.Context(), eventlog.Record{Topics: []string{"a", "b", "c"}, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	want := "1"
	for e, err := range decode(t.Context(), st) {
		if err != nil || e.Data != want {
			t.Fatalf("got %+v, %v; want %s", e, err, want)
		}
		if want == "2" {
			break
		}
		want = "2"
	}
}

// waitRouted waits until the hub has routed everything up to a position.
func waitRouted(t testing.TB, h *Hub, place eventlog.ID) {
	t.Helper()
	for moved := newSignal(); ; <-moved {
		if _, ok, err := h.feeds.Routed(place, moved); err != nil {
			t.Fatal(err)
		} else if ok {
			return
		}
	}
}

// TestSelectorsAreBounded checks that the total bytes of all feeds' selectors are
// limited.
func TestSelectorsAreBounded(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	h.weights.limit = 1 << 20
	ask := func(n int) Subscription {
		texts := make([]string, MaxSelectors)
		for j := range texts {
			texts[j] = fmt.Sprintf("row/%d/%d", n, j)
		}
		sel, err := topic.Parse(texts...)
		if err != nil {
			t.Fatal(err)
		}
		return Subscription{Selectors: sel}
	}
	open := func(s Subscription) (*Stream, error) {
		return h.Stream(t.Context(), s, StreamOptions{Retry: time.Second})
	}
	var streams []*Stream
	var err error
	for n := 0; err == nil; n++ {
		var st *Stream
		if st, err = open(ask(n)); err == nil {
			streams = append(streams, st)
		}
	}
	if err != ErrTooManySelectors || len(streams) < 4 || len(streams) > 10 {
		t.Fatalf("after %d streams of %d selectors: %v", len(streams), MaxSelectors, err)
	}
	same, err := open(ask(0))
	if err != nil {
		t.Fatalf("what is there already takes no more: %v", err)
	}
	small := openStream(t, h, From{}, "news")
	streams[1].Close()
	again, err := open(ask(1))
	if err != nil {
		t.Errorf("who leaves makes room: %v", err)
	}
	for _, st := range append(streams[2:], streams[0], same, again, small) {
		st.Close()
	}
	if held := h.weights.share.Used(); h.weights.heavy != 0 || held != 0 {
		t.Errorf("without streams, %d bytes count, and %d as heavy", held, h.weights.heavy)
	}
}

// TestFeedsKeepNothingElse checks that a feed holds neither the URL of its request nor
// copies of its templates.
func TestFeedsKeepNothingElse(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	address := "topic=a/{id}&type=price&" + strings.Repeat("x", 1000)
	within := func(s string) bool {
		start := uintptr(unsafe.Pointer(unsafe.StringData(address)))
		at := uintptr(unsafe.Pointer(unsafe.StringData(s)))
		return at >= start && at < start+uintptr(len(address))
	}
	ask := func(more string, types ...string) *Stream {
		sel, err := topic.Parse(address[6:12], more)
		if err != nil {
			t.Fatal(err)
		}
		st, err := h.Stream(t.Context(), Subscription{Selectors: sel, Types: types}, StreamOptions{Retry: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	one, other, all := ask("b", address[18:23]), ask("c"), ask("*")
	defer one.Close()
	defer other.Close()
	defer all.Close()
	p, q := one.cursor.Feed().Selectors().Templates()[0], other.cursor.Feed().Selectors().Templates()[0]
	if p.Text() != "a/{x}" || p != q || len(all.cursor.Feed().Selectors().Templates()) != 0 {
		t.Errorf("%q: the feeds share no template, or one that selects all has some", p.Text())
	}
	for _, name := range one.cursor.Feed().Types() {
		if name != "price" || within(name) {
			t.Errorf("the type %q is a part of the address", name)
		}
	}
	if within(p.Text()) || within(p.Prefix) || within(one.cursor.Feed().Selectors().Texts()[0]) {
		t.Error("a selector is a part of the address")
	}
}

// TestTemplatesDoNotHoldUpLiveDelivery checks that many templates that take long to try
// delay only their own streams, which still receive everything in order.
func TestTemplatesDoNotHoldUpLiveDelivery(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	const streams = 60
	var slow []*Stream
	for i := range streams {
		texts := make([]string, MaxTopics)
		for j := range texts {
			n := i*MaxTopics + j
			xy := func(n int) string { return strings.Repeat("xy", 1+n%20) }
			texts[j] = "t{+a}" + xy(n) + "{+b}" + xy(n/20) + "{+c}" + xy(n/400) + "{+d}x{+e}z{+f}"
		}
		texts[0] = "t{+a}x{+b}"
		slow = append(slow, openStream(t, h, From{}, texts...))
	}
	exact, ordinary := openStream(t, h, From{}, "t"+strings.Repeat("xy", 400), "end"), openStream(t, h, From{}, "t{+x}", "end")

	put(t, h, "t"+strings.Repeat("xy", 400), "0")
	waitRouted(t, h, put(t, h, "t"+strings.Repeat("xy", 401), "1"))
	if n := h.feeds.Totals().LateMatches.Load(); n != 2 {
		t.Errorf("%d of two events were delivered before all templates were tried", n)
	}
	want := []string{"0", "1"}
	for i := range 20 {
		put(t, h, fmt.Sprint("t", i, strings.Repeat("xy", 1+i)), fmt.Sprint(2+i))
		want = append(want, fmt.Sprint(2+i))
	}
	put(t, h, "end", "end")
	if got := dataUntil(t, exact, "end"); !slices.Equal(got, []string{"0", "end"}) {
		t.Errorf("a stream of one topic got %s", got)
	}
	if got := dataUntil(t, ordinary, "end"); !slices.Equal(got, append(want, "end")) {
		t.Errorf("a stream of an ordinary template got %s", got)
	}
	for _, st := range slow[:10] {
		if got := dataUntil(t, st, "21"); !slices.Equal(got, want) {
			t.Errorf("a stream of slow templates got %s", got)
		}
	}
}

// TestSubscriptionIsBounded checks the limits of a subscription's bytes and types, and
// that a token's payload is held once for all its streams.
func TestSubscriptionIsBounded(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	sel := func(n, size int) topic.Selectors {
		texts := make([]string, n)
		for i := range texts {
			texts[i] = fmt.Sprintf("%0*d", size, i)
		}
		s, err := topic.Parse(texts...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	types := func(n, size int) []string { return slices.Repeat([]string{strings.Repeat("t", size)}, n) }
	for _, tt := range []struct {
		why  string
		sub  Subscription
		good bool
	}{
		{"a thousand short topics", Subscription{Selectors: sel(1000, 60)}, true},
		{"a thousand long ones", Subscription{Selectors: sel(1000, 70)}, false},
		{"a few as long as they may be", Subscription{Selectors: sel(15, topic.MaxBytes)}, true},
		{"a hundred", Subscription{Selectors: sel(100, topic.MaxBytes)}, false},
		{"a hundred types", Subscription{Selectors: sel(1, 1), Types: types(MaxTypes, 5)}, true},
		{"one more", Subscription{Selectors: sel(1, 1), Types: types(MaxTypes+1, 5)}, false},
		{"long types", Subscription{Selectors: sel(1, 1), Types: types(MaxTypes, 700)}, false},
	} {
		st, err := h.Stream(t.Context(), tt.sub, StreamOptions{})
		var invalid *topic.InvalidError
		if (err == nil) != tt.good || err != nil && !errors.As(err, &invalid) {
			t.Errorf("%s: %v", tt.why, err)
		}
		if err == nil {
			st.Close()
		}
	}
	payload := strings.Repeat("x", 45<<10)
	var kept [2]string
	for i := range kept {
		st, err := h.Stream(t.Context(), Subscription{Selectors: sel(1, 1)}, StreamOptions{Peer: Peer{Payload: strings.Clone(payload)}})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		kept[i] = st.info(nil).Payload
	}
	if kept[0] != payload || unsafe.StringData(kept[0]) != unsafe.StringData(kept[1]) {
		t.Error("two streams of a token keep its payload twice")
	}
}
