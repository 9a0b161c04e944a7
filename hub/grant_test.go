package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

func mustSelect(t testing.TB, texts ...string) topic.Selectors {
	t.Helper()
	s, err := topic.Parse(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func putPrivate(t testing.TB, h *Hub, data string, topics ...string) eventlog.ID {
	t.Helper()
	results, err := h.Publish(t.Context(), eventlog.Record{Topics: topics, Data: []byte(data), Private: true})
	if err != nil {
		t.Fatal(err)
	}
	return results[0].ID
}

func openGranted(t testing.TB, h *Hub, from From, selector string, envelope Envelope, grant ...string) *Stream {
	t.Helper()
	sub := Subscription{Selectors: mustSelect(t, selector), Grant: mustSelect(t, grant...), From: from}
	st, err := h.Stream(t.Context(), sub, StreamOptions{Retry: time.Second, Heartbeat: time.Minute, Envelope: envelope})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	return st
}

// dataUntil reads a stream up to the event with the given data, and returns the data of
// all.
func dataUntil(t testing.TB, st *Stream, last string) (all []string) {
	t.Helper()
	for e, err := range decode(t.Context(), st) {
		if err != nil {
			t.Fatalf("after %q: %v", all, err)
		}
		if all = append(all, e.Data); strings.Contains(e.Data, last) {
			return all
		}
	}
	return all
}

// TestPrivateEventsShareAFeed checks that streams with different grants share a feed,
// live and from the log, and that a grant may name another topic of an event than the
// selector does.
func TestPrivateEventsShareAFeed(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	fill := func() {
		putPrivate(t, h, "room", "room")
		putPrivate(t, h, "for 1", "room", "users/1")
		putPrivate(t, h, "for 2", "room", "users/2")
		put(t, h, "room", "all")
	}
	readers := []struct {
		grant []string
		want  []string
	}{
		{nil, []string{"all"}},
		{[]string{"elsewhere"}, []string{"all"}},
		{[]string{"users/1"}, []string{"for 1", "all"}},
		{[]string{"users/{id}"}, []string{"for 1", "for 2", "all"}},
		{[]string{"room"}, []string{"room", "for 1", "for 2", "all"}},
		{[]string{"*"}, []string{"room", "for 1", "for 2", "all"}},
	}
	fill()
	for _, from := range []From{{LastEventID: Earliest}, {Last: 10}, {}} {
		var streams []*Stream
		for _, r := range readers {
			streams = append(streams, openGranted(t, h, from, "room", Bare, r.grant...))
		}
		if n := h.feeds.Totals().Feeds(); n != 1 {
			t.Errorf("%d feeds, want one", n)
		}
		if from == (From{}) {
			for _, st := range streams { // each stream has caught up, so what comes is live
				if _, err := nextWrite(t.Context(), st); err != nil {
					t.Fatal(err)
				}
			}
			fill()
		}
		for i, r := range readers {
			if got := dataUntil(t, streams[i], "all"); !slices.Equal(got, r.want) {
				t.Errorf("%+v, grant %q: got %q, want %q", from, r.grant, got, r.want)
			}
			streams[i].Close()
		}
	}
	idle(t, h)
}

// TestEnvelopeHidesTopics checks that an envelope lists only the granted topics.
func TestEnvelopeHidesTopics(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	fill := func() {
		putPrivate(t, h, "secret", "room", "users/1", "users/2")
		put(t, h, "room", "end")
	}
	check := func(why string, st *Stream) {
		t.Helper()
		got := dataUntil(t, st, `"end"`)
		if len(got) != 2 || !strings.Contains(got[0], `"topics":["users/1"]`) || !strings.Contains(got[1], `"topics":["room"]`) {
			t.Errorf("%s: got %q", why, got)
		}
	}
	fill()
	check("from the log", openGranted(t, h, From{LastEventID: Earliest}, "*", InJSON, "users/1"))
	check("the newest", openGranted(t, h, From{Last: 5}, "room", InJSON, "users/1"))
	live := openGranted(t, h, From{}, "*", InJSON, "users/1")
	other := openGranted(t, h, From{}, "*", InJSON, "users/2")
	fill()
	check("live", live)
	if got := dataUntil(t, other, `"end"`); !strings.Contains(got[0], `"topics":["users/2"]`) {
		t.Errorf("the other's: got %q", got)
	}
	events, _, err := h.Retained(t.Context(), Subscription{Selectors: topic.Everything(), Grant: mustSelect(t, "users/1"), From: From{LastEventID: Earliest}})
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range events {
		if err != nil || e.Private && !slices.Equal(e.Topics, []string{"users/1"}) {
			t.Errorf("retained: %q, %v", e.Topics, err)
		}
	}
}

// TestManySecretsInARow checks that a stream passes private events that fill pages and
// windows, and receives what follows them.
func TestManySecretsInARow(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	blind := openGranted(t, h, From{}, "a", Bare)
	seeing := openGranted(t, h, From{}, "a", Bare, "a")
	for i := range 500 {
		putPrivate(t, h, fmt.Sprint(i, strings.Repeat("x", 5000)), "a")
	}
	put(t, h, "a", "end")
	for _, st := range []*Stream{blind, openGranted(t, h, From{LastEventID: Earliest}, "a", Bare)} {
		if got := dataUntil(t, st, "end"); len(got) != 1 {
			t.Errorf("got %d events, want the public one", len(got))
		}
	}
	if got := dataUntil(t, seeing, "end"); len(got) != 501 {
		t.Errorf("got %d events, want all", len(got))
	}
}

// TestExpiryByTheWallClock sets the system's clock while streams are open. Each ends when
// its token has expired by that clock, however much time has passed.
func TestExpiryByTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newTestHub(t, eventlog.Retention{})
		var ahead atomic.Int64
		h.clock.now = func() time.Time { return time.Now().Round(0).Add(time.Duration(ahead.Load())) }
		begun := time.Now()
		ended := map[time.Duration]time.Duration{} // by the time until the token expires
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, expires := range []time.Duration{10 * time.Minute, time.Hour, 3 * time.Hour} {
			st, err := h.Stream(t.Context(), Subscription{Selectors: topic.Everything()}, StreamOptions{Heartbeat: 24 * time.Hour, Expires: begun.Add(expires)})
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				defer st.Close()
				var err error
				for err == nil {
					_, err = nextWrite(t.Context(), st)
				}
				if !errors.Is(err, ErrExpired) {
					t.Errorf("the stream ends with %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				ended[expires] = time.Since(begun)
			})
		}
		time.Sleep(5 * time.Minute)
		ahead.Store(int64(-30 * time.Minute)) // back: tokens are valid for longer
		time.Sleep(10 * time.Minute)
		mu.Lock()
		if len(ended) != 0 {
			t.Errorf("%v have ended too early", ended)
		}
		mu.Unlock()
		ahead.Store(int64(50 * time.Minute)) // forward: two have expired
		wg.Wait()
		for expires, want := range map[time.Duration]time.Duration{
			10 * time.Minute: 15 * time.Minute,
			time.Hour:        15 * time.Minute,
			3 * time.Hour:    130 * time.Minute,
		} {
			if late := ended[expires] - want; late < 0 || late > 2*lookEvery {
				t.Errorf("a token for %v ended its stream after %v, want %v", expires, ended[expires], want)
			}
		}
	})
}

func TestStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newTestHub(t, eventlog.Retention{})
		open := func(expires time.Time) *Stream {
			st, err := h.Stream(t.Context(), Subscription{Selectors: topic.Everything()}, StreamOptions{Heartbeat: time.Hour, Expires: expires})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(st.Close)
			_, _ = nextWrite(t.Context(), st) // its beginning
			return st
		}
		begun := time.Now()
		st := open(begun.Add(time.Minute))
		if _, err := nextWrite(t.Context(), st); !errors.Is(err, ErrExpired) || time.Since(begun) != time.Minute {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		st = open(time.Now().Add(-time.Second))
		if _, err := nextWrite(t.Context(), st); !errors.Is(err, ErrExpired) {
			t.Errorf("one that has expired: %v", err)
		}
		st = open(time.Time{})
		go st.End(ErrKicked)
		if _, err := nextWrite(t.Context(), st); !errors.Is(err, ErrKicked) {
			t.Errorf("kicked: %v", err)
		}
		st.End(context.Canceled)
		if _, err := nextWrite(t.Context(), st); !errors.Is(err, ErrKicked) {
			t.Errorf("the first cause counts: %v", err)
		}
	})
}

// TestTopicsSeenOfSecrets publishes private events after a topic's last public one. A
// client without a grant learns of the topic only if that event is among the newest 1000.
func TestTopicsSeenOfSecrets(t *testing.T) {
	for _, tt := range []struct {
		secrets int // private events after the public one
		seen    bool
	}{{glimpse - 1, true}, {glimpse, false}, {2 * glimpse, false}} {
		h, _ := newTestHub(t, eventlog.Retention{})
		public := put(t, h, "a", "public")
		for range tt.secrets {
			putPrivate(t, h, "secret", "a")
		}
		for topic, err := range h.TopicsSeen(t.Context(), topic.Everything(), topic.Selectors{}) {
			if err != nil {
				t.Fatal(err)
			}
			if !tt.seen || topic.Last != public || topic.Events != 0 || topic.Bytes != 0 {
				t.Errorf("behind %d secrets: %+v is seen; its public event is at %v", tt.secrets, topic, public)
			}
			tt.seen = false
		}
		if tt.seen {
			t.Errorf("behind %d secrets the topic is not seen", tt.secrets)
		}
	}
}
