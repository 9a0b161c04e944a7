package hub

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/internal/route"
	"github.com/tidings-sse/tidings/topic"
)

// TestAccountIsExact makes random calls on a hub with little memory. After each step it
// compares the budget's figures with what the hub holds: they are equal for every use,
// and no use exceeds its share.
func TestAccountIsExact(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			a := newAudit(t, seed)
			for range 600 {
				a.step()
				a.check()
			}
			a.end()
		})
	}
}

var bannedAtTimes = []string{"a1", "b{x}", "c/{x}", "{+x}7", "{a}{+b}x{c}"}

// An audit is a hub with its streams and readers.
type audit struct {
	t       *testing.T
	rng     *rand.Rand
	hub     *Hub
	streams []*Stream
	subs    []*reader
	reads   []*auditRead
	ids     []string
	seen    map[budget.Use]int64 // the most that each use held
	ending  bool                 // streams wait for their pages now: leaving each before it has been read, they might never end
}

// An auditRead is an unfinished read of retained events.
type auditRead struct {
	next func() (*eventlog.Event, error, bool)
	stop func()
}

func newAudit(t *testing.T, seed uint64) *audit {
	log := eventlog.NewMemory(eventlog.Retention{Events: 4000, Bytes: 8 << 20})
	h, err := New(log, Options{Budget: budget.New(int64(400<<10) << (seed % 4))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); log.Close() })
	a := &audit{t: t, rng: rand.New(rand.NewPCG(seed, 14)), hub: h, seen: map[budget.Use]int64{}}
	h.feeds.SetWork([]int{route.DefaultWork, 300, 0}[seed%3])
	return a
}

func (a *audit) pick(from ...string) string { return from[a.rng.IntN(len(from))] }

func (a *audit) topic() string {
	return a.pick("a", "b", "c/", "d/") + fmt.Sprint(a.rng.IntN(8)) + strings.Repeat("x", a.rng.IntN(2)*a.rng.IntN(3000))
}

func (a *audit) selectors() topic.Selectors {
	var texts []string
	for range 1 + a.rng.IntN(4) {
		texts = append(texts, a.pick("*", a.topic(), a.topic(), a.topic(), a.pick("a", "b", "c/", "d/")+"{x}", "{+x}"+fmt.Sprint(a.rng.IntN(8)),
			fmt.Sprintf("c/{a}%d{+b}x{c}", a.rng.IntN(300))))
	}
	return mustSelect(a.t, texts...)
}

func (a *audit) subscription() Subscription {
	s := Subscription{Selectors: a.selectors()}
	switch a.rng.IntN(8) {
	case 0:
		s.From.LastEventID = Earliest
	case 1:
		s.From.Last = 1 + a.rng.IntN(4000)
	case 2:
		if len(a.ids) > 0 {
			s.From.LastEventID = a.pick(a.ids...)
		}
	}
	switch a.rng.IntN(3) {
	case 0:
		s.Grant = topic.Everything()
	case 1:
		s.Grant = a.selectors()
	}
	if a.rng.IntN(4) == 0 {
		s.Types = []string{"message"}
	}
	return s
}

// may reports whether err is nil or an expected error.
func (a *audit) may(err error) bool {
	a.t.Helper()
	for _, expected := range []error{ErrOverBudget, ErrTooManySelectors, ErrTooManyTemplates, ErrTooManyBans} {
		if errors.Is(err, expected) {
			return false
		}
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return true
}

func (a *audit) step() {
	h, ctx := a.hub, a.t.Context()
	switch n := a.rng.IntN(100); {
	case n < 40:
		recs := make([]eventlog.Record, 1+a.rng.IntN(20))
		for i := range recs {
			recs[i] = eventlog.Record{Topics: []string{a.topic()}, Private: a.rng.IntN(3) == 0, Type: a.pick("", "", "price")}
			if other := a.topic(); other != recs[i].Topics[0] {
				recs[i].Topics = append(recs[i].Topics, other)
			}
			recs[i].Data = []byte(strings.Repeat("x", a.rng.IntN(3000)))
		}
		if a.rng.IntN(10) == 0 {
			recs = recs[:1]
			recs[0].Data = []byte(strings.Repeat("x", 50_000+a.rng.IntN(100_000)))
		}
		if results, err := h.Publish(ctx, recs...); a.may(err) {
			for _, r := range results {
				a.ids = append(a.ids, r.ID.String())
			}
			if a.rng.IntN(2) == 0 {
				waitRouted(a.t, h, results[len(results)-1].ID)
			}
		}
	case n < 52:
		if st, err := h.Stream(ctx, a.subscription(), StreamOptions{Heartbeat: time.Minute, Envelope: Envelope(a.rng.IntN(2)), Framing: []*Framing{nil, brackets}[a.rng.IntN(2)]}); a.may(err) {
			st.Cursor().SetWaker(newSignal())
			a.streams = append(a.streams, st)
			for st.Cursor().CatchingUp() && a.rng.IntN(20) > 0 { // most streams get into the window
				a.serve(len(a.streams) - 1)
			}
		}
	case n < 70:
		if len(a.streams) > 0 {
			a.serve(a.rng.IntN(len(a.streams)))
		}
	case n < 78:
		if len(a.streams) > 0 {
			a.close(a.rng.IntN(len(a.streams)))
		}
	case n < 90:
		_, err := h.Ban(mustSelect(a.t, a.pick(bannedAtTimes...)), time.Duration(a.rng.IntN(2))*time.Hour)
		a.may(err)
	case n < 93:
		if sub, err := h.read(ctx, a.subscription()); a.may(err) {
			a.subs = append(a.subs, sub)
		}
	case n < 95:
		if len(a.subs) > 0 {
			i := a.rng.IntN(len(a.subs))
			if _, err := a.subs[i].next(ctx, h.feeds.Head(), nil); !a.may(err) || a.rng.IntN(2) == 0 {
				a.subs[i].close()
				a.subs = except(a.subs, a.subs[i])
			}
		}
	case n < 97:
		if events, _, err := h.Retained(ctx, a.subscription()); a.may(err) {
			next, stop := iter.Pull2(events)
			a.reads = append(a.reads, &auditRead{next, stop})
		}
	case n < 99:
		if len(a.reads) > 0 {
			r := a.reads[a.rng.IntN(len(a.reads))]
			if _, err, ok := r.next(); !ok || !a.may(err) || a.rng.IntN(4) == 0 {
				r.stop()
				a.reads = except(a.reads, r)
			}
		}
	default:
		if _, err := h.Delete(ctx, a.selectors()); err != nil {
			a.t.Fatal(err)
		}
	}
}

// serve sends some of what a stream has.
func (a *audit) serve(i int) {
	st := a.streams[i]
	for range 1 + a.rng.IntN(4) {
		b, err := st.Peek()
		if err != nil {
			st.End(err)
			a.close(i)
			return
		}
		if len(b) == 0 {
			for range a.rng.IntN(1000) { // otherwise it leaves a page that is being read
				runtime.Gosched()
			}
			if a.ending && st.Cursor().CatchingUp() {
				return // keep the page
			}
			continue
		}
		n := len(b)
		if a.rng.IntN(3) == 0 {
			n = 1 + a.rng.IntN(n)
		}
		st.Advance(n)
	}
	st.Cursor().Rest()
}

func (a *audit) close(i int) {
	st := a.streams[i]
	st.Close()
	a.streams = except(a.streams, st)
}

// held returns what the hub holds for subscriptions, and for the positions of From.Last.
// Package internal/feed checks the other uses.
func (a *audit) held() map[budget.Use]int64 {
	h, held := a.hub, map[budget.Use]int64{}
	feeds := map[*feed.Feed]bool{}
	for _, st := range a.streams {
		feeds[st.cursor.Feed()] = true
		held[budget.Subscriptions] += st.weight.own
		held[budget.Lists] += st.listed
	}
	for _, r := range a.subs {
		feeds[r.feed] = true
	}
	for f := range feeds {
		held[budget.Subscriptions] += f.Counted()
	}
	held[budget.Subscriptions] += keptBytes(h.weights.agents) + keptBytes(h.weights.bearers) + keptBytes(h.weights.payloads) + keptBytes(h.weights.grants)
	for _, g := range h.weights.templates {
		held[budget.Subscriptions] += g.Size()
	}
	return held
}

// keptBytes returns the bytes of what streams share.
func keptBytes[K comparable, V any](k keeps[K, V]) (n int64) {
	for _, e := range k {
		n += e.bytes
	}
	return n
}

// check compares the budget's figures with what is held.
func (a *audit) check() {
	a.t.Helper()
	held := a.held()
	for _, use := range budget.Uses() {
		share := a.hub.budget.Share(use)
		used, most := share.Used(), share.Most()
		switch use {
		case budget.Subscriptions:
			if used != held[use] {
				a.t.Errorf("%v: %d bytes are counted, and %d held", use, used, held[use])
			}
		case budget.Lists: // readers and Go subscribers hold some too
			if used < held[use] {
				a.t.Errorf("%v: %d bytes are counted, and %d held by streams alone", use, used, held[use])
			}
		case budget.Pages: // each slot may read one page beyond the limit
			most += int64(runtime.GOMAXPROCS(0)+2) * 200_000
		}
		if used > most {
			a.t.Errorf("%v: %d bytes are held, and %d may be", use, used, most)
		}
		a.seen[use] = max(a.seen[use], used)
	}
	if a.t.Failed() {
		a.t.FailNow()
	}
}

// end drains the hub, and checks that everything is given back.
func (a *audit) end() {
	h := a.hub
	a.ending = true
	drained := make(chan error, 1)
	go func() { drained <- h.Drain(a.t.Context(), time.Millisecond, time.Millisecond) }()
	for len(a.streams) > 0 {
		a.serve(a.rng.IntN(len(a.streams)))
		a.check()
		runtime.Gosched()
	}
	for _, sub := range a.subs {
		sub.close()
	}
	for _, r := range a.reads {
		r.stop()
	}
	if err := <-drained; err != nil {
		a.t.Error(err)
	}
	if _, err := h.Publish(a.t.Context(), eventlog.Record{Topics: []string{"a1"}}); err != nil {
		a.t.Error(err)
	}
	if _, err := h.Ban(mustSelect(a.t, bannedAtTimes...), 0); err != nil {
		a.t.Error(err)
	}
	h.Close() // this also ends page reads that no stream waits for
	for _, use := range budget.Uses() {
		if used := h.budget.Share(use).Used(); used != 0 {
			a.t.Errorf("%v: %d bytes are counted after all have gone", use, used)
		}
	}
	for _, use := range budget.Uses() {
		share := h.budget.Share(use)
		a.t.Logf("%v: at most %d bytes of %d, %d refusals", use, a.seen[use], share.Most(), share.Refused())
	}
}

func except[T comparable](s []T, v T) []T {
	return slices.DeleteFunc(s, func(other T) bool { return other == v })
}
