package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestCrossOrigin checks which origins may read a hub, with and without
// credentials. The browser decides by the headers of the hub's answer.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	site := startSite(t)
	allowed, foreign := site.origin(allowedName), site.origin(foreignName)
	for _, c := range []struct {
		why             string
		args            []string
		origin          string
		withCredentials bool
		opens           bool
	}{
		{"a hub without keys allows any loopback origin", nil, site.origin("127.0.0.1"), false, true},
		{"also with credentials", nil, site.origin("127.0.0.1"), true, true},
		{"localhost is a loopback name", nil, site.origin("localhost"), true, true},
		{"it refuses other names, even if they resolve to this machine", nil, foreign, false, false},
		{"it refuses them with credentials, too", nil, foreign, true, false},
		{"--cors-origin allows an origin", []string{"--cors-origin", allowed}, allowed, false, true},
		{"--cors-origin allows it with credentials", []string{"--cors-origin", allowed}, allowed, true, true},
		{"--cors-origin allows no other origin", []string{"--cors-origin", allowed}, foreign, false, false},
		{"* allows all origins", []string{"--cors-origin", "*"}, foreign, false, true},
		{"* never allows credentials", []string{"--cors-origin", "*"}, foreign, true, false},
		{"an origin listed beside * may send credentials", []string{"--cors-origin", "*", "--cors-origin", allowed}, allowed, true, true},
		{"--no-auth alone allows no other origin", []string{"--no-auth"}, foreign, false, false},
	} {
		t.Run(c.why, func(t *testing.T) {
			h := startHub(t, c.args...)
			page := openTab(t, c.origin+"/")
			s := page.connect(h.url("/events/news"), connection{withCredentials: c.withCredentials})
			if !c.opens {
				s.expect("onerror", closed)
				return
			}
			s.expect("onopen", open)
			id := h.publish("news", "hello")
			if r := s.expect("onmessage", open); r.ID != id || r.Origin != "http://"+h.addr {
				t.Errorf("event %s: got %+v", id, r)
			}
		})
	}
}

func TestRefusedOriginIsLogged(t *testing.T) {
	t.Parallel()
	site := startSite(t)
	h := startHub(t, "--cors-origin", site.origin(allowedName))
	page := openTab(t, site.origin(foreignName)+"/")
	page.connect(h.url("/events/news"), connection{}).expect("onerror", closed)
	h.hasLogged("--cors-origin " + site.origin(foreignName))
}

// The browser sends cookies only with withCredentials. Cookies ignore ports, and
// both hosts are 127.0.0.1, so the cookie is not a third-party cookie.
func TestWithCredentialsSendsCookies(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	p := startProxy(t, h.addr)
	page := openRecorder(t)
	js[string](page, `document.cookie = "visitor=7; path=/"`)
	for _, c := range []struct {
		path            string
		withCredentials bool
		cookie          string
	}{
		{"/events/without", false, ""},
		{"/events/with", true, "visitor=7"},
	} {
		page.connect(p.url(c.path), connection{withCredentials: c.withCredentials}).expect("onopen", open)
		found := false
		for _, r := range p.seen() {
			if r.URL.Path != c.path {
				continue
			}
			found = true
			if got := r.Header.Get("Cookie"); got != c.cookie {
				t.Errorf("%s: Cookie is %q, want %q", c.path, got, c.cookie)
			}
			if got := r.Header.Get("Origin"); got == "" {
				t.Errorf("%s: no Origin header: the request was not cross-origin", c.path)
			}
		}
		if !found {
			t.Errorf("%s: the request was not seen", c.path)
		}
	}
}

// The browser sends a publisher's id back unchanged in Last-Event-ID, also to
// another origin. A later Fetch standard may want a preflight for an id that is long
// or has unsafe bytes (whatwg/fetch#568); Chromium sends none for an EventSource.
func TestPublisherIDsComeBack(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	p := startProxy(t, h.addr)
	page := openRecorder(t)
	s := page.connect(p.url("/events/news"), connection{})
	s.expect("onopen", open)
	for _, id := range []string{"safe", `<un"safe>`, strings.Repeat("a", 255)} {
		h.publish("news", "before", "id", id)
		if r := s.nextEvent(); r.ID != id {
			t.Fatalf("want id %q, got %+v", id, r)
		}
		before := len(p.seen())
		p.refuse()
		p.cut(false)
		s.expect("onerror", connecting)
		want := h.publish("news", "after")
		p.accept()
		if r := s.nextEvent(); r.ID != want {
			t.Fatalf("after id %q: want event %s, got %+v", id, want, r)
		}
		for _, r := range p.seen()[before:] {
			if got := r.Header.Get("Last-Event-ID"); r.Method == http.MethodGet && got != id {
				t.Errorf("Last-Event-ID is %q, want %q", got, id)
			}
		}
	}
}

// A client built on fetch sets request headers of its own, for which the browser
// sends a preflight first.
func TestFetchPassesPreflight(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	p := startProxy(t, h.addr)
	page := openRecorder(t)
	status := js[int](page, `fetch($1, {
		headers: { Accept: "text/event-stream", "Last-Event-ID": "<x>", "Cache-Control": "no-cache", Authorization: "Bearer x" },
		credentials: "include",
	}).then((response) => response.status)`, p.url("/events/news"))
	if status != http.StatusOK {
		t.Errorf("fetch was answered with %d", status)
	}
	requests := p.seen()
	if len(requests) != 2 || requests[0].Method != http.MethodOptions {
		t.Fatalf("%d requests, the first is %s; want a preflight and the request", len(requests), requests[0].Method)
	}
	if asked := requests[0].Header.Get("Access-Control-Request-Headers"); !strings.Contains(asked, "last-event-id") {
		t.Errorf("the preflight asks for %q", asked)
	}
}
