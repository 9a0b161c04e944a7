package sse

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

func TestReadyState(t *testing.T) {
	srv := newScript(t, sends("data: a\n\n"))
	client := quick()
	var s *Source
	var got []string
	note := func(where string) { got = append(got, where+" "+s.ReadyState().String()) }
	client.Prepare = func(*http.Request) error { note("prepare"); return nil }
	client.OnOpen = func(*http.Response) { note("open") }
	client.OnError = func(error, time.Duration) { note("error") }
	s = client.Source(get(t, srv.URL))
	note("new")
	for _, err := range s.Events() {
		if err != nil {
			note("end")
			continue
		}
		note("event")
	}
	wantAll(t, "states", got, []string{
		"new connecting", "prepare connecting", "open open", "event open",
		"error connecting", "prepare connecting", "end closed",
	})
}

func TestSourceLastEventID(t *testing.T) {
	srv := newScript(t, stays("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\n\n: now\n"))
	client := quick()
	client.LastEventID = "0"
	s := client.Source(get(t, srv.URL))
	got := []string{s.LastEventID()}
	client.OnComment = func(string) {
		got = append(got, s.LastEventID())
		s.Close()
	}
	for range s.Events() {
		got = append(got, s.LastEventID()) // not yet that of the next event
	}
	wantAll(t, "last event IDs", got, []string{"0", "1", "2", "3"})
}

// A loop ends at once and without an error, whatever ends it and whatever it is doing.
func TestLoopEndsPromptly(t *testing.T) {
	refusing := newScript(t)
	refusing.Close()
	places := map[string]struct {
		step    http.HandlerFunc
		waiting func(*Client, func()) // makes the client call a function when the loop is there
	}{
		"connecting": {
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			func(c *Client, f func()) { c.Prepare = func(*http.Request) error { f(); return nil } },
		},
		"reading": {
			stays(": here\n"),
			func(c *Client, f func()) { c.OnComment = func(string) { f() } },
		},
		"waiting": {
			status(503),
			func(c *Client, f func()) { c.OnError = func(error, time.Duration) { f() } },
		},
	}
	for where, place := range places {
		for how, want := range map[string]error{"close": nil, "cancel": context.Canceled} {
			srv := newScript(t, place.step)
			ctx, cancel := context.WithCancel(t.Context())
			client := &Client{ReconnectionTime: time.Hour}
			s := client.Source(get(t, srv.URL).WithContext(ctx))
			var ended time.Time
			place.waiting(client, func() {
				time.AfterFunc(20*time.Millisecond, func() {
					ended = time.Now()
					if how == "close" {
						s.Close()
					} else {
						cancel()
					}
				})
			})
			got, err := collect(s.Events())
			took := time.Since(ended)
			if len(got) != 0 || !errors.Is(err, want) || s.ReadyState() != Closed {
				t.Errorf("%s while %s: %q, %v, %v", how, where, got, err, s.ReadyState())
			}
			if took > 100*time.Millisecond { // under 1 ms as a rule; the race detector and CI are slow
				t.Errorf("%s while %s took %v", how, where, took)
			}
			cancel()
		}
	}
}

func TestNoEventAfterClose(t *testing.T) {
	srv := newScript(t, stays("id: 1\ndata: a\n\nid: 2\ndata: b\n\n"))
	s := quick().Source(get(t, srv.URL))
	n := 0
	for range s.Events() {
		n++
		s.Close()
	}
	for range s.Events() {
		n++
	}
	if n != 1 || s.LastEventID() != "1" || s.ReadyState() != Closed {
		t.Errorf("%d events, last ID %q, %v", n, s.LastEventID(), s.ReadyState())
	}
}

func TestBreakAndResume(t *testing.T) {
	srv := newScript(t, stays("id: 1\ndata: a\n\nid: 2\ndata: b\n\n"), stays("id: 2\ndata: b\n\n"))
	s := quick().Source(get(t, srv.URL))
	var got []string
	for range 2 {
		for e := range s.Events() {
			got = append(got, e.Data)
			if s.ReadyState() != Open {
				t.Error("not open in the loop")
			}
			break
		}
		if s.ReadyState() != Closed {
			t.Error("not closed after the loop")
		}
	}
	wantAll(t, "events", got, []string{"a", "b"})
	wantAll(t, "Last-Event-ID", srv.headers("Last-Event-Id"), []string{"-", "1"})
}

func TestOneLoopAtATime(t *testing.T) {
	srv := newScript(t, stays("data: a\n\n"))
	s := quick().Source(get(t, srv.URL))
	for range s.Events() {
		if _, err := collect(s.Events()); err != errLooping {
			t.Errorf("a second loop: %v", err)
		}
		break
	}
}

func TestReconnect(t *testing.T) {
	srv := newScript(t, stays("id: 1\ndata: a\n\nid: 2\ndata: b\n\n"), status(503), stays("data: c\n\n"))
	client := &Client{ReconnectionTime: time.Hour}
	s := client.Source(get(t, srv.URL))
	client.OnError = func(err error, _ time.Duration) {
		if _, ok := errors.AsType[*StatusError](err); !ok {
			t.Errorf("%v: Reconnect must not be reported as an error", err)
		}
		s.Reconnect() // ends the wait
	}
	var got []string
	for e, err := range s.Events() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Data)
		if e.Data == "c" {
			break
		}
		s.Reconnect()
	}
	wantAll(t, "events", got, []string{"a", "c"})
	wantAll(t, "Last-Event-ID", srv.headers("Last-Event-Id"), []string{"-", "1", "1"})

	srv = newScript(t, stays("data: a\n\n"))
	s = quick().Source(request(t, "POST", srv.URL, nil))
	var last error
	for _, err := range s.Events() {
		last = err
		s.Reconnect()
	}
	if !errors.Is(last, errMethod) {
		t.Errorf("a POST: %v, want it not to be sent again", last)
	}
}

func TestHTTP2(t *testing.T) {
	protocols := make(chan int, 10)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols <- r.ProtoMajor
		if r.Header.Get("Last-Event-ID") == "" {
			sends("id: 1\ndata: a\n\n")(w, r)
			return
		}
		stays("data: b\n\n")(w, r)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	client := quick()
	client.HTTPClient = srv.Client()
	var got []string
	for e, err := range client.Events(get(t, srv.URL)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Data)
		if len(got) == 2 {
			break
		}
	}
	wantAll(t, "events", got, []string{"a", "b"})
	if first, second := <-protocols, <-protocols; first != 2 || second != 2 {
		t.Errorf("HTTP/%d and HTTP/%d", first, second)
	}
}

func TestManyLoopsShareAClient(t *testing.T) {
	client := quick()
	errs := make(chan error)
	for range 8 {
		srv := newScript(t, sends("id: 1\ndata: a\n\n"), breaks("data: b\n\n"))
		req := get(t, srv.URL)
		go func() {
			got, err := collect(client.Events(req))
			if !slices.Equal(got, []string{"a", "b"}) {
				err = io.ErrUnexpectedEOF
			}
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err != ErrNoContent {
			t.Error(err)
		}
	}
}
