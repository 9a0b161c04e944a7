package hub

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/sse"
	"github.com/tidings-sse/tidings/topic"
)

// A loop serves streams, as a shard does, with peers in memory.
type loop struct {
	t       *testing.T
	hub     *Hub
	rng     *rand.Rand
	fo      *Fanout
	peers   []*peer // by tag
	alone   []*peer // peers to be served alone
	bell    signal
	writes  int         // writes in one call of Serve
	wrote   []time.Time // when those writes were made
	stories []story

	selectors []string // what the streams ask for

	mu   sync.Mutex
	rung []*peer
}

// A peer accepts a number of bytes, and then no more until it is given room.
type peer struct {
	loop     *loop
	st       *Stream
	tag      int32
	together bool
	gone     bool
	room     int
	got      bytes.Buffer
	sees     bool // it may see private events
	next     int  // index of the story it must receive next
}

// A story is a published event.
type story struct {
	data   string
	secret bool
	id     eventlog.ID
}

func (l *loop) Wake() { l.bell.Wake() }

func (p *peer) Wake() {
	p.loop.mu.Lock()
	p.loop.rung = append(p.loop.rung, p)
	p.loop.mu.Unlock()
	p.loop.bell.Wake()
}

func (p *peer) take(b []byte) int {
	n := min(len(b), p.room)
	p.room -= n
	p.got.Write(b[:n])
	return n
}

func (l *loop) Write(tag int32, b []byte) (int, error) {
	l.writes++
	l.wrote = append(l.wrote, time.Now())
	p := l.peers[tag]
	if !p.together || p.gone {
		l.t.Errorf("%d is written to, and is not there", tag)
	}
	return p.take(b), nil
}

func (l *loop) Leave(tag int32, _ error) {
	p := l.peers[tag]
	p.together = false
	l.alone = append(l.alone, p)
}

func (l *loop) separate(p *peer) {
	if p.together {
		l.fo.Remove(p.st)
		p.together = false
	}
}

// serve serves a peer alone.
func (l *loop) serve(p *peer) {
	if p.gone {
		return
	}
	l.separate(p)
	for p.room > 0 {
		b, err := p.st.Peek()
		if err != nil {
			l.t.Fatal(err)
		}
		if len(b) == 0 {
			p.together = l.fo.Add(p.st, p.tag)
			return
		}
		p.st.Advance(p.take(b))
	}
	p.st.Rest()
}

// turn serves some peers, and reports whether there is more to do.
func (l *loop) turn(n int) bool {
	l.mu.Lock()
	l.alone, l.rung = append(l.alone, l.rung...), nil
	l.mu.Unlock()
	first := l.alone[:min(n, len(l.alone))]
	l.alone = append([]*peer(nil), l.alone[len(first):]...)
	for _, p := range first {
		l.serve(p)
	}
	l.writes, l.wrote = 0, nil
	wait := l.fo.Serve(n)
	if l.writes > n+3 { // the last cohort's peers may each need more than one
		l.t.Fatalf("%d writes in a turn of %d", l.writes, n)
	}
	return wait >= 0 || len(l.alone) > 0
}

func (l *loop) open() { l.openFrom(From{}, l.selectors...) }

func (l *loop) openFrom(from From, topics ...string) {
	sel, err := topic.Parse(topics...)
	if err != nil {
		l.t.Fatal(err)
	}
	p := &peer{loop: l, tag: int32(len(l.peers)), room: 1 << 40, next: len(l.stories), sees: l.rng.IntN(3) > 0}
	sub := Subscription{Selectors: sel, From: from}
	if p.sees {
		sub.Grant = topic.Everything()
	}
	p.st, err = l.hub.Stream(context.Background(), sub, StreamOptions{Retry: time.Second, Heartbeat: time.Minute})
	if err != nil {
		l.t.Fatal(err)
	}
	l.peers = append(l.peers, p)
	p.st.Park(p)
	l.serve(p)
}

func (l *loop) close(p *peer) {
	if p.gone {
		return
	}
	l.separate(p)
	p.gone = true
	p.st.Close()
	l.check(p)
}

func (l *loop) publish() {
	size := 1 + l.rng.IntN(300)
	if l.rng.IntN(9) == 0 {
		size = 200_000 // a few of these fill a window
	}
	s := story{data: fmt.Sprint(len(l.stories), " ", strings.Repeat("x", size)), secret: l.rng.IntN(8) == 0}
	topic := "news"
	if l.rng.IntN(4) == 0 {
		topic = "sport"
	}
	if l.rng.IntN(20) == 0 && !slices.Contains(l.selectors, "news") {
		topic = fmt.Sprint(topic, len(l.stories))
	}
	r := eventlog.Record{Topics: []string{topic}, Data: []byte(s.data), Private: s.secret}
	results, err := l.hub.Publish(context.Background(), r)
	if err != nil {
		l.t.Fatal(err)
	}
	s.id = results[0].ID
	l.stories = append(l.stories, s)
}

// check verifies what a peer has received since the last check, and reports whether it
// has received everything.
func (l *loop) check(p *peer) (all bool) {
	skip := func() {
		for p.next < len(l.stories) && l.stories[p.next].secret && !p.sees {
			p.next++
		}
	}
	whole := bytes.LastIndex(p.got.Bytes(), []byte("\n\n")) + 2
	for e, err := range sse.Read(bytes.NewReader(p.got.Next(max(whole, 0)))) {
		if err != nil {
			l.t.Fatal(err)
		}
		if e.Type == PositionType {
			continue
		}
		if skip(); p.next == len(l.stories) || e.Data != l.stories[p.next].data {
			l.t.Fatalf("peer %d got %.20q for story %d", p.tag, e.Data, p.next)
		}
		p.next++
	}
	skip()
	return p.next == len(l.stories)
}

func (l *loop) step() {
	some := l.peers[l.rng.IntN(len(l.peers))]
	switch l.rng.IntN(12) {
	case 0:
		l.open()
	case 1:
		if l.rng.IntN(3) == 0 {
			l.close(some)
		}
	case 2: // a socket that fills
		some.room = l.rng.IntN(2000)
	case 3, 4: // a socket that has room again
		some.room = 1 << 40
		l.alone = append(l.alone, some)
	case 5: // a heartbeat
		if !some.gone && some.room > 0 {
			l.separate(some)
			some.st.Beat()
			l.alone = append(l.alone, some)
		}
	case 6:
		some.st.cursor.Wake()
	case 7, 8:
		l.publish()
	default:
		l.turn(1 + l.rng.IntN(8))
	}
}

// settle gives all peers room, and serves them until they have everything.
func (l *loop) settle() {
	for _, p := range l.peers {
		if p.room = 1 << 40; !p.together {
			l.alone = append(l.alone, p)
		}
	}
	for {
		for l.turn(1 + l.rng.IntN(8)) {
		}
		missing := slices.DeleteFunc(slices.Clone(l.peers), func(p *peer) bool { return p.gone || l.check(p) })
		if len(missing) == 0 {
			return
		}
		select {
		case <-l.bell:
		case <-time.After(10 * time.Second):
			l.t.Fatalf("nobody is woken, and %d have not got all", len(missing))
		}
	}
}

// TestFanout serves streams together and alone by turns, to peers that accept everything,
// something or nothing. Each receives what a stream that is always served alone receives.
func TestFanout(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h, _ := newTestHub(t, eventlog.Retention{})
			l := &loop{t: t, hub: h, rng: rand.New(rand.NewPCG(seed, 7)), bell: newSignal(), selectors: []string{"news", "sport"}}
			l.fo = h.Fanout(l)
			if seed%4 == 0 { // a template that the pump has no time to try, except on cached topics
				l.selectors = []string{"{x}"}
				h.feeds.SetWork(0)
			}
			for range 12 {
				l.open()
			}
			for round := range 6 {
				for range 150 {
					l.step()
				}
				l.settle()
				idle(t, h)
				l.settle() // events that some streams may not see can arrive after those had everything else
				l.ask(round)
			}
			for _, p := range l.peers {
				l.close(p)
			}
			if len(l.fo.cohorts) != 0 || h.feeds.Totals().Feeds() != 0 {
				t.Errorf("%d cohorts, %d feeds are left, and nobody is there", len(l.fo.cohorts), h.feeds.Totals().Feeds())
			}
		})
	}
}

// ask checks that the hub lists every stream as caught up, and as having the last event.
func (l *loop) ask(round int) {
	open := 0
	for _, p := range l.peers {
		if !p.gone {
			open++
		}
	}
	together := 0
	for _, c := range l.fo.cohorts {
		together += c.Len()
	}
	if together != open {
		l.t.Errorf("round %d: of %d streams %d are served together", round, open, together)
	}
	e, err := l.hub.Event(context.Background(), l.stories[len(l.stories)-1].id.String())
	if err != nil {
		l.t.Fatal(err)
	}
	page, err := l.hub.Streams(context.Background(), StreamFilter{Event: e}, StreamID{}, 1000)
	if err != nil {
		l.t.Fatal(err)
	}
	defer page.Close()
	if len(page.Streams) != open {
		l.t.Errorf("round %d: %d streams are said to be there, not %d", round, len(page.Streams), open)
	}
	for _, i := range page.Streams {
		if i.State != CaughtUp || i.Behind != 0 || i.Outcome == Pending {
			l.t.Errorf("round %d: a stream is said to be %s, by %d bytes, and of the last event: %s", round, i.State, i.Behind, i.Outcome)
		}
	}
}

// TestFanoutCatchUpsAreCounted checks that a stream which leaves a Fanout and falls out
// of the window counts as catching up again, although it never sent from the window
// alone.
func TestFanoutCatchUpsAreCounted(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	l := &loop{t: t, hub: h, rng: rand.New(rand.NewPCG(1, 1)), bell: newSignal()}
	l.fo = h.Fanout(l)
	publish := func(size int) {
		waitRouted(t, h, put(t, h, "news", strings.Repeat("x", size)))
		for l.turn(8) {
		}
	}
	publish(1)
	l.openFrom(From{}, "news") // the first stream of a feed is served alone
	for range 3 {
		l.openFrom(From{LastEventID: Earliest}, "news")
	}
	l.catchUp()
	before := h.feeds.Totals().CatchUps.Load()
	publish(1)
	for _, p := range l.peers {
		p.room = 0
	}
	publish(1)
	for range 4 {
		publish(feed.MaxWindow / 2)
	}
	for _, p := range l.peers {
		p.room = 1 << 40
		l.alone = append(l.alone, p)
	}
	l.catchUp()
	if n := h.feeds.Totals().CatchUps.Load() - before; n != 4 {
		t.Errorf("4 streams fell out of the window, and %d catch-ups are counted", n)
	}
	for _, p := range l.peers {
		l.separate(p)
		p.st.Close()
	}
}

// catchUp serves until no stream reads from the log.
func (l *loop) catchUp() {
	for {
		for l.turn(8) {
		}
		if !slices.ContainsFunc(l.peers, func(p *peer) bool { return p.st.CatchingUp() }) {
			return
		}
		select {
		case <-l.bell:
		case <-time.After(10 * time.Second):
			l.t.Fatal("nobody is woken, and not all have caught up")
		}
	}
}

// TestFanoutCohortsRestForThemselves checks that a cohort rests for as long as its own
// streams took, not for the time of cohorts served just before.
func TestFanoutCohortsRestForThemselves(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	l := &loop{t: t, hub: h, rng: rand.New(rand.NewPCG(1, 1)), bell: newSignal()}
	l.fo = h.Fanout(l)
	topics := []string{"news", "sport"}
	for _, topic := range topics {
		for range 3 {
			l.openFrom(From{}, topic)
		}
	}
	for l.turn(8) {
	}
	for _, topic := range topics {
		waitRouted(t, h, put(t, h, topic, "x"))
	}
	l.wrote = nil
	if l.fo.Serve(8); len(l.wrote) != 4 {
		t.Fatalf("%d writes to the two of each topic that are served together", len(l.wrote))
	}
	for _, c := range l.fo.cohorts {
		if c.began.After(l.wrote[1]) {
			return
		}
	}
	t.Error("the second cohort began before the first was served")
}

// idleSink is a Sink that expects no writes.
type idleSink struct{ Waker }

func (idleSink) Write(int32, []byte) (int, error) { return 0, nil }
func (idleSink) Leave(int32, error)               {}

// TestFanoutForgetsFeeds checks that a Fanout holds almost nothing for feeds whose
// streams have left it, whether many subscriptions come and go or a few stay.
func TestFanoutForgetsFeeds(t *testing.T) {
	const feeds = 20_000
	h, _ := newTestHub(t, eventlog.Retention{})
	fo := h.Fanout(idleSink{newSignal()})
	var streams []*Stream
	for i := range feeds {
		for range 2 {
			st := openStream(t, h, From{}, fmt.Sprint(i))
			if b, err := st.Peek(); err != nil || !st.Advance(len(b)) { // the beginning
				t.Fatal(err)
			}
			if b, err := st.Peek(); err != nil || len(b) > 0 {
				t.Fatal(len(b), err)
			}
			streams = append(streams, st)
		}
	}
	for i, st := range streams {
		if !fo.Add(st, int32(i)) {
			t.Fatal("a stream that is caught up is not taken in")
		}
	}
	full := liveHeap()
	for _, st := range streams[2:] {
		fo.Remove(st)
	}
	if len(fo.cohorts) != 1 {
		t.Errorf("%d feeds have streams in it, want one", len(fo.cohorts))
	}
	left := liveHeap()
	fo.cohorts = nil
	if held := left - liveHeap(); held > 64<<10 {
		t.Errorf("of %d feeds that have gone it keeps %d bytes; all took %d", feeds-1, held, full-left)
	}
	runtime.KeepAlive(streams)
	runtime.KeepAlive(fo)
}
