package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
)

func newGuarded(t *testing.T, change func(*auth.Options)) *server {
	t.Helper()
	return newServer(t, eventlog.Retention{}, edge.Options{Auth: authority(t, func(o *auth.Options) {
		o.Revocations = new(auth.Revocations)
		if change != nil {
			change(o)
		}
	})})
}

// ends reads a stream to its end, which must be regular and so final.
func (s *stream) ends(t *testing.T, why string) {
	t.Helper()
	if _, err := io.ReadAll(s.lines); err != nil {
		t.Errorf("%s: the stream does not end: %v", why, err)
	}
}

func id(name string) func(*auth.Claims) { return func(c *auth.Claims) { c.ID = name } }

// A kick ends streams at once. With for= their clients get 204 when they reconnect, and
// their tokens publish nothing.
func TestKick(t *testing.T) {
	operator := bearer(token(t, "", "", admin))
	for _, tt := range []struct {
		why, query string
		status     int // when ann reconnects
		publishes  int // the status when ann publishes
		bob        int // the status when bob reconnects
		ended      int
	}{
		{"by subject", "subject=ann", 200, 201, 200, 1},
		{"by subject, for a time", "subject=ann&for=10m", 204, 401, 200, 1},
		{"by token, for a time", "token_id=a1&for=10m", 204, 401, 200, 1},
		{"by another token of hers", "token_id=a2&for=10m", 200, 201, 200, 0},
		{"by topic", "topic=a", 200, 201, 200, 2},
		{"by topic, for a time", "topic=a&for=10m", 204, 201, 204, 2},
		{"by another topic", "topic=b&for=10m", 200, 201, 200, 0},
	} {
		s := newGuarded(t, nil)
		ann, bob := bearer(token(t, "*", "*", subject("ann"), id("a1"))), bearer(token(t, "*", "*", subject("bob")))
		a, b := s.subscribe(t, "/events/a", ann...), s.subscribe(t, "/events/a", bob...)
		a.place(t)
		b.place(t)
		resp := s.do(t, "DELETE", "/subscriptions?"+tt.query, "", operator...)
		var answer struct{ Ended int }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Ended != tt.ended {
			t.Errorf("%s: %s, %+v, %v; want %d", tt.why, resp.Status, answer, err, tt.ended)
		}
		if tt.ended > 0 {
			if tt.status == http.StatusOK {
				a.breaksOff(t, tt.why)
			} else {
				a.ends(t, tt.why)
			}
		}
		stream := []string{"Accept", "text/event-stream"}
		if resp := s.do(t, "GET", "/events/a", "", append(stream, ann...)...); resp.StatusCode != tt.status {
			t.Errorf("%s: ann comes back to %s, want %d", tt.why, resp.Status, tt.status)
		}
		if resp := s.do(t, "GET", "/events/a", "", append(stream, bob...)...); resp.StatusCode != tt.bob {
			t.Errorf("%s: bob comes back to %s, want %d", tt.why, resp.Status, tt.bob)
		}
		if resp := s.do(t, "POST", "/events/a", "x", ann...); resp.StatusCode != tt.publishes {
			t.Errorf("%s: ann publishes with %s, want %d", tt.why, resp.Status, tt.publishes)
		}
	}
}

// A ban by a template also holds for subscriptions that select the same topics in
// another way, on streams and when reading.
func TestBanByTemplate(t *testing.T) {
	s := newGuarded(t, nil)
	operator, reader := bearer(token(t, "*", "", admin)), bearer(token(t, "", ""))
	same := s.subscribe(t, "/events?topic=users/{name}", reader...)
	wide := s.subscribe(t, "/events?topic={%2Bx}", reader...)
	all := s.subscribe(t, "/events?topic=*&envelope=json", reader...)
	for _, st := range []*stream{same, wide, all} {
		st.place(t)
	}
	s.do(t, "POST", "/events?topic=users/42", "before", operator...)
	for _, st := range []*stream{same, wide, all} {
		st.block(t)
	}
	var answer struct{ Ended, Total int }
	get := func(method, path string) {
		t.Helper()
		if err := json.NewDecoder(s.do(t, method, path, "", operator...).Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
	}
	if get("GET", "/subscriptions?topic=users/{id}"); answer.Total != 3 {
		t.Errorf("%d streams are listed, want 3", answer.Total)
	}
	if get("DELETE", "/subscriptions?topic=users/{id}&for=10m"); answer.Ended != 1 {
		t.Errorf("%d streams were ended, want the one that has nothing left", answer.Ended)
	}
	same.ends(t, "all it asked for is banned")
	s.do(t, "POST", "/events?topic=users/42", "secret", operator...)
	s.do(t, "POST", "/events?topic=news", "end", operator...)
	last := s.subscribe(t, "/events?topic=users/{name}&topic=news&last=2", reader...)
	last.place(t)
	for _, st := range []*stream{wide, all, last} {
		if got := st.block(t); !strings.Contains(got, "end") {
			t.Errorf("while the ban lasts: %q", got)
		}
	}
	if resp := s.do(t, "GET", "/events?topic=users/{name}", "", append(reader, "Accept", "text/event-stream")...); resp.StatusCode != 204 {
		t.Errorf("coming back: %s", resp.Status)
	}
	ndjson := append(reader, "Accept", "application/x-ndjson")
	wantProblem(t, "reading", s.do(t, "GET", "/events?topic=users/{name}", "", ndjson...), 403, "operator")
	if body, err := io.ReadAll(s.do(t, "GET", "/events?topic=*", "", ndjson...).Body); err != nil || strings.Count(string(body), "\n") != 1 || !strings.Contains(string(body), "end") {
		t.Errorf("reading all: %s, %v", body, err)
	}
	many := "/subscriptions?for=10m"
	for i := range 100 {
		many += fmt.Sprint("&topic=", i, "/{x}")
	}
	wantProblem(t, "many bans", s.do(t, "DELETE", many, "", operator...), 429, "Template")
}

func TestKickOneStream(t *testing.T) {
	s := newGuarded(t, nil)
	operator := bearer(token(t, "", "", admin))
	st := s.subscribe(t, "/events/a", bearer(token(t, "", "", subject("ann"), id("a1")))...)
	st.place(t)
	var list struct {
		Subscriptions []struct {
			ID, Subject string
			TokenID     string `json:"token_id"`
		}
	}
	if err := json.NewDecoder(s.do(t, "GET", "/subscriptions?token_id=a1", "", operator...).Body).Decode(&list); err != nil || len(list.Subscriptions) != 1 ||
		list.Subscriptions[0].Subject != "ann" || list.Subscriptions[0].TokenID != "a1" {
		t.Fatalf("%+v, %v", list, err)
	}
	s.do(t, "DELETE", "/subscriptions?for=1m&id="+list.Subscriptions[0].ID, "", operator...)
	st.ends(t, "by its id")
	resp := s.do(t, "GET", "/events/a", "", append(bearer(token(t, "", "", id("a1"))), "Accept", "text/event-stream")...)
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("coming back: %s", resp.Status)
	}
	for query, says := range map[string]string{
		"": "one of", "for=1m": "one of", "id=x": "field id", "subject=a&topic=b": "one of", "subject=ann&for=soon": "10m", "subject=ann&for=-1s": "10m", "topic={": "selector",
	} {
		wantProblem(t, query, s.do(t, "DELETE", "/subscriptions?"+query, "", operator...), 400, says)
	}
	wantProblem(t, "no admin", s.do(t, "DELETE", "/subscriptions?subject=ann", "", bearer(token(t, "*", "*"))...), 403, "admin")
	s.isEmpty(t) // the client sees the end before the hub removes the stream
	gone := "/subscriptions?for=1m&id=" + list.Subscriptions[0].ID
	wantProblem(t, "one that is gone", s.do(t, "DELETE", gone, "", operator...), 404, "no such stream")
}

// A client that opens streams while its token is being revoked ends up with none.
func TestRevocationRace(t *testing.T) {
	s := newGuarded(t, nil)
	ann := append(bearer(token(t, "", "", subject("ann"))), "Accept", "text/event-stream")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				resp := s.do(t, "GET", "/events/a", "", ann...)
				if resp.StatusCode == http.StatusNoContent {
					return
				}
				defer func() { _ = resp.Body.Close() }()
			}
		})
	}
	s.do(t, "DELETE", "/subscriptions?subject=ann&for=1h", "", bearer(token(t, "", "", admin))...)
	wg.Wait()
	s.isEmpty(t)
}

// isEmpty waits until no stream is open.
func (s *server) isEmpty(t *testing.T) {
	t.Helper()
	var list struct{ Total int }
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if err := json.NewDecoder(s.do(t, "GET", "/subscriptions", "", bearer(token(t, "", "", admin))...).Body).Decode(&list); err != nil {
			t.Fatal(err)
		}
		if list.Total == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d streams are left", list.Total)
		}
	}
}

// A revocation that cannot be saved ends the streams all the same.
func TestKickWithoutADisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.json")
	if err := os.Mkdir(path+".new", 0o700); err != nil { // a directory where the file would be written
		t.Fatal(err)
	}
	revocations, err := auth.OpenRevocations(path)
	if err != nil {
		t.Fatal(err)
	}
	s := newGuarded(t, func(o *auth.Options) { o.Revocations = revocations })
	ann := bearer(token(t, "*", "*", subject("ann")))
	stream := s.subscribe(t, "/events/a", ann...)
	stream.place(t)
	if resp := s.do(t, "DELETE", "/subscriptions?subject=ann&for=10m", "", bearer(token(t, "", "", admin))...); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the operator hears %s, want 503", resp.Status)
	}
	stream.ends(t, "revoked")
	if resp := s.do(t, "POST", "/events/a", "x", ann...); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("ann publishes with %s, want 401", resp.Status)
	}
}

func TestRevocationsOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.json")
	open := func() *auth.Revocations {
		v, err := auth.OpenRevocations(path)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if err := open().Revoke("ann", "", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := open().Revoke("", "b1", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := open().Revoke("carl", "", time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	s := newGuarded(t, func(o *auth.Options) { o.Revocations = open() })
	for name, tt := range map[string]struct {
		token  string
		status int
	}{
		"a subject": {token(t, "*", "", subject("ann")), 401}, "a token": {token(t, "*", "", subject("bob"), id("b1")), 401},
		"another of his": {token(t, "*", "", subject("bob"), id("b2")), 201}, "one whose time is over": {token(t, "*", "", subject("carl")), 201},
		"nobody": {token(t, "*", ""), 201},
	} {
		if resp := s.do(t, "POST", "/events/a", "x", bearer(tt.token)...); resp.StatusCode != tt.status {
			t.Errorf("%s: %s, want %d", name, resp.Status, tt.status)
		}
	}
}

func (s *server) ticket(t *testing.T, header ...string) string {
	t.Helper()
	resp := s.do(t, "POST", "/tickets", "", header...)
	var answer struct {
		Ticket    string
		ExpiresIn int `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != 201 || answer.Ticket == "" || answer.ExpiresIn != 30 {
		t.Fatalf("%s %+v %v", resp.Status, answer, err)
	}
	return url.QueryEscape(answer.Ticket)
}

// A ticket shows what its token shows, and allows nothing else.
func TestTicket(t *testing.T) {
	s := newGuarded(t, nil)
	full := bearer(token(t, "*", "a", admin, subject("ann")))
	ticket := s.ticket(t, full...)
	st := s.subscribe(t, "/events?topic=a&topic=b&ticket="+ticket)
	st.place(t)
	for _, q := range []string{"topic=b&data=secret&private=1", "topic=a&data=mine&private=1"} {
		s.do(t, "POST", "/events?"+q, "", full...)
	}
	if got := st.block(t); !strings.HasSuffix(got, "data: mine") {
		t.Errorf("got %q", got)
	}
	again := s.subscribe(t, "/events?topic=a;b&topic=a&ticket="+ticket, "Authorization", "Basic dXNlcjpwdw==") // like a reconnection through a proxy
	again.place(t)
	for why, resp := range map[string]*http.Response{
		"it publishes nothing":          s.do(t, "POST", "/events/a?ticket="+ticket, "x"),
		"nor as a token":                s.do(t, "POST", "/events/a", "x", bearer(ticket)...),
		"it deletes nothing":            s.do(t, "DELETE", "/events?topic=a&ticket="+ticket, ""),
		"it lists nobody":               s.do(t, "GET", "/subscriptions?ticket="+ticket, ""),
		"it begets no other":            s.do(t, "POST", "/tickets?ticket="+ticket, ""),
		"one that is made up":           s.do(t, "GET", "/events/a?ticket=made-up", ""),
		"and none without a token":      s.do(t, "POST", "/tickets", ""),
		"nor with one that has expired": s.do(t, "POST", "/tickets", "", bearer(token(t, "", "", expired))...),
	} {
		wantProblem(t, why, resp, 401, "")
	}
	s.do(t, "POST", "/events/a", "x", full...)
	for why, header := range map[string][]string{"": full, "?ticket=" + ticket: nil} {
		body, err := io.ReadAll(s.do(t, "GET", "/topics"+why, "", header...).Body)
		if err != nil || !strings.Contains(string(body), `"topic":"a"`) || strings.Contains(string(body), "streams") != (header != nil) {
			t.Errorf("/topics%s: %s, %v; only an operator's token shows streams", why, body, err)
		}
	}
	if resp := s.do(t, "DELETE", "/tickets?ticket="+ticket, ""); resp.StatusCode != 204 {
		t.Errorf("given back: %s", resp.Status)
	}
	st.ends(t, "the ticket was given back")
	wantProblem(t, "given back", s.do(t, "GET", "/events/a?ticket="+ticket, "", "Accept", "text/event-stream"), 401, "new one")
	if resp := s.do(t, "DELETE", "/tickets?ticket="+ticket, ""); resp.StatusCode != 204 {
		t.Errorf("given back twice: %s", resp.Status)
	}

	ticket = s.ticket(t, full...)
	st = s.subscribe(t, "/events/a?ticket="+ticket)
	st.place(t)
	s.do(t, "DELETE", "/subscriptions?subject=ann&for=1m", "", bearer(token(t, "", "", admin))...)
	st.ends(t, "its subject was revoked")
	if resp := s.do(t, "GET", "/events/a?ticket="+ticket, "", "Accept", "text/event-stream"); resp.StatusCode != 204 {
		t.Errorf("revoked: %s", resp.Status)
	}
}

// A reader that needs no ticket gets a 401 that says so. Tickets for one subject are
// limited.
func TestTicketsForThoseWhoNeedThem(t *testing.T) {
	s := newGuarded(t, func(o *auth.Options) { o.Anonymous, o.Budget = true, budget.New(100_000) })
	wantProblem(t, "anonymous", s.do(t, "POST", "/tickets", ""), 401, "subscribe without")
	ann := bearer(token(t, "", "*", subject("ann")))
	for n := 0; ; n++ {
		resp := s.do(t, "POST", "/tickets", "", ann...)
		if resp.StatusCode == 201 && n < 100 {
			continue
		}
		if resp.Header.Get("Retry-After") == "" {
			t.Errorf("after %d tickets: %v", n, resp.Header)
		}
		wantProblem(t, "too many", resp, 429, "give back")
		break
	}
	if resp := s.do(t, "POST", "/tickets", "", bearer(token(t, "", "*", subject("bob")))...); resp.StatusCode != 201 {
		t.Errorf("another subject: %s", resp.Status)
	}
}

// Streams that open with a ticket while it is being returned all end, and none opens
// afterwards.
func TestTicketRace(t *testing.T) {
	s := newGuarded(t, nil)
	ticket := s.ticket(t, bearer(token(t, "", "*"))...)
	get := func() int {
		return s.do(t, "GET", "/events/a?ticket="+ticket, "", "Accept", "text/event-stream").StatusCode
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if get() == 401 {
					return
				}
			}
		})
	}
	s.do(t, "DELETE", "/tickets?ticket="+ticket, "")
	wg.Wait()
	if status := get(); status != 401 {
		t.Errorf("given back, and still good for a %d", status)
	}
	s.isEmpty(t)
}

// A ticket waits thirty seconds for its first use, then lasts ten minutes
// without a stream, and never beyond its token.
func TestTicketTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authority(t, nil)
		use := func(ticket string) (*auth.Grant, error) {
			r, err := http.NewRequest("GET", "/events?ticket="+ticket, nil)
			if err != nil {
				t.Fatal(err)
			}
			return a.Subscriber(r)
		}
		issue := func(expires time.Duration) string {
			ticket, err := a.Issue(&auth.Grant{Expires: time.Now().Add(expires)})
			if err != nil {
				t.Fatal(err)
			}
			return ticket
		}
		check := func(why, ticket string, good bool) *auth.Grant {
			t.Helper()
			g, err := use(ticket)
			if (err == nil) != good {
				t.Errorf("%s: %v", why, err)
			}
			return g
		}
		late, first := issue(time.Hour), issue(time.Hour)
		time.Sleep(auth.TicketStart - time.Second)
		check("just in time", first, true)
		time.Sleep(time.Second)
		check("too late", late, false)
		time.Sleep(auth.TicketIdle - 2*time.Second)
		g := check("nine minutes without a stream", first, true)
		closed := a.Opened(g)
		time.Sleep(3 * auth.TicketIdle)
		check("while there is a stream", first, true)
		closed()
		time.Sleep(auth.TicketIdle - time.Second)
		check("and minutes after it", first, true)
		time.Sleep(auth.TicketIdle + time.Second)
		check("ten minutes without", first, false)
		check("and for good", first, false)

		short := issue(15 * time.Second)
		closed = a.Opened(check("of a token that expires soon", short, true))
		time.Sleep(20 * time.Second)
		check("with it, stream or not", short, false)
		closed()
	})
}

// A static key publishes to the topics configured for it, and allows nothing else.
func TestAPIKeys(t *testing.T) {
	const all, some = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	s := newGuarded(t, func(o *auth.Options) {
		var err error
		if o.APIKeys, err = auth.ParseAPIKeys("# keys\n\n" + all + "\n" + some + " news orders/{id}\n"); err != nil {
			t.Fatal(err)
		}
	})
	for _, tt := range []struct {
		method, path, key string
		status            int
	}{
		{"POST", "/events/any", all, 201}, {"POST", "/events/news", some, 201}, {"POST", "/events?topic=orders/1", some, 201}, {"POST", "/events/any", some, 403},
		{"POST", "/events/any", all + "x", 401}, {"POST", "/events/any", all[:31], 401},
		{"GET", "/events/any", all, 401}, {"DELETE", "/events?topic=any", all, 403}, {"POST", "/tickets", all, 401},
	} {
		if resp := s.do(t, tt.method, tt.path, "", bearer(tt.key)...); resp.StatusCode != tt.status {
			t.Errorf("%s %s %.8s: %s, want %d", tt.method, tt.path, tt.key, resp.Status, tt.status)
		}
	}
	for text, says := range map[string]string{"short": "32", "": "no key", all + " {": "selector"} {
		if _, err := auth.ParseAPIKeys(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}
