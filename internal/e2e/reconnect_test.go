package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/sse"
)

// A stream cut before its first event resumes where it began, because its first
// block gave the browser that position.
func TestCutBeforeFirstEvent(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.publishNumbers("quiet", 1, 3) // history that the page does not ask for
	p := startProxy(t, h.addr)
	page := openRecorder(t)
	s := page.connect(p.url("/events/quiet"), connection{types: []string{"gap"}})
	s.expect("onopen", open)
	position := openRaw(t, h.url("/events/quiet")).next(t, "id")["id"]
	eventually(t, "the position to pass the proxy", func() (bool, string) {
		return strings.Contains(p.returned(), "id: "+position+"\ndata: {}\n\n"), p.returned()
	})

	p.refuse()
	p.cut(false)
	s.expect("onerror", connecting)
	ids := h.publishNumbers("quiet", 4, 6)
	for range 2 { // attempts that are refused
		s.expect("onerror", connecting)
	}
	p.accept()
	s.expectNumbers(4, ids)
	s.expectNumbers(7, h.publishNumbers("quiet", 7, 7))

	requests := p.seen()
	if got := requests[0].Header.Values("Last-Event-ID"); got != nil {
		t.Errorf("the first request has Last-Event-ID %q", got)
	}
	if got := requests[1].Header.Get("Last-Event-ID"); len(requests) != 2 || got != position {
		t.Errorf("%d requests, the second resumes after %q; want 2 and %q", len(requests), got, position)
	}
}

// On a quiet topic, heartbeats advance the browser's position, so that retention
// does not pass it.
func TestHeartbeatAdvancesPosition(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--heartbeat", "1s")
	p := startProxy(t, h.addr)
	page := openRecorder(t)
	s := page.connect(p.url("/events/quiet"), connection{})
	s.expect("onopen", open)
	position := h.publish("busy", "not for this page")
	eventually(t, "a heartbeat with the position", func() (bool, string) {
		return strings.Contains(p.returned(), "id: "+position+"\ndata: {}\n\n"), p.returned()
	})
	p.cut(false)
	s.expect("onerror", connecting)
	s.expect("onopen", open) // without an event in between
	if got := p.seen()[1].Header.Get("Last-Event-ID"); got != position {
		t.Errorf("the browser resumes after %q, want %q", got, position)
	}
}

// While events are published, connections are closed, reset, refused and torn within
// events; the browser gets every event once and in order.
func TestCutsWhilePublishing(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--retry", "100ms")
	p := startProxy(t, h.addr)
	page := openRecorder(t)
	s := page.connect(p.url("/events/numbers"), connection{types: []string{"gap"}})
	s.expect("onopen", open)

	const last = 600
	at := map[int]func(){
		50:  func() { p.cut(false) },
		51:  func() { p.cut(false) }, // most likely before the browser has reconnected
		120: func() { p.cut(true) },
		200: func() { p.refuse(); p.cut(false) },
		280: func() { p.accept() },
		// These end within the first blocks and within events; the browser must
		// drop a partial event.
		320: func() { p.tear(9); p.cut(false) },
		350: func() { p.tear(33); p.cut(true) },
		380: func() { p.tear(777); p.cut(false) },
		420: func() { p.tear(1234); p.cut(false) },
		500: func() { p.cut(true) },
	}
	published := make(chan string, last)
	go func() {
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for n := 1; n <= last && !t.Failed(); n++ {
			published <- h.publish("numbers", fmt.Sprint(n))
			if act := at[n]; act != nil {
				act()
			}
			<-pace.C
		}
		close(published)
	}()
	received := []string{""}
	for id := range published {
		n := len(received)
		if r := s.nextEvent(); r.Data != fmt.Sprint(n) || r.ID != id {
			t.Fatalf("want event %d with id %s, got %+v", n, id, r)
		}
		received = append(received, id)
	}
	if len(received) != last+1 {
		t.Fatalf("%d events were published, want %d", len(received)-1, last)
	}

	requests := p.seen()
	if len(requests) < 6 {
		t.Errorf("%d requests, want 6 or more: the cuts did not work", len(requests))
	}
	for i, r := range requests[1:] {
		if got := r.Header.Get("Last-Event-ID"); got == "" {
			t.Errorf("reconnection %d has no Last-Event-ID", i+1)
		}
	}
}

func TestRetryIsObeyed(t *testing.T) {
	t.Parallel()
	const retry = 1500 * time.Millisecond
	h := startHub(t, "--retry", retry.String())
	p := startProxy(t, h.addr)
	page := openRecorder(t)
	s := page.connect(p.url("/events/x"), connection{})
	s.expect("onopen", open)
	h.publish("x", "after the retry line")
	s.nextEvent()
	cut := time.Now()
	p.cut(false)
	s.expect("onerror", connecting)
	s.expect("onopen", open)
	// With its default, Chromium would reconnect after 3 s.
	if d := p.seen()[1].at.Sub(cut); d < retry-50*time.Millisecond || d > retry+time.Second {
		t.Errorf("the browser reconnected %s after the cut; retry is %s", d, retry)
	}
}

func TestCloseIsForGood(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--retry", "100ms")
	p := startProxy(t, h.addr)
	page := openRecorder(t)
	stopped := page.connect(p.url("/events/x?of=stopped"), connection{})
	other := page.connect(p.url("/events/x?of=other"), connection{})
	stopped.expect("onopen", open)
	other.expect("onopen", open)
	h.publish("x", "1")
	stopped.nextEvent()
	other.nextEvent()

	stopped.close()
	eventually(t, "the browser to hang up", func() (bool, string) {
		return p.open() == 1, fmt.Sprint(p.open(), " connections")
	})
	// The other source reconnects and gets events meanwhile, so the closed one could
	// have, too.
	for n := range 5 {
		p.cut(false)
		id := h.publish("x", fmt.Sprint(n))
		if r := other.nextEvent(); r.ID != id {
			t.Fatalf("want %s, got %+v", id, r)
		}
	}
	var of []string
	for _, r := range p.seen() {
		of = append(of, r.URL.Query().Get("of"))
	}
	slices.Sort(of)
	if want := []string{"other", "other", "other", "other", "other", "other", "stopped"}; !slices.Equal(of, want) {
		t.Errorf("requests: %q, want %q", of, want)
	}
	select {
	case r := <-stopped.reports:
		t.Errorf("a closed source reported %+v", r)
	default:
	}
	if stopped.state() != closed {
		t.Errorf("readyState is %d", stopped.state())
	}
}

// A 204 makes an EventSource stop reconnecting (WHATWG HTML §9.2.3).
func TestNoContentStopsBrowser(t *testing.T) {
	t.Parallel()
	site := startSite(t)
	requests := make(chan string, 100)
	site.HandleFunc("/never", func(w http.ResponseWriter, _ *http.Request) {
		requests <- "never"
		sse.Stop(w)
	})
	site.HandleFunc("/once", func(w http.ResponseWriter, r *http.Request) {
		requests <- "once from " + r.Header.Get("Last-Event-ID")
		if r.Header.Get("Last-Event-ID") != "" {
			sse.Stop(w)
			return
		}
		s, err := sse.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		_ = s.SetReconnectionTime(50 * time.Millisecond)
		_ = s.Send(sse.Event{Data: "all there is", ID: "1"})
		_ = s.Close()
	})
	page := openTab(t, site.origin("127.0.0.1")+"/")

	never := page.connect(site.origin("127.0.0.1")+"/never", connection{})
	never.expect("onerror", closed)

	once := page.connect(site.origin("127.0.0.1")+"/once", connection{})
	once.expect("onopen", open)
	once.expectEvent("onmessage", "message", "all there is", "1")
	once.expect("onerror", connecting)
	once.expect("onerror", closed)

	// The browser requests a stream that only ends again and again. In the time of
	// five such requests, the sources above would have reconnected, too.
	site.HandleFunc("/again", func(w http.ResponseWriter, r *http.Request) {
		s, err := sse.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		_ = s.SetReconnectionTime(50 * time.Millisecond)
		_ = s.Close()
	})
	again := page.connect(site.origin("127.0.0.1")+"/again", connection{})
	for range 5 {
		again.expect("onopen", open)
		again.expect("onerror", connecting)
	}
	again.close()
	close(requests)
	var got []string
	for r := range requests {
		got = append(got, r)
	}
	if want := []string{"never", "once from ", "once from 1"}; !slices.Equal(got, want) {
		t.Errorf("requests: %q, want %q", got, want)
	}
}
