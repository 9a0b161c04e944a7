package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-sse/tidings/budget"
)

// tokenOf returns a subscriber's token.
func tokenOf(t testing.TB, subject string) string {
	t.Helper()
	c := claims()
	c.Subject, c.Mercure.Subscribe = subject, []string{"*"}
	c.Tidings = &Tidings{Admin: true}
	token, err := Mint(c, secret, "")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// ask returns the grant of a request for a path, with the token if there is one.
func ask(t testing.TB, a *Auth, path, token string) *Grant {
	t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	g, err := a.Subscriber(r)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func newTicketed(t testing.TB, limit int64) (*Auth, *budget.Share) {
	t.Helper()
	b := budget.New(limit)
	keys := mustParse(t, secret)
	a, err := New(Options{PublisherKeys: keys, SubscriberKeys: keys, Anonymous: true, Budget: b})
	if err != nil {
		t.Fatal(err)
	}
	return a, b.Share(budget.Tickets)
}

// issue takes tickets for a grant, up to most, until it is refused.
func issue(t testing.TB, a *Auth, g *Grant, most int) (tickets []string) {
	t.Helper()
	for len(tickets) < most {
		text, err := a.Issue(g)
		if err != nil {
			if e := new(Error); !errors.As(err, &e) || e.Status != http.StatusTooManyRequests {
				t.Fatalf("after %d tickets: %v", len(tickets), err)
			}
			break
		}
		tickets = append(tickets, text)
	}
	return tickets
}

// A subject may have a part of all tickets, and all tickets together what the budget
// allows. Unused tickets are removed.
func TestTicketsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, share := newTicketed(t, 20<<20)
		most := int(share.Most() / ticketSize)
		ann := ask(t, a, "/events/a", tokenOf(t, "ann"))
		anns := issue(t, a, ann, most)
		if n := len(anns); n == 0 || n > most/ticketsEach {
			t.Errorf("a subject gets %d of %d tickets, want an eighth", n, most)
		}
		if more := issue(t, a, ask(t, a, "/events/a", tokenOf(t, "ann")), 1); len(more) > 0 {
			t.Error("another token of the same subject gets more")
		}
		bob := issue(t, a, ask(t, a, "/events/a", tokenOf(t, "bob")), 1)
		if len(bob) != 1 {
			t.Fatal("another subject gets none")
		}
		a.Return(anns[0])
		if again := issue(t, a, ann, most); len(again) != 1 {
			t.Errorf("%d tickets are issued after one was given back", len(again))
		}
		all := 0
		for i := range 2 * ticketsEach {
			all += len(issue(t, a, ask(t, a, "/events/a", tokenOf(t, fmt.Sprint(i))), most))
		}
		if all > most || share.Used() > share.Most() || share.Refused() == 0 {
			t.Errorf("%d more are issued, of %d; they take %d bytes of %d", all, most, share.Used(), share.Most())
		}
		time.Sleep(TicketStart - time.Second)
		ask(t, a, "/events/a?ticket="+bob[0], "")
		time.Sleep(ticketSweep + 2*time.Second)
		if n := a.tickets.kept(); n != 1 {
			t.Errorf("%d tickets are kept, of which one was used", n)
		}
		if got := issue(t, a, ann, 1); len(got) != 1 {
			t.Error("no ticket is issued after all have expired")
		}
		time.Sleep(TicketIdle + 2*ticketSweep)
		if n := a.tickets.kept(); share.Used() != 0 || n != 0 {
			t.Errorf("%d unused tickets are kept, in %d bytes", n, share.Used())
		}
	})
}

// A request without a token gets no ticket, and so cannot use up other clients' tickets.
func TestNoTicketsWithoutToken(t *testing.T) {
	a, share := newTicketed(t, 0)
	for why, g := range map[string]*Grant{"anonymous": ask(t, a, "/events/a", ""), "without keys": everything} {
		_, err := a.Issue(g)
		if e := new(Error); !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
			t.Errorf("%s: %v", why, err)
		}
	}
	if share.Used() != 0 {
		t.Errorf("%d bytes are taken", share.Used())
	}
}

// A ticket subscribes, and allows nothing else that its token does.
func TestTicketsOnlySubscribe(t *testing.T) {
	a, _ := newTicketed(t, 0)
	full := ask(t, a, "/events/a", tokenOf(t, "ann"))
	if !full.Admin || !full.MayPublish([]string{"a"}) {
		t.Fatalf("the token grants %+v", full)
	}
	g := ask(t, a, "/events/a?ticket="+issue(t, a, full, 1)[0], "")
	if g.Admin || g.MayPublish([]string{"a"}) || !g.MaySee("a") || g.Subject != "ann" {
		t.Errorf("its ticket grants %+v", g)
	}
}

// Tickets take as much memory as they are counted for.
func TestTicketSize(t *testing.T) {
	a, share := newTicketed(t, 0)
	g := ask(t, a, "/events/a", tokenOf(t, "ann"))
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for range 10_000 {
		if _, err := a.Issue(g); err != nil {
			t.Fatal(err)
		}
	}
	if took, said := heap()-before, share.Used(); took > said || took < said/2 {
		t.Errorf("10,000 tickets take %d bytes, but count %d", took, said)
	}
	runtime.KeepAlive(a)
}

// kept returns how many tickets there are.
func (ts *tickets) kept() int {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return len(ts.all)
}
