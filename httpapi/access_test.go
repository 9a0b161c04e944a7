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

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
)

func TestAccess(t *testing.T) {
	loopback := edge.Access{Loopback: true}
	listed := edge.Access{Origins: []string{"https://app.example"}}
	star := edge.Access{Origins: []string{"https://app.example", "*"}}
	for _, tt := range []struct {
		why          string
		access       edge.Access
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
		{"a page without origin, where they may", edge.Access{Origins: []string{"null"}}, "hub.example", "null", 200, "*", false},
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
		access := edge.Access{Loopback: true, Headers: []string{"X-Tenant"}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
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

// Invented headers fill neither the log nor the memory, and do not keep other refusals
// out of the log.
func TestRefusalsAreBounded(t *testing.T) {
	var log bytes.Buffer
	access := edge.Access{Origins: []string{"*"}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
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
	for _, tt := range []struct{ origin, says string }{ // "": valid
		{"https://app.example", ""}, {"http://localhost:5173", ""}, {"*", ""}, {"null", ""}, {"https://app.example:80", ""},
		{"https://xn--bcher-kva.example", ""}, {"https://192.0.2.7:8443", ""}, {"https://[2001:db8::1]", ""}, {"https://app.example.", ""},
		{"https://a--b.example", ""}, {"https://under_score.example", ""}, {"https://r3---sn-apo3qvuoxuxbt-j5pe.example", ""},
		{"chrome-extension://abcdefghijklmnop", ""}, {"capacitor://localhost", ""}, {"https://[::ffff:c000:207]", ""}, {"https://xn--fa-hia.example", ""},

		{"", "https://app.example"}, {"app.example", "https://app.example"}, {"https://", "https://app.example"}, {"https://a b", "https://app.example"},
		{"https://user@app.example", "alone"}, {"//app.example", "https://app.example"},
		{"https://*.example.com", "list each origin"}, {"https://*", "list each origin"}, {"*.example.com", "list each origin"}, {"https://app.example:*", "list each origin"},
		{"https://app.example/", "as https://app.example;"}, {"https://app.example/page?q#f", "as https://app.example;"},
		{"https://App.example", "as https://app.example;"}, {"HTTPS://app.example", "as https://app.example;"},
		{"https://app.example:443", "as https://app.example;"}, {"http://app.example:80", "as http://app.example;"}, {"https://app.example:", "as https://app.example;"},
		{"https://app.example:08443", "as https://app.example:8443;"}, {"https://app.example:0", "port"}, {"https://app.example:65536", "port"},
		{"https://bücher.example", "as https://xn--bcher-kva.example;"}, {"https://b%C3%BCcher.example", "as https://xn--bcher-kva.example;"},
		{"https://BÜCHER.example:443", "as https://xn--bcher-kva.example;"}, {"https://例え.テスト", "as https://xn--r8jz45g.xn--zckzah;"}, {"https://faß.example", "as https://xn--fa-hia.example;"},
		{"https://ａｐｐ。example", "as https://app.example;"}, {"https://xn--a.example", "no host name"}, {"https://a|b.example", "scheme, host and port alone"},
		{"https://[2001:DB8:0:0::1]", "as https://[2001:db8::1];"}, {"https://[::ffff:192.0.2.7]", "as https://[::ffff:c000:207];"}, {"https://[fe80::1%25eth0]", "no IPv6"},
		{"https://127.1", "four numbers"}, {"https://0x7f.1", "four numbers"}, {"https://192.0.2.7.", "as https://192.0.2.7;"}, {"https://999.0.2.7", "four numbers"},
	} {
		err := edge.CheckOrigin(tt.origin)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("CheckOrigin(%q) = %v; want %q", tt.origin, err, tt.says)
		}
	}
}

// deadlines counts how often a handler sets a read deadline for its request's body.
type deadlines struct {
	*httptest.ResponseRecorder
	set int
}

func (d *deadlines) SetReadDeadline(time.Time) error { d.set++; return nil }

// Each body gets one deadline, because it may never come, whether Access, the CORS library
// or the API answers.
func TestBodiesAreBounded(t *testing.T) {
	log := eventlog.NewMemory(eventlog.Retention{})
	defer log.Close()
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	api := httpapi.New(edge.New(h, edge.Options{}), httpapi.Options{})
	defer api.Close()
	quiet := slog.New(slog.DiscardHandler)
	const trusted, foreign = "https://app.example", "https://elsewhere.example"
	for _, tt := range []struct {
		why            string
		access         edge.Access
		method, origin string
		status         int
	}{
		{"a preflight, with credentials", edge.Access{Origins: []string{trusted}}, "OPTIONS", trusted, 204},
		{"a preflight, without", edge.Access{Origins: []string{"*"}}, "OPTIONS", foreign, 204},
		{"a foreign origin", edge.Access{}, "POST", foreign, 403},
		{"a foreign host", edge.Access{Loopback: true}, "POST", "", 403},
		{"a publish", edge.Access{}, "POST", "", 201},
		{"a publish of a page", edge.Access{Origins: []string{trusted}}, "POST", trusted, 201},
	} {
		tt.access.Logger = quiet
		r := httptest.NewRequest(tt.method, "http://hub.example/events/a", strings.NewReader("hello"))
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
			r.Header.Set("Access-Control-Request-Method", "POST")
		}
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		edge.Bound(tt.access.Wrap(api), time.Minute).ServeHTTP(w, r)
		if w.Code != tt.status || w.set != 1 {
			t.Errorf("%s: %d, and the body is bounded %d times; want %d, and once", tt.why, w.Code, w.set, tt.status)
		}
	}
}
