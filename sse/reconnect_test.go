package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// answers is a server without a network, for tests that need fake time. It answers
// the n-th request with the n-th text, or fails if that is "-", and ends the loop
// with 204. It records when requests arrive.
type answers struct {
	texts []string
	asked []time.Time
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	n := len(a.asked)
	a.asked = append(a.asked, time.Now())
	resp := &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}
	if n >= len(a.texts) {
		return resp, nil
	}
	if a.texts[n] == "-" {
		return nil, errors.New("unreachable")
	}
	if code, after, ok := strings.Cut(a.texts[n], " Retry-After: "); ok {
		fmt.Sscan(code, &resp.StatusCode)
		resp.Header.Set("Retry-After", after)
		return resp, nil
	}
	resp.StatusCode = 200
	resp.Header.Set("Content-Type", MediaType)
	resp.Body = io.NopCloser(strings.NewReader(a.texts[n]))
	return resp, nil
}

// waits runs a loop over the answers and returns the time between requests. It
// checks that OnError announced the same times.
func waits(t *testing.T, client *Client, texts ...string) (list []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &answers{texts: texts}
		client.HTTPClient = &http.Client{Transport: a}
		var announced []time.Duration
		client.OnError = func(_ error, next time.Duration) { announced = append(announced, next) }
		for _, err := range client.Events(get(t, "http://example.com/")) {
			if err != nil && err != ErrNoContent {
				t.Error(err)
			}
		}
		for i := range a.asked[1:] {
			list = append(list, a.asked[i+1].Sub(a.asked[i]))
		}
		if !slices.Equal(list, announced) {
			t.Errorf("waited %v, announced %v", list, announced)
		}
	})
	return list
}

// After a connection that worked, the wait is exactly the reconnection time, as in
// Chromium.
func TestReconnectionTime(t *testing.T) {
	const event = "data: x\n\n"
	for _, tt := range []struct {
		why    string
		client Client
		texts  []string
		want   []time.Duration
	}{
		{"the default", Client{}, []string{event, event}, []time.Duration{3 * time.Second, 3 * time.Second}},
		{"the caller's", Client{ReconnectionTime: time.Second}, []string{event}, []time.Duration{time.Second}},
		{"none", Client{ReconnectionTime: -1}, []string{event}, []time.Duration{0}},
		{"the server's replaces it and lasts", Client{}, []string{"retry: 150\n" + event, event},
			[]time.Duration{150 * time.Millisecond, 150 * time.Millisecond}},
		{"a bogus one changes nothing", Client{}, []string{"retry: 150\nretry: +5\n" + event}, []time.Duration{150 * time.Millisecond}},
		{"it counts from the end of its line", Client{}, []string{event + "retry: 700\n"}, []time.Duration{700 * time.Millisecond}},
		{"a hostile one is limited to MaxBackoff", Client{}, []string{"retry: 9999999999999\n" + event}, []time.Duration{time.Minute}},
		{"of any size", Client{MaxBackoff: time.Second}, []string{"retry: 99999999999999999999999\n" + event}, []time.Duration{time.Second}},
		{"no wait at all would cause a flood", Client{}, []string{"retry: 0\n" + event, event}, []time.Duration{minRetry, minRetry}},
		{"so would almost none", Client{ReconnectionTime: time.Second}, []string{"retry: 1\n" + event}, []time.Duration{minRetry}},
		{"unless the caller wants it so", Client{ReconnectionTime: -1}, []string{"retry: 0\n" + event}, []time.Duration{0}},
		{"as far as the caller does", Client{ReconnectionTime: time.Millisecond}, []string{"retry: 0\n" + event, "retry: 2\n" + event},
			[]time.Duration{time.Millisecond, 2 * time.Millisecond}},
		{"the caller's own is not", Client{ReconnectionTime: time.Hour}, []string{event}, []time.Duration{time.Hour}},
	} {
		if got := waits(t, &tt.client, tt.texts...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.why, got, tt.want)
		}
	}
}

// The same over a socket: one event per connection, and no wait between them.
func TestRetryZeroIsNoFlood(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		sends("retry: 0\nid: 1\ndata: a\n\n")(w, r)
	}))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*minRetry)
	defer cancel()
	collect(new(Client).Events(get(t, srv.URL).WithContext(ctx)))
	if n := asked.Load(); n < 2 || n > 6 {
		t.Errorf("%d connections in %v, want one each %v", n, 5*minRetry, minRetry)
	}
}

// After n failures in a row, the wait is random, between the reconnection time and
// 2ⁿ times as much, or MaxBackoff.
func TestBackoff(t *testing.T) {
	for why, texts := range map[string][]string{
		"no connection":                     slices.Repeat([]string{"-"}, 12),
		"a server that closes at once":      slices.Repeat([]string{""}, 12),
		"with comments and ids alone":       slices.Repeat([]string{": hi\n\nid: 1\n\n"}, 12),
		"with positions alone":              slices.Repeat([]string{"event: position\ndata: {}\nid: 1\n\n"}, 12),
		"one that asks for no wait at that": slices.Repeat([]string{"retry: 0\n\n"}, 12),
	} {
		base, low := time.Second, false
		for n := range 6 {
			got := waits(t, &Client{ReconnectionTime: base, MaxBackoff: 30 * time.Second, Positions: n%2 == 0}, texts...)
			for i, wait := range got {
				least, double := base, base
				if strings.HasPrefix(texts[0], "retry") {
					least, double = minRetry, minRetry
				}
				most := min(double<<(i+1), 30*time.Second)
				if wait < least || wait > most {
					t.Errorf("%s: wait %d is %v, want %v to %v", why, i+1, wait, least, most)
				}
				low = low || wait < most/2
			}
			if sum := got[9] + got[10] + got[11]; sum < time.Second {
				t.Errorf("%s: the last three waits are only %v", why, sum)
			}
		}
		if !low {
			t.Errorf("%s: no wait was in its lower half, so there is no jitter", why)
		}
	}

	got := waits(t, &Client{ReconnectionTime: time.Millisecond}, "-", "-", "-", "-", "data: x\n\n", "-")
	if got[4] != time.Millisecond || got[5] > 200*time.Millisecond {
		t.Errorf("waits %v: a connection that worked must reset the count of failures", got)
	}
}

// A topic without events must not count as a broken server when a proxy cuts its
// connections.
func TestQuietStreamIsNoFailure(t *testing.T) {
	b := newBackoff(time.Second, 0)
	synctest.Test(t, func(t *testing.T) {
		s := (&Client{}).Source(get(t, "http://example.com/"))
		r, w := io.Pipe()
		go func() {
			time.Sleep(settled)
			w.Close()
		}()
		s.read(t.Context(), r, nil)
		b = s.backoff
	})
	if got := b.next(0); got != 3*time.Second {
		t.Errorf("waits %v after a quiet stream, want the reconnection time", got)
	}
}

func TestBackoffNeverOverflows(t *testing.T) {
	for _, base := range []time.Duration{-1, 0, 1, time.Minute, math.MaxInt64} {
		for _, limit := range []time.Duration{0, 1, time.Minute, math.MaxInt64} {
			b := newBackoff(base, limit)
			b.setBase(min(b.base, math.MaxInt64))
			for range 200 {
				if got := b.next(maxRetryAfter); got < maxRetryAfter {
					t.Fatalf("base %v, at most %v: after %d failures %v", base, limit, b.failures, got)
				}
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, tt := range []struct {
		why         string
		code        int
		value       string
		least, most time.Duration
	}{
		{"seconds", 429, "120", 2 * time.Minute, 2 * time.Minute},
		{"with 503", 503, "120", 2 * time.Minute, 2 * time.Minute},
		{"a date", 503, date(10 * time.Minute), 9 * time.Minute, 10 * time.Minute},
		{"a date that has passed", 503, date(-time.Hour), 0, 0},
		{"an hour at most", 503, "99999999999999999999999", time.Hour, time.Hour},
		{"a far date", 503, date(1000 * time.Hour), time.Hour, time.Hour},
		{"no number", 503, "soon", 0, 0},
		{"negative", 503, "-1", 0, 0},
		{"an API that is overloaded", 529, "120", 2 * time.Minute, 2 * time.Minute},
		{"a proxy without its server", 502, date(10 * time.Minute), 9 * time.Minute, 10 * time.Minute},
		{"whatever went wrong", 500, "120", 2 * time.Minute, 2 * time.Minute},
		{"a request that took too long", 408, "120", 2 * time.Minute, 2 * time.Minute},
		{"too early", 425, "1", time.Second, time.Second},
		{"a fraction", 503, "1.5", 0, 0},
		{"empty", 503, "", 0, 0},
	} {
		err := &StatusError{Code: tt.code, Header: http.Header{"Retry-After": {tt.value}}}
		if got := retryAfter(fmt.Errorf("wrapped: %w", err)); got < tt.least || got > tt.most {
			t.Errorf("%s: %v, want %v to %v", tt.why, got, tt.least, tt.most)
		}
	}
	for _, code := range []int{408, 425, 429, 500, 502, 503, 504, 529, 599} {
		answer := fmt.Sprint(code, " Retry-After: 60")
		if got := waits(t, &Client{ReconnectionTime: time.Second}, answer)[0]; got < time.Minute || got > time.Minute+time.Second {
			t.Errorf("%s: waited %v", answer, got)
		}
	}
	got := waits(t, &Client{ReconnectionTime: time.Second}, "429 Retry-After: 600", "503 Retry-After: 0")
	if got[0] < 10*time.Minute || got[0] > 10*time.Minute+time.Second || got[1] < time.Second {
		t.Errorf("waited %v, want what Retry-After says and the reconnection time at least", got)
	}
}

func TestRedirects(t *testing.T) {
	for _, tt := range []struct {
		code   int
		method string
		want   []string
	}{
		{301, "GET", []string{"GET /", "GET /new", "GET /new"}},
		{302, "GET", []string{"GET /", "GET /new", "GET /new"}},
		{303, "GET", []string{"GET /", "GET /new", "GET /new"}},
		{307, "GET", []string{"GET /", "GET /new", "GET /new"}},
		{308, "GET", []string{"GET /", "GET /new", "GET /new"}},
		// As a GET it may be sent again, although the POST may not.
		{301, "POST", []string{"POST / q", "GET /new", "GET /new"}},
		{303, "POST", []string{"POST / q", "GET /new", "GET /new"}},
		{307, "POST", []string{"POST / q", "POST /new q"}},
		{308, "POST", []string{"POST / q", "POST /new q"}},
	} {
		srv := newScript(t, redirects(tt.code, "/new"), sends("id: 1\ndata: a\n\n"))
		var body io.Reader
		if tt.method == "POST" {
			body = strings.NewReader("q")
		}
		req := request(t, tt.method, srv.URL, body)
		req.Header.Set("Authorization", "secret")
		req.Header.Set("Content-Type", "text/plain")
		got, err := collect(quick().Events(req))
		if len(got) != 1 || err == nil {
			t.Errorf("%d %s: %q, %v", tt.code, tt.method, got, err)
		}
		wantAll(t, fmt.Sprint(tt.code, tt.method), srv.seen(), tt.want)
		n := len(tt.want) - 1
		if auth := srv.headers("Authorization"); auth[n] != "secret" {
			t.Errorf("%d %s: Authorization %q, want it on the same origin", tt.code, tt.method, auth)
		}
		withoutBody := tt.code <= 303
		if ct := srv.headers("Content-Type"); (ct[n] == "-") != withoutBody {
			t.Errorf("%d %s: Content-Type %q", tt.code, tt.method, ct)
		}
	}
}

func TestRedirectWithoutLocation(t *testing.T) {
	for _, code := range []int{301, 307} {
		srv := newScript(t, status(code))
		_, err := collect(quick().Events(get(t, srv.URL)))
		if e, ok := errors.AsType[*StatusError](err); !ok || e.Code != code || len(srv.seen()) != 1 {
			t.Errorf("%d: %v after %q", code, err, srv.seen())
		}
	}
}

// Credentials that net/http removes on a redirect to another origin must not be sent
// there on the next attempt either, even if Prepare sets them each time.
func TestRedirectDropsCredentials(t *testing.T) {
	other := newScript(t, sends("data: a\n\n"), sends("data: b\n\n"))
	srv := newScript(t, redirects(307, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"/x"))
	client := quick()
	n := 0
	client.Prepare = func(r *http.Request) error {
		r.Header.Set("Authorization", "secret")
		if n++; n > 1 {
			r.Header.Set("Cookie", "late=1")
		}
		return nil
	}
	req := get(t, srv.URL)
	req.Header.Set("X-Own", "1")
	if got, err := collect(client.Events(req)); len(got) != 2 || err != ErrNoContent {
		t.Errorf("%q, %v", got, err)
	}
	wantAll(t, "there", other.seen(), []string{"GET /x", "GET /x", "GET /x"})
	wantAll(t, "Authorization", other.headers("Authorization"), []string{"-", "-", "-"})
	wantAll(t, "Cookie", other.headers("Cookie"), []string{"-", "-", "-"})
	wantAll(t, "other headers", other.headers("X-Own"), []string{"1", "1", "1"})
	wantAll(t, "here", srv.headers("Authorization"), []string{"secret"})
}

func TestRedirectorIsAskedAgainWhenItsTargetIsGone(t *testing.T) {
	gone := newScript(t, sends("id: 1\ndata: a\n\n"))
	srv := newScript(t, redirects(302, gone.URL), sends("data: b\n\n"))
	client := quick()
	client.OnError = func(err error, _ time.Duration) {
		if err == io.EOF {
			gone.Close()
		}
	}
	req := get(t, srv.URL)
	req.Header.Set("Authorization", "secret")
	got, err := collect(client.Events(req))
	wantAll(t, "events", got, []string{"a", "b"})
	wantAll(t, "the redirector", srv.headers("Last-Event-Id"), []string{"-", "1", "1"})
	wantAll(t, "with all headers", srv.headers("Authorization"), []string{"secret", "secret", "secret"})
	if err != ErrNoContent {
		t.Error(err)
	}
}

func TestResend(t *testing.T) {
	onlyReader := func() io.Reader { return struct{ io.Reader }{strings.NewReader("q")} }
	for _, tt := range []struct {
		why    string
		method string
		body   io.Reader
		resend bool
		want   []string
		errs   []error // all of which the last error wraps
	}{
		{"POST is not sent again", "POST", strings.NewReader("q"), false, []string{"POST / q"}, []error{errMethod, io.EOF}},
		{"nor PATCH", "PATCH", strings.NewReader("q"), false, []string{"PATCH / q"}, []error{errMethod, io.EOF}},
		{"unless Resend is set", "POST", strings.NewReader("q"), true, []string{"POST / q", "POST / q"}, []error{ErrNoContent}},
		{"PUT is idempotent", "PUT", strings.NewReader("q"), false, []string{"PUT / q", "PUT / q"}, []error{ErrNoContent}},
		{"a body must be had again", "PUT", onlyReader(), false, []string{"PUT / q"}, []error{errNoGetBody, io.EOF}},
		{"also when Resend is set", "POST", onlyReader(), true, []string{"POST / q"}, []error{errNoGetBody, io.EOF}},
		{"no body is no trouble", "POST", http.NoBody, true, []string{"POST /", "POST /"}, []error{ErrNoContent}},
	} {
		srv := newScript(t, sends("data: a\n\n"))
		client := quick()
		client.Resend = tt.resend
		got, err := collect(client.Events(request(t, tt.method, srv.URL, tt.body)))
		wantAll(t, tt.why, srv.seen(), tt.want)
		wantAll(t, tt.why, got, []string{"a"})
		for _, want := range tt.errs {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", tt.why, err, want)
			}
		}
	}
}
