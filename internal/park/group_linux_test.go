package park

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"
)

// A crowd is streams on one shard, whose peers read everything, something or nothing.
type crowd struct {
	*manualLot
	rng     *rand.Rand
	readers []*reader
	stories []story
}

// A reader is a stream, its peer, and what the peer has received.
type reader struct {
	*peer
	parked *parked
	sees   bool // it may see private events
	next   int  // index of the story that it must receive next
}

// A story is a published event.
type story struct {
	data   string
	secret bool
	id     eventlog.ID
}

func mustSelect(t *testing.T, texts ...string) topic.Selectors {
	t.Helper()
	sel, err := topic.Parse(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return sel
}

// open parks a stream whose socket holds little.
func (c *crowd) open(from hub.From, topics ...string) *reader {
	fd, p := pair(c.t)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<10); err != nil {
		c.t.Fatal(err)
	}
	r := &reader{peer: p, sees: c.rng.IntN(3) > 0, next: len(c.stories)}
	s := hub.Subscription{Selectors: mustSelect(c.t, topics...), From: from}
	if r.sees {
		s.Grant = topic.Everything()
	}
	r.parked = c.subscribe(fd, s)
	c.readers = append(c.readers, r)
	return r
}

func (c *crowd) publish(topic string, size int, secret bool) {
	s := story{data: fmt.Sprint(len(c.stories), strings.Repeat("x", size)), secret: secret}
	results, err := c.hub.Publish(context.Background(), eventlog.Record{Topics: []string{topic}, Data: []byte(s.data), Private: secret})
	if err != nil {
		c.t.Fatal(err)
	}
	s.id = results[0].ID
	c.stories = append(c.stories, s)
}

// check verifies what a peer has received since the last check, and reports whether it
// has received everything.
func (c *crowd) check(r *reader) (all bool) {
	skip := func() {
		for r.next < len(c.stories) && c.stories[r.next].secret && !r.sees {
			r.next++
		}
	}
	whole := bytes.LastIndex(r.took, []byte("\n\n")) + 1
	for line := range bytes.Lines(r.took[:whole]) {
		data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: "))
		if !ok || string(data) == "{}" { // a position
			continue
		}
		if skip(); r.next == len(c.stories) || string(data) != c.stories[r.next].data {
			c.t.Fatalf("a peer got %.20q for story %d", data, r.next)
		}
		r.next++
	}
	r.took = r.took[whole:]
	skip()
	return r.next == len(c.stories)
}

// everything serves until each peer has everything, and each stream is in a group.
func (c *crowd) everything() {
	c.t.Helper()
	c.shard.batch = batch
	defer time.AfterFunc(20*time.Second, c.shard.shut).Stop() // nobody is woken, and some have not got all
	c.until(func() bool {
		all := true
		for _, r := range c.readers {
			if r.fd >= 0 {
				r.take()
				all = c.check(r) && r.parked.st.Cursor().IsGrouped() && all
			}
		}
		return all
	})
}

func (c *crowd) step() {
	c.shard.batch = 1 + c.rng.IntN(8) // so that rounds take several turns
	some := c.readers[c.rng.IntN(len(c.readers))]
	switch c.rng.IntN(12) {
	case 0:
		c.open(hub.From{}, "news", "sport")
	case 1:
		if c.rng.IntN(3) == 0 {
			some.close()
		}
	case 2, 3, 4:
		if some.fd >= 0 {
			some.take()
			c.check(some)
		}
	case 5: // some heartbeats
		c.shard.begun = c.shard.begun.Add(-beatTicks / 4 * manualTick)
	case 6:
		some.parked.st.Cursor().Wake()
	case 7, 8:
		size := 1 + c.rng.IntN(300)
		if c.rng.IntN(9) == 0 {
			size = 200_000 // a few of these fill a window
		}
		c.publish([]string{"news", "sport"}[c.rng.IntN(2)], size, c.rng.IntN(8) == 0)
	default:
		c.turn()
	}
}

// TestGroups serves streams together and alone by turns, to peers that read everything,
// something or nothing. Each receives everything once and in order, and is listed so.
func TestGroups(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := &crowd{manualLot: newManualLot(t), rng: rand.New(rand.NewPCG(seed, 7))}
			c.shard.stall = 1 << 40 // heartbeats come early here, and no stream may end
			for range 12 {
				c.open(hub.From{}, "news", "sport")
			}
			for round := range 3 {
				for range 150 {
					c.step()
				}
				c.everything()
				c.ask(round)
			}
			for _, r := range c.readers {
				r.close()
			}
			c.settle()
			stats, err := c.hub.Stats(t.Context())
			if err != nil || len(c.shard.groups.of) != 0 || stats.Feeds != 0 || stats.WindowBytes != 0 {
				t.Errorf("%d groups, %d feeds and %d bytes of windows are left (%v), and nobody is there",
					len(c.shard.groups.of), stats.Feeds, stats.WindowBytes, err)
			}
		})
	}
}

// ask checks that the hub lists every stream as caught up, and as having the last event.
func (c *crowd) ask(round int) {
	e, err := c.hub.Event(context.Background(), c.stories[len(c.stories)-1].id.String())
	if err != nil {
		c.t.Fatal(err)
	}
	page, err := c.hub.Streams(context.Background(), hub.StreamFilter{Event: e}, hub.StreamID{}, 1000)
	if err != nil {
		c.t.Fatal(err)
	}
	defer page.Close()
	open := slices.DeleteFunc(slices.Clone(c.readers), func(r *reader) bool { return r.fd < 0 })
	if together := c.together(); len(page.Streams) != len(open) || together != len(open) {
		c.t.Errorf("round %d: of %d streams %d are listed and %d served together", round, len(open), len(page.Streams), together)
	}
	for _, i := range page.Streams {
		if i.State != hub.CaughtUp || i.Behind != 0 || i.Outcome == hub.Pending {
			c.t.Errorf("round %d: a stream is said to be %s, by %d bytes, and of the last event: %s", round, i.State, i.Behind, i.Outcome)
		}
	}
}

// together returns how many streams are in groups.
func (c *crowd) together() (n int) {
	for _, g := range c.shard.groups.of {
		n += g.Len()
	}
	return n
}

// TestGroupsRest checks that a group rests after a round that took long, that it writes
// what was published meanwhile in one go, and that others need not wait for it.
func TestGroupsRest(t *testing.T) {
	c := &crowd{manualLot: newManualLot(t), rng: rand.New(rand.NewPCG(1, 1))}
	for _, topic := range []string{"news", "sport"} {
		for range 3 {
			c.open(hub.From{}, topic)
		}
	}
	c.settle()
	news, sport := c.readers[1:3], c.readers[4:] // the first of each topic is alone
	if len(c.shard.groups.of) != 2 {
		t.Fatalf("%d groups for two feeds", len(c.shard.groups.of))
	}
	resting := c.shard.groups.of[news[0].parked.st.Cursor().Feed()]
	resting.restsUntil = time.Now().Add(time.Hour)
	c.publish("news", 1, false)
	c.publish("news", 1, false)
	c.publish("sport", 1, false)
	c.until(func() bool { sport[0].take(); return sport[0].has("data: 2") })
	for _, r := range news {
		if r.take(); r.has("data: 0") {
			t.Error("a group that rests is served")
		}
	}
	resting.restsUntil = time.Now()
	c.shard.groups.next = time.Now()
	c.until(func() bool { news[0].take(); return news[0].has("data: 1") })
}

// TestGroupsRestForThemselves checks that the time of a group's round begins when the
// groups before it have been served.
func TestGroupsRestForThemselves(t *testing.T) {
	c := &crowd{manualLot: newManualLot(t), rng: rand.New(rand.NewPCG(1, 1))}
	for _, topic := range []string{"news", "sport"} {
		for range 3 {
			c.open(hub.From{}, topic)
		}
	}
	c.settle()
	before := time.Now()
	c.publish("news", 1, false)
	c.publish("sport", 1, false)
	last := c.readers[len(c.readers)-1]
	c.until(func() bool { last.take(); return last.has("data: 1") })
	var began []time.Time
	for _, g := range c.shard.groups.of {
		if g.began.Before(before) || g.restsUntil.After(g.began.Add(time.Since(before)+maxRest)) {
			t.Errorf("a group began at %v and rests until %v", g.began, g.restsUntil)
		}
		began = append(began, g.began)
	}
	if len(began) != 2 || began[0].Equal(began[1]) {
		t.Errorf("the groups began at %v", began)
	}
}

// TestGroupsForgetFeeds checks that a shard holds almost nothing for feeds whose streams
// have left their groups, whether many subscriptions come and go or a few stay.
func TestGroupsForgetFeeds(t *testing.T) {
	const feeds = 5000
	l := newManualLot(t)
	s := l.shard
	var all []*parked
	for i := range feeds {
		for range 2 {
			st, err := l.hub.Stream(t.Context(), hub.Subscription{Selectors: mustSelect(t, fmt.Sprint(i))}, hub.StreamOptions{Heartbeat: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			p := &parked{st: st, shard: s}
			p.queued.Store(true) // the shard is not to serve it
			st.Cursor().SetWaker(p)
			b, err := st.Peek() // the beginning
			if err != nil || !st.Advance(len(b)) {
				t.Fatal(err)
			}
			if b, err := st.Peek(); err != nil || len(b) > 0 {
				t.Fatal(len(b), err)
			}
			all = append(all, p)
		}
	}
	for _, p := range all {
		if !s.groups.add(p) {
			t.Fatal("a stream that is caught up is not taken in")
		}
	}
	for _, p := range all[2:] {
		s.groups.remove(p)
	}
	if len(s.groups.of) != 1 || s.groups.most > 64 {
		t.Errorf("%d feeds have a group, in a map with room for %d", len(s.groups.of), s.groups.most)
	}
	left := liveHeap()
	s.groups = groups{}
	if held := left - liveHeap(); held > 64<<10 {
		t.Errorf("of %d feeds that have gone it keeps %d bytes", feeds-1, held)
	}
	runtime.KeepAlive(all)
	runtime.KeepAlive(l)
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // frees what the first one only marked
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestRoundsLeaveNoneOut makes a stream leave its group in the middle of a round. The
// others, one of which moves to its place, must all be served in that round.
func TestRoundsLeaveNoneOut(t *testing.T) {
	const streams = 6
	for leaves := range streams {
		c := &crowd{manualLot: newManualLot(t), rng: rand.New(rand.NewPCG(1, 1))}
		for range streams {
			c.open(hub.From{}, "news")
		}
		c.settle()
		c.publish("news", 1, false)
		c.everything()
		c.shard.batch = 2
		c.publish("news", 1, false)
		g := c.shard.groups.of[c.readers[0].parked.st.Cursor().Feed()]
		c.until(func() bool { return g.due > 0 })
		c.readers[leaves].close()
		c.everything()
	}
}
