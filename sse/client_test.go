package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A script answers the n-th request with its n-th step, and later ones with 204,
// which ends a loop. It records the requests.
type script struct {
	*httptest.Server
	mu       sync.Mutex
	steps    []http.HandlerFunc
	requests []*http.Request
	bodies   []string
}

func newScript(t *testing.T, steps ...http.HandlerFunc) *script {
	s := &script{steps: steps}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	step := status(http.StatusNoContent)
	if len(s.requests) < len(s.steps) {
		step = s.steps[len(s.requests)]
	}
	s.requests = append(s.requests, r)
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	step(w, r)
}

// headers returns the named header of each request, "-" if it is absent.
func (s *script) headers(name string) (values []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if r.Header[name] == nil {
			values = append(values, "-")
			continue
		}
		values = append(values, strings.Join(r.Header[name], ","))
	}
	return values
}

func (s *script) seen() (requests []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.requests {
		requests = append(requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+s.bodies[i]))
	}
	return requests
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// sends answers with a stream that ends after text.
func sends(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", MediaType)
		io.WriteString(w, text)
		http.NewResponseController(w).Flush()
	}
}

// stays answers with a stream that stays open after text.
func stays(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sends(text)(w, r)
		<-r.Context().Done()
	}
}

// breaks answers with a stream that is cut after text.
func breaks(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sends(text)(w, r)
		panic(http.ErrAbortHandler)
	}
}

func redirects(code int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(code)
	}
}

// quick returns a client that hardly waits between attempts.
func quick() *Client {
	return &Client{ReconnectionTime: -1, MaxBackoff: time.Millisecond}
}

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	return request(t, http.MethodGet, url, nil)
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func collect(seq iter.Seq2[Event, error]) (data []string, last error) {
	for e, err := range seq {
		if err != nil {
			return data, err
		}
		data = append(data, e.Data)
	}
	return data, nil
}

func wantAll(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestClientHeaders(t *testing.T) {
	srv := newScript(t, sends("data: a\n\n"))
	if _, err := collect(quick().Events(get(t, srv.URL))); err != ErrNoContent {
		t.Fatal(err)
	}
	wantAll(t, "Accept", srv.headers("Accept"), []string{MediaType, MediaType})
	wantAll(t, "Cache-Control", srv.headers("Cache-Control"), []string{"no-cache", "no-cache"})
	wantAll(t, "Last-Event-ID", srv.headers("Last-Event-Id"), []string{"-", "-"})

	srv = newScript(t)
	req := get(t, srv.URL)
	req.Header = http.Header{"Accept": {"a/b"}, "Cache-Control": {"no-store"}, "X-Own": {"1"}}
	collect(quick().Events(req))
	wantAll(t, "the caller's Accept", srv.headers("Accept"), []string{"a/b"})
	wantAll(t, "the caller's Cache-Control", srv.headers("Cache-Control"), []string{"no-store"})
	wantAll(t, "the caller's own", srv.headers("X-Own"), []string{"1"})
}

func TestClientResumes(t *testing.T) {
	long := strings.Repeat("x", maxSendID)
	for _, tt := range []struct {
		why   string
		steps []string
		want  []string // the Last-Event-ID of each request
	}{
		{"an event's id", []string{"id: 1\ndata: a\n\n"}, []string{"-", "1"}},
		{"a later event without one", []string{"id: 1\ndata: a\n\ndata: b\n\n"}, []string{"-", "1"}},
		{"over connections", []string{"id: 1\ndata: a\n\n", "data: b\n\n"}, []string{"-", "1", "1"}},
		{"an id without an event", []string{"id: 1\n\n"}, []string{"-", "1"}},
		{"not that of an unfinished block", []string{"id: 1\ndata: a\n\nid: 2\ndata: b\n"}, []string{"-", "1"}},
		{"an empty id clears it", []string{"id: 1\ndata: a\n\nid\ndata: b\n\n"}, []string{"-", "-"}},
		{"in any block", []string{"id: 1\ndata: a\n\nid\n\n"}, []string{"-", "-"}},
		{"raw UTF-8", []string{"id: …é\ndata: a\n\n"}, []string{"-", "…é"}},
		{"a tab and spaces are sent", []string{"id: a\t b\ndata: a\n\n"}, []string{"-", "a\t b"}},
		{"net/http refuses a control byte, so the one before is sent", []string{"id: 1\ndata: a\n\nid: \x01\ndata: b\n\n"}, []string{"-", "1"}},
		{"also when no event had it", []string{"id: 1\n\nid: 2\n\nid: \x7f\n\n"}, []string{"-", "2"}},
		{"servers refuse a very long one", []string{"id: 1\ndata: a\n\nid: " + long + "x\ndata: b\n\n"}, []string{"-", "1"}},
		{"a long one is sent", []string{"id: " + long + "\ndata: b\n\n"}, []string{"-", long}},
	} {
		var steps []http.HandlerFunc
		for _, s := range tt.steps {
			steps = append(steps, sends(s))
		}
		srv := newScript(t, steps...)
		if _, err := collect(quick().Events(get(t, srv.URL))); err != ErrNoContent {
			t.Errorf("%s: %v", tt.why, err)
		}
		wantAll(t, tt.why, srv.headers("Last-Event-Id"), tt.want)
	}
}

func TestClientStartsWhereTold(t *testing.T) {
	srv := newScript(t, sends("data: a\n\n"))
	client := quick()
	client.LastEventID = "7"
	for e, err := range client.Events(get(t, srv.URL)) {
		if err == nil && e.ID != "7" {
			t.Errorf("%+v, want the ID that the stream began with", e)
		}
	}
	wantAll(t, "the client's ID", srv.headers("Last-Event-Id"), []string{"7", "7"})

	srv = newScript(t, sends("id\ndata: a\n\n"))
	req := get(t, srv.URL)
	req.Header.Set("Last-Event-ID", "8")
	collect(quick().Events(req))
	wantAll(t, "the request's ID, then cleared", srv.headers("Last-Event-Id"), []string{"8", "-"})
}

func TestClientStatus(t *testing.T) {
	for code := range 600 {
		if code < 200 || code == 200 || code == 204 || http.StatusText(code) == "" {
			continue
		}
		again := code >= 500 || code == 408 || code == 425 || code == 429
		srv := newScript(t, status(code), sends("data: a\n\n"))
		var temporary []error
		client := quick()
		client.OnError = func(err error, _ time.Duration) { temporary = append(temporary, err) }
		got, err := collect(client.Events(get(t, srv.URL)))
		if again {
			if len(got) != 1 || err != ErrNoContent {
				t.Errorf("%d: %q, %v; want a second attempt", code, got, err)
				continue
			}
			err = temporary[0]
		}
		if e, ok := errors.AsType[*StatusError](err); !ok || e.Code != code || len(got) == 1 != again {
			t.Errorf("%d: %q, %v; want a StatusError, and again: %t", code, got, err, again)
		}
	}
}

func TestStatusErrorCarriesTheAnswer(t *testing.T) {
	srv := newScript(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Why", "because")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, strings.Repeat("no", 4<<10))
		http.NewResponseController(w).Flush()
		<-r.Context().Done() // a body that never ends must not block the client
	})
	_, err := collect(quick().Events(get(t, srv.URL)))
	e, ok := errors.AsType[*StatusError](err)
	if !ok || e.Code != 403 || e.Header.Get("X-Why") != "because" || len(e.Body) != 4<<10 || e.Body[1] != 'o' {
		t.Errorf("%+v", err)
	}
	if want := "sse: unexpected status 403 Forbidden"; ok && e.Error() != want {
		t.Errorf("%q, want %q", e, want)
	}
}

func TestClientContentType(t *testing.T) {
	for value, ok := range map[string]bool{
		"text/event-stream":                     true,
		"text/event-stream;":                    true,
		"text/event-stream; charset=utf-8":      true,
		"text/event-stream;charset=iso-8859-1":  true, // never changes the decoding
		"text/event-stream,utf-8":               true, // common in the wild
		" Text/Event-Stream \t;x":               true,
		"":                                      false,
		"text/event-streamx":                    false,
		"text/x-bogus":                          false,
		"x bogus":                               false,
		"text/plain; a=text/event-stream":       false,
		"application/json, text/event-stream":   false,
		"\"text/event-stream\"":                 false,
		"text/html;,text/event-stream,whatever": false,
	} {
		srv := newScript(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{value}
			io.WriteString(w, "data: a\n\n")
		})
		got, err := collect(quick().Events(get(t, srv.URL)))
		if ok && (len(got) != 1 || err != ErrNoContent) || !ok && (len(got) != 0 || !errors.Is(err, ErrContentType)) {
			t.Errorf("%q: %q, %v; want %t", value, got, err, ok)
		}
	}
}

func TestClientReconnects(t *testing.T) {
	refused := newScript(t)
	refused.Close()
	for _, tt := range []struct {
		why  string
		step http.HandlerFunc
		want error
	}{
		{"a clean end", sends("data: a\n\ndata: lost"), io.EOF},
		{"a cut", breaks("data: a\n\ndata: lost"), io.ErrUnexpectedEOF},
		{"silence", stays("data: a\n\n: hi\n"), ErrIdleTimeout},
	} {
		srv := newScript(t, tt.step, sends("data: b\n\n"))
		var errs []error
		client := quick()
		client.IdleTimeout = 200 * time.Millisecond
		client.OnError = func(err error, _ time.Duration) { errs = append(errs, err) }
		got, err := collect(client.Events(get(t, srv.URL)))
		wantAll(t, tt.why, got, []string{"a", "b"})
		if err != ErrNoContent || len(errs) == 0 || !errors.Is(errs[0], tt.want) {
			t.Errorf("%s: ended by %v after %v, want %v", tt.why, err, errs, tt.want)
		}
	}

	n := 0
	ctx, cancel := context.WithCancel(t.Context())
	client := quick()
	client.OnError = func(error, time.Duration) {
		if n++; n == 3 {
			cancel()
		}
	}
	if _, err := collect(client.Events(get(t, refused.URL).WithContext(ctx))); err != context.Canceled || n != 3 {
		t.Errorf("connection refused: %v after %d attempts", err, n)
	}
}

// A server that resumes or starts over sends the event that is too large again. Only
// the caller can help, so the error must say how.
func TestEventTooLargeEndsTheLoop(t *testing.T) {
	for why, rest := range map[string]string{
		"a line without end":  strings.Repeat("x", 4<<10),
		"a whole event":       "id: 2\ndata: " + strings.Repeat("x", 4<<10) + "\n\ndata: b\n\n",
		"many lines":          strings.Repeat("data: "+strings.Repeat("x", 100)+"\n", 40) + "\n",
		"a comment":           ":" + strings.Repeat("x", 4<<10) + "\n\n",
		"a type, data and id": "event: " + strings.Repeat("t", 600) + "\nid: " + strings.Repeat("i", 600) + "\ndata: x\n\n",
	} {
		text := "id: 1\ndata: a\n\n" + rest
		srv := newScript(t, sends(text), sends(text))
		client := quick()
		client.ReadLimit = 1 << 10
		source := client.Source(get(t, srv.URL))
		got, err := collect(source.Events())
		wantAll(t, why, got, []string{"a"})
		if !errors.Is(err, ErrEventTooLarge) || len(srv.seen()) != 1 || source.LastEventID() != "1" {
			t.Errorf("%s: %v after %d requests, at %q; want ErrEventTooLarge after one, at 1", why, err, len(srv.seen()), source.LastEventID())
			continue
		}
		if !strings.Contains(err.Error(), "1024 bytes") || !strings.Contains(err.Error(), "ReadLimit") {
			t.Errorf("%s: %q, want how large it is and what allows it", why, err)
		}
	}
}

// The body of a 200 response that is not a stream, such as an API's error, must not
// be lost.
func TestContentTypeErrorCarriesTheAnswer(t *testing.T) {
	const said = `{"error":{"message":"model not loaded"}}`
	srv := newScript(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, said)
	}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, strings.Repeat("no", 4<<10))
		http.NewResponseController(w).Flush()
		<-r.Context().Done() // a body that never ends must not block the client
	})
	for _, want := range []struct {
		contentType string
		body        string
	}{{"application/json", said}, {"text/html", strings.Repeat("no", 2<<10)}} {
		_, err := collect(quick().Events(get(t, srv.URL)))
		e, ok := errors.AsType[*ContentTypeError](err)
		if !ok || !errors.Is(err, ErrContentType) || e.Header.Get("Content-Type") != want.contentType || string(e.Body) != want.body {
			t.Errorf("%#v, want a ContentTypeError with the answer", err)
		} else if said := `sse: not an event stream: Content-Type "` + want.contentType + `"`; err.Error() != said {
			t.Errorf("%q, want %q", err, said)
		}
	}
}

// A Tidings hub reports a stream's position by events of a type of their own. They
// move the last event ID, and are not events of the topics.
func TestPositions(t *testing.T) {
	const position = "retry: 10\nevent: position\ndata: {}\nid: p1\n\n"
	for _, tt := range []struct {
		why  string
		text string
		data []string
		last string
	}{
		{"at the start", position, nil, "p1"},
		{"before events", position + "id: 1\ndata: a\n\n", []string{"a"}, "1"},
		{"as a heartbeat", position + "id: 1\ndata: a\n\nevent: position\ndata: {}\nid: p2\n\n", []string{"a"}, "p2"},
		{"its id is that of later events without one", position + "data: a\n\n", []string{"a"}, "p1"},
		{"a block with an id alone, as on Mercure's path", "id: p1\n\n", nil, "p1"},
		{"a gap is yielded", "event: gap\ndata: {\"requested\":\"x\"}\nid: p1\n\n", []string{`{"requested":"x"}`}, "p1"},
		// Another server may use the same type, here for a position on a map.
		{"with other data", "event: position\ndata: {\"lat\":1}\nid: 1\n\n", []string{`{"lat":1}`}, "1"},
		{"with none", "event: position\ndata:\nid: 1\n\n", []string{""}, "1"},
		{"of a hub that cannot serve now", "id: 1\ndata: a\n\nretry: 10\nevent: position\ndata: {}\n\n", []string{"a"}, "1"},
		{"of another type", "event: Position\ndata: {}\nid: 1\n\n", []string{"{}"}, "1"},
	} {
		srv := newScript(t, breaks(tt.text))
		source := quick().Source(get(t, srv.URL))
		got, err := collect(source.Events())
		if err != ErrNoContent {
			t.Errorf("%s: %v", tt.why, err)
		}
		wantAll(t, tt.why, got, tt.data)
		wantAll(t, tt.why, srv.headers("Last-Event-Id"), []string{"-", tt.last})
	}

	srv := newScript(t, sends(position+"id: 1\ndata: a\n\n"))
	client := quick()
	client.Positions = true
	got, _ := collect(client.Events(get(t, srv.URL)))
	wantAll(t, "asked for", got, []string{"{}", "a"})
	wantAll(t, "asked for", srv.headers("Last-Event-Id"), []string{"-", "1"})

	got, _ = collect(Read(strings.NewReader(position + "id: 1\ndata: a\n\n")))
	wantAll(t, "a decoder knows no types", got, []string{"{}", "a"})
}

func TestClientRefusesOtherURLs(t *testing.T) {
	for _, url := range []string{"ftp://example.com/", "about:blank", "mailto:a@example.com", "/events", "http:///x"} {
		if _, err := collect(quick().Events(get(t, url))); !errors.Is(err, errURL) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestIdleTimeoutCountsBytesNotEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Second
		r, w := io.Pipe()
		go func() {
			for _, c := range []byte("data: slow\n\ndata: more\n\n") {
				time.Sleep(timeout - 1)
				w.Write([]byte{c})
			}
			w.Close()
		}()
		s := (&Client{IdleTimeout: timeout}).Source(get(t, "http://example.com/"))
		ctx, cancel := context.WithCancelCause(t.Context())
		idle := time.AfterFunc(timeout, func() { cancel(ErrIdleTimeout) })
		idle.Stop()
		var got []string
		err := s.read(ctx, idleReader{r, idle, timeout}, func(e Event, _ error) bool {
			got = append(got, e.Data)
			time.Sleep(2 * timeout) // time spent in the loop does not count
			return true
		})
		wantAll(t, "events", got, []string{"slow", "more"})
		if err != io.EOF {
			t.Errorf("ended by %v", err)
		}
	})
}

func TestIdleTimeoutCoversTheWaitForHeaders(t *testing.T) {
	srv := newScript(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	client := quick()
	client.IdleTimeout = 20 * time.Millisecond
	var first error
	client.OnError = func(err error, _ time.Duration) { first = err }
	if _, err := collect(client.Events(get(t, srv.URL))); err != ErrNoContent || first != ErrIdleTimeout {
		t.Errorf("%v after %v", err, first)
	}
}

func TestClientComments(t *testing.T) {
	srv := newScript(t, sends(":a\n: b\ndata: x\n\n"))
	var got []string
	client := quick()
	client.OnComment = func(s string) { got = append(got, s) }
	collect(client.Events(get(t, srv.URL)))
	wantAll(t, "comments", got, []string{"a", "b"})
}

func TestPrepareRunsBeforeEachAttempt(t *testing.T) {
	srv := newScript(t, sends("data: a\n\n"), status(503), sends("data: b\n\n"))
	broken := errors.New("no token")
	n := 0
	client := quick()
	client.Prepare = func(r *http.Request) error {
		if n++; n == 2 {
			return broken
		}
		r.Header.Set("Authorization", fmt.Sprint("token ", n))
		r.URL.RawQuery = fmt.Sprint("n=", n)
		return nil
	}
	var errs []error
	client.OnError = func(err error, _ time.Duration) { errs = append(errs, err) }
	req := get(t, srv.URL)
	if got, err := collect(client.Events(req)); len(got) != 2 || err != ErrNoContent {
		t.Errorf("%q, %v", got, err)
	}
	wantAll(t, "tokens", srv.headers("Authorization"), []string{"token 1", "token 3", "token 4", "token 5"})
	if req.Header.Get("Authorization") != "" || req.URL.RawQuery != "" {
		t.Error("the caller's own request was changed")
	}
	if !errors.Is(errs[1], broken) {
		t.Errorf("%v; want the hook's error second", errs)
	}
}

func TestOnce(t *testing.T) {
	for _, tt := range []struct {
		why  string
		step http.HandlerFunc
		data []string
		want error
	}{
		{"a clean end is success", sends("data: a\n\ndata: b\n\n"), []string{"a", "b"}, nil},
		{"a cut is an error", breaks("data: a\n\n"), []string{"a"}, io.ErrUnexpectedEOF},
		{"silence", stays("data: a\n\n"), []string{"a"}, ErrIdleTimeout},
		{"204", status(204), nil, ErrNoContent},
		{"another type", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "data: a\n\n") }, nil, ErrContentType},
		{"too large", sends("data: " + strings.Repeat("x", 2000)), nil, ErrEventTooLarge},
	} {
		srv := newScript(t, tt.step)
		client := quick()
		client.IdleTimeout = 200 * time.Millisecond
		client.ReadLimit = 1000
		got, err := collect(client.Once(request(t, "POST", srv.URL, strings.NewReader("q"))))
		wantAll(t, tt.why, got, tt.data)
		wantAll(t, tt.why, srv.seen(), []string{"POST / q"})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.why, err, tt.want)
		}
	}
	srv := newScript(t, status(503))
	_, err := collect(quick().Once(get(t, srv.URL)))
	if e, ok := errors.AsType[*StatusError](err); !ok || e.Code != 503 || len(srv.seen()) != 1 {
		t.Errorf("%v after %d requests; want a StatusError at once", err, len(srv.seen()))
	}
}
