package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/topic"
)

// A purse is an account with a limit.
type purse struct {
	left, templates int64
}

func (p *purse) Take(n int64) bool {
	if n > p.left {
		return false
	}
	p.left -= n
	return true
}

func (p *purse) Give(n int64) { p.left += n }

func (p *purse) Move(from, to *int64, n int64) { *from, *to = *from-n, *to+n }

func (p *purse) CountTemplate(_ *topic.Template, n int64) { p.templates += n }

func parse(t testing.TB, texts ...string) *topic.Selectors {
	t.Helper()
	s, err := topic.Parse(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

func newRouter(limit int64) (*Router[int], *purse, *budget.Share) {
	p := &purse{left: limit}
	cached := budget.New(4 << 20).Share(budget.Matches)
	return New[int](cached, p), p, cached
}

func subscribe(t testing.TB, r *Router[int], of int, texts ...string) *Subscription[int] {
	t.Helper()
	s := &Subscription[int]{Of: of, Selectors: parse(t, texts...), Bytes: 100}
	if err := r.Add(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// checkCounts checks that exactly what subscriptions hold is counted.
func checkCounts(t *testing.T, r *Router[int], p *purse, limit int64, subs []*Subscription[int]) {
	t.Helper()
	var held, counted int64
	for _, s := range subs {
		held += s.Bytes
		counted += s.Counted()
	}
	for _, of := range r.templates {
		if len(of.subs) > 0 {
			held += routedSize(of.Template)
		}
	}
	if limit-p.left != held || counted != held || p.templates != int64(len(r.templates)) {
		t.Fatalf("%d bytes are counted, by subscription %d, and %d are held; %d of %d templates", limit-p.left, counted, held, p.templates, len(r.templates))
	}
	real := int64(0)
	for el := r.matches.recent.Front(); el != nil; el = el.Next() {
		m := el.Value.(*match[int])
		if real += m.taken; m.size() > m.taken {
			t.Fatalf("a match of %d bytes is counted as %d", m.size(), m.taken)
		}
	}
	if share := r.matches.share; share.Used() != real || real > share.Most() || r.matches.recent.Len() != len(r.matches.byTopic) {
		t.Fatalf("the cache holds %d bytes of %d, and counts %d", real, share.Most(), share.Used())
	}
}

// TestRouter subscribes, leaves, bans and routes at random. Each event must be added for
// exactly the subscriptions that select it by a topic that is not banned, unless it was
// skipped for them; and nothing may stay in the end.
func TestRouter(t *testing.T) {
	selectors := []string{"a", "b", "a/1", "*", "a/{x}", "{x}", "{+x}", "{x}/1", "b{/x}", "a/{x}{?q}", "{+a}x{+b}", "a/{x}/{y}"}
	topics := []string{"a", "b", "a/1", "a/2", "b/1", "a/1/2", "bxa", "c"}
	for _, work := range []int{DefaultWork, 100, 0} {
		const limit = 1 << 20
		r, p, _ := newRouter(limit)
		r.Work = work
		rng := rand.New(rand.NewPCG(uint64(work), 15))
		some := func(of []string) []string {
			n := 1 + rng.IntN(3)
			var texts []string
			for range n {
				if text := of[rng.IntN(len(of))]; !slices.Contains(texts, text) {
					texts = append(texts, text)
				}
			}
			return texts
		}
		var subs []*Subscription[int]
		banned := &topic.Selectors{}
		for step := range 3000 {
			switch rng.IntN(5) {
			case 0:
				subs = append(subs, subscribe(t, r, step, some(selectors)...))
			case 1:
				if len(subs) > 0 {
					s := subs[rng.IntN(len(subs))]
					r.Remove(s)
					subs = without(subs, s)
				}
			case 2:
				if rng.IntN(20) == 0 {
					if banned = parse(t, some(selectors[1:])...); rng.IntN(2) == 0 {
						banned = &topic.Selectors{}
					}
					if r.Ban(banned); rng.IntN(2) == 0 && len(banned.Texts()) == 0 {
						r.Ban(nil)
					}
				}
			default:
				names := some(topics)
				added, skipped := map[int]bool{}, map[int]bool{}
				late := r.Route(names, func(of int) { added[of] = true }, func(of int) { skipped[of] = true })
				open := slices.DeleteFunc(slices.Clone(names), banned.MatchTopic)
				for _, s := range subs {
					want := s.Selectors.Match(open)
					if added[s.Of] && !want {
						t.Fatalf("an event to %q came to %q while %q is banned", names, s.Selectors.Texts(), banned.Texts())
					}
					if want && !added[s.Of] && !skipped[s.Of] {
						t.Fatalf("an event to %q did not come to %q while %q is banned", names, s.Selectors.Texts(), banned.Texts())
					}
				}
				if len(late) == 0 && len(skipped) > 0 || work == DefaultWork && len(late) > 0 {
					t.Fatalf("%d are skipped, and %q is left", len(skipped), late)
				}
				for _, name := range late {
					if trial := r.Trial(name); rng.IntN(2) == 0 {
						trial.Run(t.Context(), func() {})
						r.Tried(trial)
					}
				}
			}
			checkCounts(t, r, p, limit, subs)
		}
		r.Ban(nil)
		for _, s := range subs {
			r.Remove(s)
		}
		checkCounts(t, r, p, limit, nil)
		if n := r.Size() + len(r.groups) + len(r.lengths[0]) + len(r.lengths[1]) + len(r.perLength[0]) + len(r.perLength[1]) + r.openCost; n != 0 || p.left != limit {
			t.Errorf("%d topics, templates, groups and passes, and %d bytes, are left of nobody", n, limit-p.left)
		}
	}
}

// TestMatchesAreBounded checks that the cache evicts matches when topics, or matches that
// grow with new templates, exceed its share.
func TestMatchesAreBounded(t *testing.T) {
	const limit = 1 << 30
	r, p, share := newRouter(limit)
	var subs []*Subscription[int]
	look := func(name string, want int) {
		t.Helper()
		work := 1 << 30
		if matching, _ := r.match(name, &work); len(matching) != want {
			t.Fatalf("%s: %d templates match, want %d", name, len(matching), want)
		}
	}
	for i := range 100 {
		subs = append(subs, subscribe(t, r, i, fmt.Sprintf("t/{x}/%d{y}", i)))
	}
	for i := range 3000 {
		look(fmt.Sprintf("t/%d/7", i), 1)
	}
	checkCounts(t, r, p, limit, subs)
	for i := range 15 { // each of these matches grows, and no topic is new
		subs = append(subs, subscribe(t, r, i, fmt.Sprintf("t/{x}/{y}%s%s", strings.Repeat("{/z}", i%5), strings.Repeat("{?v,w}", i/5))))
		for j := range 300 {
			look(fmt.Sprintf("t/%d/7", 2700+j), 2+i)
		}
		checkCounts(t, r, p, limit, subs)
	}
	if share.Used() < share.Most()/2 {
		t.Errorf("the cache holds %d bytes, too few to show much", share.Used())
	}
}

// TestTemplatesAreShared checks that a template is in memory once.
func TestTemplatesAreShared(t *testing.T) {
	r, _, _ := newRouter(1 << 20)
	a, b := subscribe(t, r, 1, "orders/{id}"), subscribe(t, r, 2, "orders/{order}", "news/{x}")
	if !slices.Contains(b.Selectors.Templates(), a.Selectors.Templates()[0]) {
		t.Error("equal templates are in memory twice")
	}
	if a.Weight() != a.Counted() || b.Weight() <= b.Counted() {
		t.Errorf("they weigh %d and %d, and count for %d and %d", a.Weight(), b.Weight(), a.Counted(), b.Counted())
	}
}

// TestMatchesOfNobodyAreNotCached removes the last subscription with a template while that
// is being tried on a topic.
func TestMatchesOfNobodyAreNotCached(t *testing.T) {
	r, _, share := newRouter(1 << 20)
	s := subscribe(t, r, 1, "a/{x}")
	trial := r.Trial("a/1")
	r.Remove(s)
	trial.Run(t.Context(), func() {})
	if r.Tried(trial); share.Used() != 0 {
		t.Errorf("%d bytes are held of what no template matches", share.Used())
	}
}

func TestRefusals(t *testing.T) {
	r, p, _ := newRouter(1 << 20)
	var err error
	n := 0
	for ; err == nil; n++ {
		err = r.Add(&Subscription[int]{Selectors: parse(t, fmt.Sprintf("{+a}%d{+b}/{c}", n)), Bytes: 1})
	}
	if err != ErrTooManyTemplates || n < 100 {
		t.Errorf("after %d templates that must be tried on every topic: %v", n, err)
	}
	if err := r.Add(&Subscription[int]{Selectors: parse(t, "a"), Bytes: p.left + 1}); err != ErrNoMemory {
		t.Errorf("without memory: %v", err)
	}
	if err := r.Add(&Subscription[int]{Selectors: parse(t, "a"), Bytes: 1}); err != nil {
		t.Error(err)
	}
}
