package httpapi_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
)

func TestAccess(t *testing.T) {
	loopback := httpapi.Access{Loopback: true}
	listed := httpapi.Access{Origins: []string{"https://app.example"}}
	star := httpapi.Access{Origins: []string{"https://app.example", "*"}}
	for _, tt := range []struct {
		why          string
		access       httpapi.Access
		host, origin string
		status       int
		allowOrigin  string
		credentials  bool
	}{
		{"curl on this machine", loopback, "localhost:3000", "", 200, "", false},
		{"by IPv4", loopback, "127.0.0.1:3000", "", 200, "", false},
		{"by another loopback address", loopback, "127.9.9.9", "", 200, "", false},
		{"by IPv6", loopback, "[::1]:3000", "", 200, "", false},
		{"by a name below localhost", loopback, "hub.localhost:3000", "", 200, "", false},
		{"a rebound name", loopback, "evil.example:3000", "", 403, "", false},
		{"a name that begins like localhost", loopback, "localhost.evil.example", "", 403, "", false},
		{"a name that ends like it", loopback, "evillocalhost", "", 403, "", false},
		{"this machine by another address", loopback, "192.0.2.7:3000", "", 403, "", false},
		{"no host", loopback, "", "", 403, "", false},
		{"a page of this machine, any port", loopback, "localhost:3000", "http://localhost:5173", 200, "http://localhost:5173", true},
		{"by IPv6", loopback, "localhost:3000", "http://[::1]:8080", 200, "http://[::1]:8080", true},
		{"a foreign page", loopback, "localhost:3000", "https://evil.example", 403, "", false},
		{"a page without origin, where they may", httpapi.Access{Origins: []string{"null"}}, "hub.example", "null", 200, "*", false},
		{"the origin *, which no page has", star, "hub.example", "*", 200, "*", false},
		{"a sandboxed or file page", loopback, "localhost:3000", "null", 403, "", false},
		{"a foreign page under a rebound name", loopback, "evil.example:3000", "http://evil.example:3000", 403, "", false},
		{"an origin that only begins right", loopback, "localhost:3000", "http://localhost.evil.example", 403, "", false},
		{"a listed page", listed, "hub.example", "https://app.example", 200, "https://app.example", true},
		{"another scheme", listed, "hub.example", "http://app.example", 403, "", false},
		{"another port", listed, "hub.example", "https://app.example:444", 403, "", false},
		{"a name below", listed, "hub.example", "https://x.app.example", 403, "", false},
		{"a page of this machine", listed, "hub.example", "http://localhost:5173", 403, "", false},
		{"the hub's own pages", listed, "hub.example", "https://hub.example", 200, "https://hub.example", true},
		{"anybody's page, without credentials", star, "hub.example", "https://other.example", 200, "*", false},
		{"a listed one with them, all the same", star, "hub.example", "https://app.example", 200, "https://app.example", true},
	} {
		var log bytes.Buffer
		tt.access.Logger = slog.New(slog.NewTextHandler(&log, nil))
		handler := tt.access.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "in") }))
		r := httptest.NewRequest("GET", "/events/a", nil)
		r.Host = tt.host
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		for range 3 {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			h := w.Header()
			if w.Code != tt.status || (w.Body.String() == "in") != (tt.status == 200) {
				t.Errorf("%s: status %d, %s; want %d", tt.why, w.Code, w.Body, tt.status)
			}
			if got := h.Get("Access-Control-Allow-Origin"); got != tt.allowOrigin {
				t.Errorf("%s: Access-Control-Allow-Origin %q; want %q", tt.why, got, tt.allowOrigin)
			}
			if got := h.Get("Access-Control-Allow-Credentials"); (got == "true") != tt.credentials {
				t.Errorf("%s: Access-Control-Allow-Credentials %q; want %v", tt.why, got, tt.credentials)
			}
		}
		flag := "--cors-origin " + tt.origin
		if tt.origin == "" || strings.Contains(tt.why, "rebound") {
			flag = "--no-auth"
		}
		if n := strings.Count(log.String(), flag); (n == 1) != (tt.status == 403) {
			t.Errorf("%s: the log names the flag %d times: %s", tt.why, n, log.String())
		}
	}
}

func TestPreflight(t *testing.T) {
	const origin = "http://localhost:5173"
	for _, tt := range []struct {
		why, method, headers string
		refused              string // "": none
	}{
		{"a polyfill that resumes", "GET", "last-event-id", ""},
		{"an older one", "GET", "cache-control,last-event-id", ""},
		{"a publisher", "POST", "content-type,idempotency-key", ""},
		{"with a token", "GET", "authorization", ""},
		{"a cache", "GET", "if-none-match", ""},
		{"Datastar's @get", "GET", "datastar-request", ""},
		{"in its versions up to 1.0.0-RC", "GET", "content-type,datastar-request", ""},
		{"that resumes", "GET", "content-type,datastar-request,last-event-id", ""},
		{"OpenTelemetry", "GET", "baggage,traceparent,tracestate", ""},
		{"Sentry", "GET", "baggage,sentry-trace,traceparent", ""},
		{"older libraries", "GET", "x-requested-with", ""},
		{"a header that the operator allows", "GET", "content-type,x-tenant", ""},
		{"one that nobody allows", "GET", "last-event-id,x-custom", "x-custom"},
	} {
		var log bytes.Buffer
		access := httpapi.Access{Loopback: true, Headers: []string{"X-Tenant"}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		handler := access.Wrap(http.NotFoundHandler())
		for range 3 {
			r := httptest.NewRequest("OPTIONS", "/events/a", nil)
			r.Host = "localhost:3000"
			r.Header.Set("Origin", origin)
			r.Header.Set("Access-Control-Request-Method", tt.method)
			r.Header.Set("Access-Control-Request-Headers", tt.headers)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			want := tt.headers
			if tt.refused != "" {
				want = ""
			}
			if h := w.Header(); w.Code/100 != 2 || h.Get("Access-Control-Allow-Headers") != want || (h.Get("Access-Control-Max-Age") == "") != (want == "") {
				t.Errorf("%s: %d %v", tt.why, w.Code, w.Header())
			}
		}
		if n := strings.Count(log.String(), "--cors-header "+tt.refused); tt.refused == "" && log.Len() > 0 || tt.refused != "" && n != 1 {
			t.Errorf("%s: the log says %s", tt.why, log.String())
		}
	}
}

// Whoever makes up headers neither fills the log nor the memory, and does not keep
// what others are refused out of the log.
func TestRefusalsAreBounded(t *testing.T) {
	var log bytes.Buffer
	access := httpapi.Access{Origins: []string{"*"}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	handler := access.Wrap(http.NotFoundHandler())
	refuse := func(name string) {
		r := httptest.NewRequest("OPTIONS", "/events/a", nil)
		r.Header.Set("Origin", "https://elsewhere.example")
		r.Header.Set("Access-Control-Request-Method", "GET")
		r.Header.Set("Access-Control-Request-Headers", name)
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	for n := range 2000 {
		refuse(fmt.Sprint("x-", n, strings.Repeat("y", 1000)))
	}
	if n := strings.Count(log.String(), "\n"); n > 500 || log.Len() > 500*1000 {
		t.Errorf("2000 refusals write %d lines, %d bytes", n, log.Len())
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), "--cors-header x-tenant"); {
		refuse("x-tenant")
		if time.Now().After(deadline) {
			t.Fatal("a header is refused, and the log does not say so")
		}
	}
}

func TestCheckOrigin(t *testing.T) {
	for origin, ok := range map[string]bool{
		"https://app.example": true, "http://localhost:5173": true, "*": true, "null": true,
		"": false, "app.example": false, "https://app.example/": false, "https://*.example": true, "https://": false, "https://a b": false,
		"https://App.example": false, "https://app.example:443": false, "http://app.example:80": false, "https://app.example:80": true,
	} {
		if err := httpapi.CheckOrigin(origin); (err == nil) != ok {
			t.Errorf("CheckOrigin(%q) = %v", origin, err)
		}
	}
}

// deadlines counts how often a handler bounds its request's body.
type deadlines struct {
	*httptest.ResponseRecorder
	set int
}

func (d *deadlines) SetReadDeadline(time.Time) error { d.set++; return nil }

// Whoever answers bounds the body, which may never come: Access what it, or the
// CORS library, answers itself, and the API the rest, once.
func TestBodiesAreBounded(t *testing.T) {
	log := eventlog.NewMemory(eventlog.Retention{})
	defer log.Close()
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	api := httpapi.New(h, httpapi.Options{})
	defer api.Close()
	quiet := slog.New(slog.DiscardHandler)
	const trusted, foreign = "https://app.example", "https://elsewhere.example"
	for _, tt := range []struct {
		why            string
		access         httpapi.Access
		method, origin string
		status         int
	}{
		{"a preflight, with credentials", httpapi.Access{Origins: []string{trusted}}, "OPTIONS", trusted, 204},
		{"a preflight, without", httpapi.Access{Origins: []string{"*"}}, "OPTIONS", foreign, 204},
		{"a foreign origin", httpapi.Access{}, "POST", foreign, 403},
		{"a foreign host", httpapi.Access{Loopback: true}, "POST", "", 403},
		{"a publish", httpapi.Access{}, "POST", "", 201},
		{"a publish of a page", httpapi.Access{Origins: []string{trusted}}, "POST", trusted, 201},
	} {
		tt.access.Logger = quiet
		r := httptest.NewRequest(tt.method, "http://hub.example/events/a", strings.NewReader("hello"))
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
			r.Header.Set("Access-Control-Request-Method", "POST")
		}
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		tt.access.Wrap(api).ServeHTTP(w, r)
		if w.Code != tt.status || w.set != 1 {
			t.Errorf("%s: %d, and the body is bounded %d times; want %d, and once", tt.why, w.Code, w.set, tt.status)
		}
	}
}
