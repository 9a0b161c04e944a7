package feed

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/route"
	"github.com/tidings-sse/tidings/topic"
)

// TestAccountIsExact makes random calls on a set with little memory. After each step it
// compares the budget's figures with what windows and pages hold: they are equal, and no
// use exceeds its share.
func TestAccountIsExact(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			log := eventlog.NewMemory(eventlog.Retention{Events: 4000, Bytes: 8 << 20})
			a := &audit{desk: newDesk(t, log, budget.New(int64(400<<10)<<(seed%4))), rng: rand.New(rand.NewPCG(seed, 14))}
			a.SetWork([]int{route.DefaultWork, 300, 0}[seed%3])
			for range 1000 {
				a.step()
				a.check()
			}
			for _, c := range a.cursors {
				c.Close()
				a.check()
			}
			a.Close() // this also ends page reads that no cursor waits for
			if used := a.budget.Used() - a.budget.Share(budget.Matches).Used(); used != 0 || a.o.Account.(*account).used != 0 {
				t.Errorf("%d bytes, and %d of what feeds ask for, are counted after all have gone", used, a.o.Account.(*account).used)
			}
		})
	}
}

// An audit is a set with its cursors.
type audit struct {
	*desk
	rng     *rand.Rand
	cursors []*Cursor
}

func (a *audit) pick(from ...string) string { return from[a.rng.IntN(len(from))] }

func (a *audit) topic() string {
	return a.pick("a", "b", "c/", "d/") + fmt.Sprint(a.rng.IntN(8)) + strings.Repeat("x", a.rng.IntN(2)*a.rng.IntN(3000))
}

func (a *audit) selectors() topic.Selectors {
	var texts []string
	for range 1 + a.rng.IntN(4) {
		texts = append(texts, a.pick("*", a.topic(), a.topic(), a.pick("a", "b", "c/", "d/")+"{x}", fmt.Sprintf("c/{a}%d{+b}x{c}", a.rng.IntN(300))))
	}
	sel, err := topic.Parse(texts...)
	if err != nil {
		a.t.Fatal(err)
	}
	return sel
}

func (a *audit) step() {
	switch n := a.rng.IntN(100); {
	case n < 45:
		recs := make([]eventlog.Record, 1+a.rng.IntN(20))
		for i := range recs {
			recs[i] = event(a.topic(), strings.Repeat("x", a.rng.IntN(3000)))
			recs[i].Private, recs[i].Type = a.rng.IntN(3) == 0, a.pick("", "", "price")
		}
		if a.rng.IntN(10) == 0 {
			recs = recs[:1]
			recs[0].Data = []byte(strings.Repeat("x", 50_000+a.rng.IntN(100_000)))
		}
		if last := a.put(recs...); a.rng.IntN(2) == 0 {
			a.routed(last)
		}
	case n < 57:
		a.open()
	case n < 80:
		if len(a.cursors) > 0 {
			a.serve(a.rng.IntN(len(a.cursors)))
		}
	case n < 88:
		if len(a.cursors) > 0 {
			a.leave(a.rng.IntN(len(a.cursors)))
		}
	case n < 97:
		sel := a.selectors()
		a.Ban([]*Banned{nil, {Selectors: sel}}[a.rng.IntN(2)])
	default:
		sel := a.selectors()
		q := eventlog.Query{Topics: sel.Exact(), Match: func(e *eventlog.Event) bool { return sel.Match(e.Topics) }}
		if _, err := a.log.Delete(a.t.Context(), eventlog.ID{}, q); err != nil {
			a.t.Fatal(err)
		}
		a.Forget()
	}
}

func (a *audit) open() {
	grant := topic.Everything()
	if a.rng.IntN(2) == 0 {
		grant = a.selectors()
	}
	r := Request{Selectors: a.selectors(), Form: plain{}}
	if a.rng.IntN(4) == 0 {
		r.Types = []string{"message"}
	}
	if a.rng.IntN(4) == 0 {
		r.Shown = &grant
	}
	f, err := a.Join(r)
	if err != nil {
		a.t.Fatal(err)
	}
	c, at := new(Cursor), a.Head()
	if a.rng.IntN(4) == 0 {
		at = a.origin()
	}
	c.Open(f, at, &grant, newSignal())
	if a.rng.IntN(8) == 0 {
		var events []*eventlog.Event
		var ids []eventlog.ID
		bytes := int64(0)
		for e, err := range a.log.Read(a.t.Context(), a.origin(), eventlog.Query{UpTo: a.Head(), Limit: 1 + a.rng.IntN(100)}) {
			if err != nil {
				a.t.Fatal(err)
			}
			events, ids = append(events, e), append(ids, e.ID)
			bytes += e.Footprint()
		}
		if bytes > PageBytes {
			events = nil
		}
		if len(ids) > 0 {
			c.Recall(ids, events, at)
		}
	}
	a.cursors = append(a.cursors, c)
	for c.CatchingUp() && a.rng.IntN(20) > 0 { // most get into the window
		if n := len(a.cursors); !a.serve(n - 1) {
			return
		}
	}
}

// serve sends some of what a cursor has, and reports whether it is still open.
func (a *audit) serve(i int) bool {
	c := a.cursors[i]
	for range 1 + a.rng.IntN(4) {
		b, err := c.Peek()
		if err != nil {
			a.leave(i)
			return false
		}
		for left := a.rng.IntN(1000); left > 0 && c.page != nil && !c.page.done.Load(); left-- { // otherwise it leaves a page that is being read
			runtime.Gosched()
		}
		if n := len(b); n > 0 {
			if a.rng.IntN(3) == 0 {
				n = 1 + a.rng.IntN(n)
			}
			c.Advance(c.Step(n))
		}
	}
	c.Rest()
	return true
}

func (a *audit) leave(i int) {
	a.cursors[i].Close()
	a.cursors = slices.Delete(a.cursors, i, i+1)
}

// held returns what windows and pages hold. The caller holds the locks, so nothing changes
// meanwhile.
func (a *audit) held() map[budget.Use]int64 {
	held := map[budget.Use]int64{}
	for _, f := range a.feeds {
		f.mu.Lock()
		n := int64(cap(f.bytes)) + int64(cap(f.marks))*int64(unsafe.Sizeof(mark{}))
		for _, m := range f.marks {
			for _, t := range m.private {
				n += int64(len(t)) + 16
			}
		}
		use := budget.Windows
		if f.countedIn == a.windows.small {
			use = budget.SmallWindows
		}
		held[use] += n
		f.mu.Unlock()
	}
	pages := map[*pageEntry]bool{}
	for el := a.pages.recent.Front(); el != nil; el = el.Next() {
		pages[el.Value.(*pageEntry)] = true
	}
	for _, c := range a.cursors {
		if c.page != nil && c.page.done.Load() {
			pages[c.page] = true
		}
	}
	for e := range pages {
		held[budget.Pages] += e.size()
	}
	return held
}

// check compares the budget's figures with what is held.
func (a *audit) check() {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pages.mu.Lock()
	defer a.pages.mu.Unlock()
	held := a.held()
	for _, use := range []budget.Use{budget.Windows, budget.SmallWindows, budget.Pages} {
		share := a.budget.Share(use)
		used, most := share.Used(), share.Most()
		if used != held[use] {
			a.t.Errorf("%v: %d bytes are counted, and %d held", use, used, held[use])
		}
		if use == budget.Pages { // each slot may read one page beyond the limit
			most += int64(len(a.Slots.slots[0])+len(a.Slots.slots[1])+1) * 200_000
		}
		if used > most {
			a.t.Errorf("%v: %d bytes are held, and %d may be", use, used, most)
		}
	}
	if a.t.Failed() {
		a.t.FailNow()
	}
}
