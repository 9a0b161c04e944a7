package feed

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

// plain writes an event as its data and a semicolon.
type plain struct{}

func (plain) Append(dst []byte, e *eventlog.Event) []byte { return append(append(dst, e.Data...), ';') }

// An account counts what feeds ask for, without a limit.
type account struct{ used int64 }

func (a *account) Take(n int64) bool                    { a.used += n; return true }
func (a *account) Give(n int64)                         { a.used -= n }
func (a *account) Move(from, to *int64, n int64)        { *from, *to = *from-n, *to+n }
func (a *account) CountTemplate(*topic.Template, int64) {}

// A signal wakes a goroutine that waits on the channel.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) Wake() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// A desk is a set on a log of its own.
type desk struct {
	t testing.TB
	*Set
	log    eventlog.Log
	budget *budget.Budget
}

func newDesk(t testing.TB, log eventlog.Log, b *budget.Budget) *desk {
	t.Helper()
	s, err := New(log, Options{Budget: b, Account: new(account), Logger: slog.New(slog.DiscardHandler), Ended: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return &desk{t, s, log, b}
}

func newMemoryDesk(t testing.TB) *desk {
	t.Helper()
	return newDesk(t, eventlog.NewMemory(eventlog.Retention{}), budget.New(0))
}

func (d *desk) put(recs ...eventlog.Record) (last eventlog.ID) {
	d.t.Helper()
	results, err := d.log.Append(context.Background(), recs...)
	if err != nil {
		d.t.Fatal(err)
	}
	return results[len(results)-1].ID
}

func event(topic, data string) eventlog.Record {
	return eventlog.Record{Topics: []string{topic}, Data: []byte(data)}
}

// routed waits until everything up to a position has been routed.
func (d *desk) routed(at eventlog.ID) {
	d.t.Helper()
	for moved := newSignal(); ; <-moved {
		if _, ok, err := d.Routed(at, moved); err != nil {
			d.t.Fatal(err)
		} else if ok {
			return
		}
	}
}

func (d *desk) origin() eventlog.ID {
	b, err := d.log.Bounds(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	return b.Origin
}

// open opens a cursor that shows all private events.
func (d *desk) open(at eventlog.ID, selectors ...string) *Cursor {
	d.t.Helper()
	sel, err := topic.Parse(selectors...)
	if err != nil {
		d.t.Fatal(err)
	}
	f, err := d.Join(Request{Selectors: sel, Form: plain{}})
	if err != nil {
		d.t.Fatal(err)
	}
	c, all := new(Cursor), topic.Everything()
	c.Open(f, at, &all, newSignal())
	d.t.Cleanup(func() { c.Close() })
	return c
}

// next waits for what c sends next, and returns it.
func (d *desk) next(c *Cursor) string {
	d.t.Helper()
	for {
		b, err := c.Peek()
		if err != nil {
			d.t.Fatal(err)
		}
		if len(b) > 0 {
			s := string(bytes.Clone(b))
			c.Advance(c.Step(len(b)))
			return s
		}
		select {
		case <-c.Waker().(signal):
		case <-time.After(10 * time.Second):
			d.t.Fatal("nothing comes")
		}
	}
}

// catchUp checks that a cursor has nothing to send, and attaches it.
func (d *desk) catchUp(c *Cursor) {
	d.t.Helper()
	for {
		b, err := c.Peek()
		switch {
		case err != nil || len(b) > 0:
			d.t.Fatalf("%q, %v", b, err)
		case !c.CatchingUp():
			return
		}
		select {
		case <-c.Waker().(signal):
		case <-time.After(10 * time.Second):
			d.t.Fatal("it does not catch up")
		}
	}
}

// blockedIn waits until n goroutines are blocked in a function.
func blockedIn(t *testing.T, function string, n int) {
	t.Helper()
	stacks := make([]byte, 4<<20)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		found := 0
		for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if (strings.Contains(g, "[sync.Mutex.Lock") || strings.Contains(g, "[select")) && strings.Contains(g, function) {
				found++
			}
		}
		if found == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines wait in %s, want %d", found, function, n)
		}
	}
}

// TestPumpGoesBeforeTheCrowd checks that many subscribers that come and go hold up the
// pump only for as long as one of them takes.
func TestPumpGoesBeforeTheCrowd(t *testing.T) {
	d := newMemoryDesk(t)
	const crowd = 100
	d.mu.Lock() // as the pump does for the event before
	var opened sync.WaitGroup
	for i := range crowd {
		opened.Go(func() { d.open(eventlog.ID{}, fmt.Sprint("topic ", i)) })
	}
	blockedIn(t, "(*Set).enter(", crowd)
	came := make(chan int, 1)
	go func() {
		d.lockFirst()
		came <- d.members
		d.mu.Unlock()
	}()
	blockedIn(t, "(*Set).lockFirst(", 1)
	d.mu.Unlock()
	if n := <-came; n > 2 {
		t.Errorf("%d of %d subscribers came before the next event", n, crowd)
	}
	opened.Wait()
}

// TestTemplatesComeAndGo checks that cached matches of a topic stay right when templates
// are added and removed.
func TestTemplatesComeAndGo(t *testing.T) {
	d := newMemoryDesk(t)
	match := func() (n int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		count := func(*Feed) { n++ }
		d.router.Route([]string{"orders/42"}, count, count)
		return n
	}
	d.open(d.Head(), "never/{x}")
	if n := match(); n != 0 {
		t.Errorf("%d match, want none", n)
	}
	a := d.open(d.Head(), "orders/{id}")
	b := d.open(d.Head(), "{any}/42")
	if n := match(); n != 2 {
		t.Errorf("%d match, want both", n)
	}
	a.Close()
	if n := match(); n != 1 {
		t.Errorf("%d match, want one", n)
	}
	a = d.open(d.Head(), "orders/{id}")
	if n := match(); n != 2 {
		t.Errorf("%d match, want both again", n)
	}
	d.put(event("orders/42", "x"))
	for _, c := range []*Cursor{a, b} {
		if got := d.next(c); got != "x;" {
			t.Errorf("got %q", got)
		}
	}
}
