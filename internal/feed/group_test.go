package feed

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

// A crowd is peers that are sent to together and alone by turns.
type crowd struct {
	*desk
	rng       *rand.Rand
	selectors []string // what all ask for
	peers     []*peer
	group     *Group // of those that are caught up; nil: not made yet
	bell      signal
	stories   []story
}

// A peer accepts a number of bytes, and then no more until it is given room.
type peer struct {
	cursor Cursor
	gone   bool
	room   int
	got    bytes.Buffer
	sees   bool // it may see private events
	next   int  // index of the story it must receive next
}

// A story is a published event.
type story struct {
	data   string
	secret bool
}

func (p *peer) take(b []byte) int {
	n := min(len(b), p.room)
	p.room -= n
	p.got.Write(b[:n])
	return n
}

func newCrowd(t *testing.T, seed uint64, selectors ...string) *crowd {
	return &crowd{desk: newMemoryDesk(t), rng: rand.New(rand.NewPCG(seed, 7)), selectors: selectors, bell: newSignal()}
}

// join opens the cursor of a peer that has everything up to a position.
func (c *crowd) join(at eventlog.ID) *peer {
	sel, err := topic.Parse(c.selectors...)
	if err != nil {
		c.t.Fatal(err)
	}
	f, err := c.Join(Request{Selectors: sel, Form: plain{}})
	if err != nil {
		c.t.Fatal(err)
	}
	p := &peer{room: 1 << 40, sees: c.rng.IntN(3) > 0}
	var grant topic.Selectors
	if p.sees {
		grant = topic.Everything()
	}
	p.cursor.Open(f, at, &grant, c.bell)
	c.peers = append(c.peers, p)
	if c.group == nil || c.group.feed != f {
		c.group = NewGroup(f, c.bell)
	}
	return p
}

// enter joins a peer that gets what is published from now on.
func (c *crowd) enter() {
	b, err := c.log.Bounds(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	p := c.join(b.Last)
	p.next = len(c.stories)
	c.serve(p)
}

func (c *crowd) separate(p *peer) {
	if p.cursor.IsGrouped() {
		c.group.Remove(&p.cursor)
	}
}

// serve sends to a peer alone.
func (c *crowd) serve(p *peer) {
	if p.gone {
		return
	}
	c.separate(p)
	for p.room > 0 {
		b, err := p.cursor.Peek()
		if err != nil {
			c.t.Fatal(err)
		}
		if len(b) == 0 {
			c.group.Add(&p.cursor, int32(slices.Index(c.peers, p)))
			return
		}
		p.cursor.Advance(p.cursor.Step(p.take(b)))
	}
	p.cursor.Rest()
}

// together sends to at most n places of the group, from one on.
func (c *crowd) together(from, n int) {
	pass := c.group.Begin()
	defer pass.End()
	for i := from; n > 0 && i < pass.Len(); n-- {
		b, tag, ok := pass.Pending(i)
		p := c.peers[tag]
		switch {
		case !ok:
			pass.Leave(i, 0)
		case len(b) == 0:
			i++
		default:
			if taken := p.take(b); taken < len(b) {
				pass.Leave(i, taken)
			} else if pass.Sent(i) {
				i++
			}
		}
	}
}

func (c *crowd) leave(p *peer) {
	if !p.gone {
		c.separate(p)
		p.gone = true
		p.cursor.Close()
		c.check(p)
	}
}

func (c *crowd) publish() {
	size := 1 + c.rng.IntN(300)
	if c.rng.IntN(9) == 0 {
		size = 200_000 // a few of these fill a window
	}
	s := story{data: fmt.Sprint(len(c.stories), " ", strings.Repeat("x", size)), secret: c.rng.IntN(8) == 0}
	topic := "news"
	if c.rng.IntN(4) == 0 {
		topic = "sport"
	}
	if c.rng.IntN(20) == 0 && !slices.Contains(c.selectors, "news") {
		topic = fmt.Sprint(topic, len(c.stories))
	}
	r := event(topic, s.data)
	r.Private = s.secret
	c.put(r)
	c.stories = append(c.stories, s)
}

// check verifies what a peer has received since the last check, and reports whether it
// has received everything.
func (c *crowd) check(p *peer) (all bool) {
	skip := func() {
		for p.next < len(c.stories) && c.stories[p.next].secret && !p.sees {
			p.next++
		}
	}
	whole := p.got.Next(bytes.LastIndexByte(p.got.Bytes(), ';') + 1)
	for data := range bytes.SplitSeq(bytes.TrimSuffix(whole, []byte(";")), []byte(";")) {
		if len(whole) == 0 {
			break
		}
		if skip(); p.next == len(c.stories) || string(data) != c.stories[p.next].data {
			c.t.Fatalf("a peer got %.20q for story %d", data, p.next)
		}
		p.next++
	}
	skip()
	return p.next == len(c.stories)
}

func (c *crowd) step() {
	some := c.peers[c.rng.IntN(len(c.peers))]
	switch c.rng.IntN(12) {
	case 0:
		c.enter()
	case 1:
		if c.rng.IntN(3) == 0 {
			c.leave(some)
		}
	case 2: // a socket that fills
		some.room = c.rng.IntN(2000)
	case 3, 4: // a socket that has room again
		some.room = 1 << 40
		c.serve(some)
	case 5, 6:
		c.publish()
	case 7:
		if !some.gone {
			some.cursor.Progress()
		}
	default:
		c.together(c.rng.IntN(1+c.group.Len()), 1+c.rng.IntN(8))
	}
}

// settle gives all peers room, and serves them until they have everything and have caught
// up.
func (c *crowd) settle() {
	for _, p := range c.peers {
		p.room = 1 << 40
	}
	for {
		c.together(0, 1<<30)
		for _, p := range c.peers {
			if !p.cursor.IsGrouped() {
				c.serve(p)
			}
		}
		missing := slices.DeleteFunc(slices.Clone(c.peers), func(p *peer) bool { return p.gone || c.check(p) && !p.cursor.CatchingUp() })
		if len(missing) == 0 {
			return
		}
		select {
		case <-c.bell:
		case <-time.After(10 * time.Second):
			c.t.Fatalf("nobody is woken, and %d have not got all or caught up", len(missing))
		}
	}
}

// checkTotals compares the totals with the sums over all feeds. Only the pump may change
// anything meanwhile.
func (d *desk) checkTotals() {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	attached, behind := 0, 0
	for _, f := range d.feeds {
		f.mu.Lock()
		attached += f.attached
		behind += f.behind
		f.mu.Unlock()
	}
	gotAttached, gotBehind := d.totals.Attached()
	if d.totals.Feeds() != len(d.feeds) || gotAttached != attached || gotBehind != behind {
		d.t.Fatalf("the totals are %d feeds, %d cursors attached, %d behind; the feeds say %d, %d, %d",
			d.totals.Feeds(), gotAttached, gotBehind, len(d.feeds), attached, behind)
	}
}

// TestGroup sends to cursors together and alone by turns, whose peers accept everything,
// something or nothing. Each receives what a cursor that is always alone receives, and
// nothing is left of those that have gone.
func TestGroup(t *testing.T) {
	scribble(t)
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newCrowd(t, seed, "news", "sport")
			if seed%4 == 0 { // a template that the pump has no time to try, except on cached topics
				c.selectors = []string{"{x}"}
				c.SetWork(0)
			}
			for range 12 {
				c.enter()
			}
			for round := range 6 {
				for range 150 {
					c.step()
					c.checkTotals()
				}
				c.settle()
				b, err := c.log.Bounds(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				c.routed(b.Last)
				c.settle() // events that some may not see can arrive after those had everything else
				if n := c.WindowBytes(); n != 0 {
					t.Errorf("round %d: the windows hold %d bytes, and nobody is behind", round, n)
				}
				for _, p := range c.peers {
					if at := p.cursor.Progress(); !p.gone && (at.CatchingUp || at.Behind != 0) {
						t.Errorf("round %d: a cursor that has everything is at %+v", round, at)
					}
				}
			}
			for _, p := range c.peers {
				c.leave(p)
			}
			c.checkTotals()
			if n := c.group.Len() + len(c.feeds) + c.router.Size() + c.Members(); n != 0 {
				t.Errorf("%d cursors, feeds, topics, templates and members are left, and nobody is there", n)
			}
		})
	}
}

// TestGroupTakesNoOther checks that a group takes no cursor that is behind, or alone.
func TestGroupTakesNoOther(t *testing.T) {
	c := newCrowd(t, 0, "news")
	first := c.join(c.Head())
	c.catchUp(&first.cursor)
	if first.cursor.CanJoin() || c.group.Add(&first.cursor, 0) {
		t.Error("it takes a cursor that is alone")
	}
	second := c.join(c.Head())
	c.catchUp(&second.cursor)
	c.routed(c.put(event("news", "x")))
	if c.group.Add(&second.cursor, 1) {
		t.Error("it takes a cursor that has something to send")
	}
	for _, p := range c.peers {
		p.cursor.Close()
	}
}

// TestLeavingCursorsCountAsCatchingUp checks that a cursor that leaves a group and falls
// out of the window counts as catching up again, although it never sent from the window
// alone.
func TestLeavingCursorsCountAsCatchingUp(t *testing.T) {
	c := newCrowd(t, 0, "news")
	c.routed(c.put(event("news", "0")))
	c.stories = append(c.stories, story{data: "0"})
	c.enter() // the first is alone at first
	for range 3 {
		c.serve(c.join(c.origin()))
	}
	c.settle()
	before := c.totals.CatchUps.Load()
	for i, size := range []int{1, 1, MaxWindow / 2, MaxWindow / 2, MaxWindow / 2} {
		if i == 1 {
			for _, p := range c.peers {
				p.room = 0
			}
		}
		data := fmt.Sprint(i, strings.Repeat("x", size))
		c.routed(c.put(event("news", data)))
		c.stories = append(c.stories, story{data: data})
		c.together(0, 1<<30)
	}
	c.settle()
	if n := c.totals.CatchUps.Load() - before; n != 4 {
		t.Errorf("4 cursors fell out of the window, and %d catch-ups are counted", n)
	}
	for _, p := range c.peers {
		c.leave(p)
	}
}
