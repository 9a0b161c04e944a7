package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/pace"
	"github.com/tidings-sse/tidings/topic"
)

func ban(t testing.TB, h *Hub, d time.Duration, selectors ...string) (ended int) {
	t.Helper()
	ended, err := h.Ban(mustSelect(t, selectors...), d)
	if err != nil {
		t.Fatal(err)
	}
	return ended
}

func putTopics(t testing.TB, h *Hub, data string, topics ...string) eventlog.ID {
	t.Helper()
	results, err := h.Publish(t.Context(), eventlog.Record{Topics: topics, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return results[0].ID
}

// TestBanWithholds checks that during a ban no stream receives events that it selects,
// whatever the stream's selectors are and whether events are live or from the log.
func TestBanWithholds(t *testing.T) {
	subscriptions := [][]string{{"*"}, {"{+x}"}, {"{a}", "{a}/{b}"}, {"users/42", "news"}, {"users/{name}", "news"}, {"users{/name}", "news"}}
	history := func(h *Hub) {
		putTopics(t, h, "secret 0", "users/42")
		putTopics(t, h, "both", "users/42", "news")
		putTopics(t, h, "mine", "news")
	}
	for _, tt := range []struct {
		why    string
		from   From
		before bool // the history is published before the streams open; otherwise it waits in their windows
		banned bool // the ban begins before the streams open
	}{
		{"live", From{}, false, false},
		{"from history", From{LastEventID: Earliest}, true, true},
		{"from pages that are read before", From{LastEventID: Earliest}, true, false},
		{"the newest", From{Last: 10}, true, true},
		{"the newest, found before", From{Last: 10}, true, false},
	} {
		for _, envelope := range []Envelope{Bare, InJSON} {
			h, _ := newTestHub(t, eventlog.Retention{})
			if tt.before {
				history(h)
				idle(t, h)
			}
			if tt.banned {
				ban(t, h, time.Hour, "users/{id}")
			}
			var streams []*Stream
			for _, s := range subscriptions {
				sub := Subscription{Selectors: mustSelect(t, s...), From: tt.from}
				st, err := h.Stream(t.Context(), sub, StreamOptions{Retry: time.Second, Heartbeat: time.Minute, Envelope: envelope})
				if err != nil {
					t.Fatal(err)
				}
				defer st.Close()
				next(t, st) // the beginning
				streams = append(streams, st)
			}
			if !tt.before {
				history(h)
				waitRouted(t, h, h.feeds.Head())
			}
			if !tt.banned {
				if n := ban(t, h, time.Hour, "users/{id}"); n != 0 {
					t.Errorf("%s: %d streams that ask for more were ended", tt.why, n)
				}
			}
			put(t, h, "users/42", "secret 1")
			put(t, h, "news", "end")
			for i, st := range streams {
				got := strings.Join(dataUntil(t, st, "end"), " ")
				if strings.Contains(got, "secret") || !strings.Contains(got, "both") || !strings.Contains(got, "mine") {
					t.Errorf("%s, %v: %q gets %q", tt.why, envelope, subscriptions[i], got)
				}
			}
		}
	}
}

// TestBanWithholdsFromReaders checks the same for Subscribe and Retained.
func TestBanWithholdsFromReaders(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	put(t, h, "users/42", "secret")
	put(t, h, "news", "end")
	for _, from := range []From{{LastEventID: Earliest}, {Last: 5}} {
		s := Subscription{Selectors: topic.Everything(), From: from}
		retained, _, err := h.Retained(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		ban(t, h, time.Hour, "users/{id}")
		var got []string
		for e, err := range retained {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(e.Data))
		}
		for e, err := range h.Subscribe(t.Context(), s) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, string(e.Data)); string(e.Data) == "end" {
				break
			}
		}
		if !slices.Equal(got, []string{"end", "end"}) {
			t.Errorf("from %+v: %q", from, got)
		}
	}
}

// TestBanEnds checks that a ban ends the streams whose selectors it covers, and that
// Banned reports the same of new subscriptions.
func TestBanEnds(t *testing.T) {
	for _, tt := range []struct {
		ban, selectors []string
		covered        bool
	}{
		{[]string{"users/{id}"}, []string{"users/42"}, true},
		{[]string{"users/{id}"}, []string{"users/{name}"}, true},
		{[]string{"users/{id}"}, []string{"users/{id}", "users/7"}, true},
		{[]string{"users/{id}"}, []string{"users/42", "news"}, false},
		{[]string{"users/{id}"}, []string{"users/{+id}"}, false},
		{[]string{"users/{id}"}, []string{"{+x}"}, false},
		{[]string{"users/{id}"}, []string{"*"}, false},
		{[]string{"a", "b"}, []string{"a", "b"}, true},
		{[]string{"*"}, []string{"{+x}"}, true},
		{[]string{"*"}, []string{"*"}, true},
		{[]string{"{+x}"}, []string{"*"}, false},
		{[]string{"a"}, []string{"b"}, false},
	} {
		h, _ := newTestHub(t, eventlog.Retention{})
		st := openStream(t, h, From{}, tt.selectors...)
		next(t, st)
		ended := 0
		for _, s := range tt.ban { // one after the other
			ended += ban(t, h, time.Hour, s)
		}
		if (ended == 1) != tt.covered || h.Banned(mustSelect(t, tt.selectors...)) != tt.covered {
			t.Errorf("a ban of %q ends %d streams of %q", tt.ban, ended, tt.selectors)
		}
		if tt.covered {
			if _, err := nextWrite(t.Context(), st); !errors.Is(err, ErrRevoked) {
				t.Errorf("%q: %v", tt.selectors, err)
			}
		}
	}
}

// TestBanIsOver checks that no stream receives a withheld event out of order when the ban
// is over, and that a stream which resumes before the event then receives it.
func TestBanIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newTestHub(t, eventlog.Retention{})
		st := openStream(t, h, From{}, "*")
		next(t, st)
		before := put(t, h, "news", "1")
		next(t, st)
		ban(t, h, time.Minute, "users/{id}")
		ban(t, h, time.Hour, "other")
		put(t, h, "users/42", "2")
		put(t, h, "news", "3")
		during := openStream(t, h, From{LastEventID: before.String()}, "*")
		if got := dataUntil(t, during, "3"); len(got) != 1 { // the cache now holds a page without the event
			t.Errorf("while the ban lasts: %q", got)
		}
		synctest.Wait()
		late := openStream(t, h, From{LastEventID: before.String()}, "*", "x") // has read nothing when the ban ends
		time.Sleep(time.Minute)
		synctest.Wait()
		put(t, h, "other", "4")
		put(t, h, "users/42", "5")
		put(t, h, "news", "6")
		for why, tt := range map[string]struct {
			st   *Stream
			want string
		}{
			"open all the time": {st, "3 5 6"},
			"resumed during it": {during, "5 6"},
			"not there yet":     {late, "2 3 5 6"},
			"resumed after it":  {openStream(t, h, From{LastEventID: before.String()}, "*"), "2 3 5 6"},
			"the newest":        {openStream(t, h, From{Last: 10}, "*"), "1 2 3 5 6"},
		} {
			if got := strings.Join(dataUntil(t, tt.st, "6"), " "); got != tt.want && (tt.st != st || got != "2 "+tt.want) {
				t.Errorf("%s: %q, want %q", why, got, tt.want)
			}
		}
		ban(t, h, 0, "other") // lifts it
		if h.Banned(mustSelect(t, "other")) {
			t.Error("a ban for no time lasts")
		}
	})
}

// TestBanInMidEvent checks that a stream in the middle of an event continues with it when
// bans begin and end, unless that event is banned. Then the stream ends, and its client
// discards the part.
func TestBanInMidEvent(t *testing.T) {
	for _, fromLog := range []bool{false, true} {
		for _, cut := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) { banInMidEvent(t, fromLog, cut) })
		}
	}
}

func banInMidEvent(t *testing.T, fromLog, cut bool) {
	h, _ := newTestHub(t, eventlog.Retention{})
	large := strings.Repeat("0123456789", takeSize) + "end"
	ban(t, h, time.Minute, "a")
	var st *Stream
	if !fromLog {
		st = openStream(t, h, From{}, "*")
		next(t, st)
	}
	for range pace.MaxLooks + 10 { // more than a page
		put(t, h, "a", "withheld")
	}
	put(t, h, "b", large)
	synctest.Wait()
	if fromLog {
		st = openStream(t, h, From{LastEventID: Earliest}, "*")
		next(t, st)
	}
	got := next(t, st)
	if !st.cursor.Within() {
		t.Fatalf("it was not taken in parts: %.100q", got)
	}
	if cut {
		ban(t, h, time.Minute, "b")
		if b, err := nextWrite(t.Context(), st); !errors.Is(err, ErrEventDeleted) {
			t.Errorf("from log %v: after a ban of the event that is being sent: %.20q, %v", fromLog, b, err)
		}
		return
	}
	time.Sleep(2 * time.Minute) // the ban is over
	for !strings.Contains(got, large+"\n\n") {
		got += next(t, st)
	}
}

// TestBansComeAndGo begins and ends bans while events are published. Streams receive
// events that are never banned once each and in order, and none of a topic while it is
// banned.
func TestBansComeAndGo(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	const events = 2000
	var wg sync.WaitGroup
	for i, s := range [][]string{{"*"}, {"{x}"}, {"open", "shut"}, {"{+x}", "y"}} {
		st := openStream(t, h, From{}, s...)
		wg.Go(func() {
			last, opened := -1, 0
			for e, err := range decode(t.Context(), st) {
				if err != nil {
					t.Errorf("%q: %v", s, err)
					return
				}
				var n int
				var topic string
				if _, err := fmt.Sscan(e.Data, &n, &topic); err != nil || n <= last || topic == "never" {
					t.Errorf("%q: %q after %d, %v", s, e.Data, last, err)
					return
				}
				last = n
				if topic == "open" {
					opened++
				}
				if n == events {
					break
				}
				if i == 3 && n%100 == 0 { // stream 3 lags
					time.Sleep(time.Millisecond)
				}
			}
			if opened != events/2 {
				t.Errorf("%q: %d events of the topic that was never banned, want %d", s, opened, events/2)
			}
		})
	}
	ban(t, h, time.Hour, "never")
	for n := range events {
		topic := "open"
		if n%2 == 1 {
			topic = []string{"shut", "never"}[rand.N(2)]
		}
		put(t, h, topic, fmt.Sprint(n, " ", topic))
		if n%50 == 0 {
			ban(t, h, time.Duration(rand.N(2))*time.Hour, "shut")
		}
	}
	put(t, h, "end", fmt.Sprint(events, " end"))
	put(t, h, "shut", fmt.Sprint(events, " shut"))
	ban(t, h, 0, "shut")
	put(t, h, "shut", fmt.Sprint(events, " shut"))
	wg.Wait()
}

func TestBansAreBounded(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	refused := func(why, selector string) {
		t.Helper()
		if _, err := h.Ban(mustSelect(t, selector), time.Hour); !errors.Is(err, ErrTooManyBans) {
			t.Errorf("%s: %v", why, err)
		}
	}
	for i := range maxBannedTemplates {
		ban(t, h, time.Hour, fmt.Sprint("t", i, "/{x}"))
	}
	refused("another template", "u/{x}")
	for i := range 200 { // of 1,000 bytes
		ban(t, h, time.Hour, fmt.Sprint(i, strings.Repeat("x", 4000)))
	}
	for i := 0; ; i++ {
		if _, err := h.Ban(mustSelect(t, fmt.Sprint("s", i, strings.Repeat("x", 4000))), time.Hour); err != nil {
			break
		}
		if i > maxBannedBytes/4000 {
			t.Fatal("their text is not bounded")
		}
	}
	ban(t, h, time.Minute, "t0/{x}") // which is banned already
	ban(t, h, 0, "t0/{x}")
	ban(t, h, time.Hour, "u/{x}")
	if h.Banned(mustSelect(t, "t0/1")) || !h.Banned(mustSelect(t, "u/1")) {
		t.Error("a ban that was lifted is in the way")
	}
	other, _ := newTestHub(t, eventlog.Retention{})
	passes := 0
	for i := 0; passes <= maxBannedCost; i++ {
		sel := mustSelect(t, fmt.Sprintf("%d{a}/{b}/{c}/{d}/{e}", i))
		passes += sel.Cost()
		if _, err := other.Ban(sel, time.Hour); (err != nil) != (passes > maxBannedCost) {
			t.Errorf("templates that make %d passes in all: %v", passes, err)
		}
	}
}

// TestOutcomeOfABan checks that the list of streams says why a stream did not receive a
// withheld event.
func TestOutcomeOfABan(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	st := openStream(t, h, From{}, "*")
	next(t, st)
	put(t, h, "a", "1")
	next(t, st)
	outcome := func(data string) Outcome {
		id := put(t, h, "a", data)
		put(t, h, "b", "end")
		dataUntil(t, st, "end")
		e, err := h.Event(context.Background(), id.String())
		if err != nil {
			t.Fatal(err)
		}
		return one(t, h, StreamFilter{Event: e}).Outcome
	}
	if got := outcome("2"); got != Delivered {
		t.Errorf("before: %s", got)
	}
	ban(t, h, time.Hour, "a")
	if got := outcome("3"); got != Withheld {
		t.Errorf("withheld: %s", got)
	}
}

// TestBansDoNotHoldUpLiveDelivery bans templates that take long to try. The pump does not
// try them all; streams find the rest out as they read the log, and the next event to the
// topic is delivered live.
func TestBansDoNotHoldUpLiveDelivery(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	var slow []string
	for i := range 30 {
		slow = append(slow, fmt.Sprintf("t{+a}%c{+b}%c{+c}x{+d}!", 'a'+i/6, 'a'+i%6))
	}
	open, shut := "topen"+strings.Repeat("ab", 1500), "tshut"+strings.Repeat("ab", 1000)+"x!"
	streams := []*Stream{openStream(t, h, From{}, "*"), openStream(t, h, From{}, "t{+x}", "end"), openStream(t, h, From{}, open, "end")}
	for _, st := range streams {
		next(t, st)
	}
	ban(t, h, time.Hour, slow...)
	ban(t, h, time.Hour, "exact", "plain/{x}")
	for i, tt := range []struct {
		why    string
		topics []string
		late   uint64    // late matches counted
		come   [3]string // what the streams get
	}{
		{"a topic that is banned by its name", []string{"exact"}, 0, [3]string{}},
		{"one that an ordinary template bans", []string{"plain/" + strings.Repeat("x", 4000)}, 0, [3]string{}},
		{"one that takes long to find open", []string{open}, 1, [3]string{"x", "x", "x"}},
		{"one that takes long to find banned", []string{shut}, 1, [3]string{}},
		{"both, which have been tried", []string{shut, open}, 0, [3]string{"x", "x", "x"}},
		{"the first of them again", []string{open}, 0, [3]string{"x", "x", "x"}},
		{"the second again", []string{shut}, 0, [3]string{}},
		{"another that takes long, and one that is open", []string{shut + "/x!", "other"}, 1, [3]string{"x", "", ""}},
	} {
		for _, st := range streams {
			for st.Cursor().CatchingUp() { // otherwise it reads the log, whatever the pump does
				if b, err := st.Peek(); err != nil || len(b) > 0 {
					t.Fatalf("%q, %v", b, err)
				}
				runtime.Gosched()
			}
		}
		before := h.feeds.Totals().LateMatches.Load()
		putTopics(t, h, "x", tt.topics...)
		end := fmt.Sprint("end ", i)
		waitRouted(t, h, putTopics(t, h, end, "end"))
		if n := h.feeds.Totals().LateMatches.Load() - before; n != tt.late {
			t.Errorf("%s: the pump left %d for later, want %d", tt.why, n, tt.late)
		}
		for j, st := range streams {
			if got := strings.Join(dataUntil(t, st, end), ""); got != tt.come[j]+end {
				t.Errorf("%s: stream %d gets %q, want %q", tt.why, j, got, tt.come[j]+end)
			}
		}
		for deadline := time.Now().Add(10 * time.Second); h.feeds.Late() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a topic is not matched")
			}
		}
	}
}

// TestTemplatesCountBesideAll checks that a selector * does not hide templates from the
// limits: when its ban ends, those of the templates go on.
func TestTemplatesCountBesideAll(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	texts := []string{"*"}
	for i := range maxBannedTemplates + 1 {
		texts = append(texts, fmt.Sprintf("t/%d/{x}", i))
	}
	if _, err := h.Ban(mustSelect(t, texts...), time.Hour); err != ErrTooManyBans {
		t.Errorf("banning * and %d templates: %v", len(texts)-1, err)
	}
	ban(t, h, time.Hour, "*")
	if _, err := h.Ban(mustSelect(t, texts[1:]...), time.Hour); err != ErrTooManyBans {
		t.Errorf("banning %d templates beside *: %v", len(texts)-1, err)
	}
	ban(t, h, 0, "*")
	_, err := h.Stream(t.Context(), Subscription{Selectors: mustSelect(t, texts...)}, StreamOptions{Heartbeat: time.Minute})
	if invalid := (*topic.InvalidError)(nil); !errors.As(err, &invalid) {
		t.Errorf("subscribing to * and %d templates: %v", len(texts)-1, err)
	}
}
