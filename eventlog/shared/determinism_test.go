package shared

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
)

var histories = flag.Int("histories", 100, "how many random histories TestDeterminism plays")

// A player applies histories to copies, which it uses again and again.
type player struct {
	t      testing.TB
	copies map[string]*disklog.Log
	counts map[string]int
}

func newPlayer(t testing.TB) *player {
	return &player{t: t, copies: map[string]*disklog.Log{}, counts: map[string]int{}}
}

func (p *player) copy(name string) *disklog.Log {
	if p.copies[name] == nil {
		c, err := disklog.Open("copy", disklog.Options{Copy: true, Relaxed: true, MinFree: -1, Memory: 4 << 20, FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() {
			if err := c.Close(); err != nil {
				p.t.Error(err)
			}
		})
		p.copies[name] = c
	}
	return p.copies[name]
}

// TestDeterminism plays random histories to nodes that apply them in batches of random
// sizes and restart in between: one that has seen everything, and one from each entry at which a
// node may begin. All of them must agree with the model.
func TestDeterminism(t *testing.T) {
	p := newPlayer(t)
	for seed := range uint64(*histories) {
		p.play(newHistory(seed), seed)
		if t.Failed() {
			t.Fatalf("history %d", seed)
		}
	}
	t.Log(p.counts)
	for _, what := range []string{"void", "repeated", "refused", "joined", "restarted", "terms", "facts", "events"} {
		if p.counts[what] == 0 && *histories > 50 {
			t.Errorf("in no history was anything %s", what)
		}
	}
}

func FuzzDeterminism(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { newPlayer(t).play(newHistory(seed), seed) })
}

func (p *player) play(h *history, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	want := h.full.digest()
	c := p.copy("full")
	if err := c.Empty(p.t.Context(), 1, nil); err != nil {
		p.t.Fatal(err)
	}
	p.same("a node that has seen everything", p.run(c, h, rng, h.entries, nil, 0), want)
	for _, at := range slices.Sorted(maps.Keys(h.purges)) {
		from := slices.IndexFunc(h.entries, func(e Entry) bool { return e.N > h.purges[at] })
		c := p.copy("joiner")
		if err := c.Empty(p.t.Context(), 1, nil); err != nil {
			p.t.Fatal(err)
		}
		got := p.run(c, h, rng, h.entries[from:], h.digests[at], at)
		p.same(fmt.Sprintf("a node that began with entry %d, after the trim at %d", h.entries[from].N, at), got, want)
		p.counts["joined"]++
	}
	p.counts["void"] += h.full.voids
	p.counts["repeated"] += h.full.again
	p.counts["refused"] += h.full.refused
	p.counts["terms"] += len(h.full.terms) - 1
	p.counts["facts"] += len(h.full.facts)
	p.counts["events"] += len(h.full.events)
}

// run applies entries to an empty copy, and returns its digest. At an entry, it must have a given
// digest.
func (p *player) run(c *disklog.Log, h *history, rng *rand.Rand, entries []Entry, then []string, at uint64) []string {
	a := newApplier(c, h.span, h.keyed)
	for i := 0; i < len(entries); {
		n := min(1+rng.IntN(1+rng.IntN(20)), len(entries)-i)
		for j := range n {
			if entries[i+j].N == at {
				n = j + 1
				break
			}
		}
		if _, err := a.apply(context.Background(), entries[i:i+n]); err != nil {
			p.t.Fatal(err)
		}
		if i += n; entries[i-1].N == at {
			p.same(fmt.Sprintf("a node that began with entry %d, at the trim at %d", entries[0].N, at), p.digest(a), then)
		}
		if rng.IntN(10) == 0 {
			a = p.restart(a, entries[:i])
		}
	}
	return p.digest(a)
}

// restart returns an applier that knows what the copy has, and what the sequence still has.
func (p *player) restart(a *applier, entries []Entry) *applier {
	b := newApplier(a.copy, a.span, a.keyed)
	if err := b.load(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	applied := a.copy.Applied().Entry
	lead := b.lead(applied)
	for i := range entries {
		if n := entries[i].N; n >= lead && n <= applied {
			b.observe(&entries[i])
		}
	}
	p.counts["restarted"]++
	return b
}

// digest describes the state of a node.
func (p *player) digest(a *applier) (s []string) {
	st := &a.state
	at := a.copy.Applied()
	s = append(s, fmt.Sprint("entry ", at.Entry, " time ", st.time, " epoch ", a.copy.Epoch(), " terms ", st.terms, " level ", st.level,
		" floor ", st.floor, " dropped ", st.dropped, " purged ", st.purged))
	if at.Time.UnixNano() != st.time {
		p.t.Errorf("the copy has the time %d, the state %d", at.Time.UnixNano(), st.time)
	}
	for _, e := range p.events(a) {
		s = append(s, fmt.Sprint(e.ID, e.Time.UnixNano(), e.Record))
		if e.Key == "" {
			continue
		}
		r, known, err := a.copy.Known(p.t.Context(), e.Key, disklog.AppendRecord(nil, &e.Record))
		if err != nil || !known || r != (eventlog.Result{ID: e.ID, Duplicate: true}) {
			p.t.Errorf("the key of %v: %+v, %v, %v", e.ID, r, known, err)
		}
	}
	return append(s, factsDigest(st.facts, st.time)...)
}

// events returns the events after the floor.
func (p *player) events(a *applier) (events []*eventlog.Event) {
	for {
		b, err := a.copy.Bounds(p.t.Context())
		if err != nil {
			p.t.Fatal(err)
		}
		for e, readErr := range a.copy.Read(p.t.Context(), b.Origin, eventlog.Query{}) {
			if err = readErr; err != nil {
				break
			}
			if e.ID.Lo > a.state.floor {
				events = append(events, e)
			}
		}
		if err == nil {
			return events
		}
		if !errors.As(err, new(*eventlog.TrimmedError)) {
			p.t.Fatal(err)
		}
		events = nil // the copy has dropped some meanwhile
	}
}

func (p *player) same(what string, got, want []string) {
	p.t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			p.t.Errorf("%s: line %d of %d and %d:\ngot  %.500q\nwant %.500q", what, i, len(got), len(want), got[min(i, len(got)):min(i+2, len(got))], want[min(i, len(want)):min(i+2, len(want))])
			return
		}
	}
}
