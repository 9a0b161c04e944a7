package mercure_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/mercure"
	"github.com/tidings-sse/tidings/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret = "!ChangeThisMercureHubJWTSecretKey!"
	path   = mercure.Path
)

type server struct {
	*httptest.Server
	hub *hub.Hub
}

func newServer(t *testing.T, r eventlog.Retention, anonymous bool, o mercure.Options) *server {
	t.Helper()
	keys, err := auth.ParseKeys(secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := auth.New(auth.Options{PublisherKeys: keys, SubscriberKeys: keys, Anonymous: anonymous, Cookie: auth.DefaultCookie, Origins: []string{"https://app.example"}})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	log := eventlog.NewMemory(r)
	h, err := hub.New(log, hub.Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	presence := func() {}
	if o.Subscriptions {
		presence = mercure.Watch(h, mercure.PresenceOptions{Logger: logger}).Close
	}
	api := httpapi.New(edge.New(h, edge.Options{Auth: authority, Logger: logger}), httpapi.Options{})
	s := &server{httptest.NewServer(both(api, mercure.New(api.Edge(), o))), h}
	t.Cleanup(func() {
		s.Client().CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
		api.Close()
		presence()
		if err := errors.Join(h.Close(), log.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func both(api, m http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mercure.Serves(r.URL.Path) {
			m.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

func token(t *testing.T, publish, subscribe, payload string) string {
	t.Helper()
	a := &auth.Access{Publish: strings.Fields(publish), Subscribe: strings.Fields(subscribe)}
	if payload != "" {
		a.Payload = json.RawMessage(payload)
	}
	text, err := auth.Mint(&auth.Claims{Mercure: a}, secret, "")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func (s *server) do(t *testing.T, method, path, body string, header ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == "POST" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// publish publishes with a token for all topics, and returns the id.
func (s *server) publish(t *testing.T, fields ...string) string {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	resp := s.do(t, "POST", path, form.Encode(), bearer(token(t, "*", "", ""))...)
	id := text(t, resp)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Fatalf("publish: %s %s", resp.Status, id)
	}
	return id
}

type stream struct {
	*http.Response
	lines *bufio.Reader
}

func (s *server) subscribe(t *testing.T, query string, header ...string) *stream {
	t.Helper()
	resp := s.do(t, "GET", path+"?"+query, "", append([]string{"Accept", "text/event-stream"}, header...)...)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("subscribe: %s %s", resp.Status, text(t, resp))
	}
	return &stream{resp, bufio.NewReader(resp.Body)}
}

// event reads up to the next blank line.
func (s *stream) event(t *testing.T) (lines string) {
	t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", lines, err)
		}
		if line == "\n" {
			return lines
		}
		lines += line
	}
}

var urn = regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

var gap = regexp.MustCompile(`event: gap\nid: (urn:uuid:[0-9a-f-]+)\ndata: \{"requested":".*","resumed_after":"(urn:uuid:[0-9a-f-]+)","reason":"[a-z]+"\}\n`)

// Events published on either path are received on the other, each path with its own
// ids, and no blank line comes before the first event.
func TestStream(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{})
	st := s.subscribe(t, "topic=https://example.com/books/{id}&topic=news")
	if got := st.Header.Get("Cache-Control"); got != "no-cache, no-transform" {
		t.Errorf("without a token: Cache-Control %q", got)
	}
	place := st.Header.Get("Last-Event-ID")
	if !urn.MatchString(place) {
		t.Errorf("the stream begins at %q", place)
	}
	id := s.publish(t, "topic", "https://example.com/books/1", "topic", "other", "data", "a\nb", "type", "price", "retry", "1500", "unknown", "x")
	if !urn.MatchString(id) {
		t.Errorf("id %q", id)
	}
	want := "retry: 3000\nid: " + place + "\nretry: 1500\nevent: price\nid: " + id + "\ndata: a\ndata: b\n"
	if got := st.event(t); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.publish(t, "topic", "elsewhere", "data", "x")
	if got := s.publish(t, "topic", "news", "id", "mine", "data", ""); got != "mine" {
		t.Errorf("published as %q", got)
	}
	if got := st.event(t); got != "id: mine\ndata\n" && got != "id: mine\ndata: \n" {
		t.Errorf("an update without data is %q", got)
	}
	native := s.do(t, "POST", "/events/news", "native", append(bearer(token(t, "*", "", "")), "Content-Type", "text/plain")...)
	if text(t, native); native.StatusCode != 201 {
		t.Fatal(native.Status)
	}
	if got := st.event(t); !regexp.MustCompile(`^id: urn:uuid:\S+\ndata: native\n$`).MatchString(got) {
		t.Errorf("from the native path: %q", got)
	}
}

// A stream names its position in the requested form; the default is fields that no
// blank line ends. A gap is always a whole block.
func TestPositions(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{})
	for query, want := range map[string]string{
		"":                "retry: 3000\nid: PLACE\nid: mine\ndata: x\n",
		"&position=event": "retry: 3000\nevent: position\nid: PLACE\ndata: {}\n",
		"&position=none":  "retry: 3000\nid: mine\ndata: x\n",
	} {
		st := s.subscribe(t, "topic=a"+query)
		place := st.Header.Get("Last-Event-ID")
		s.publish(t, "topic", "a", "id", "mine", "data", "x")
		if got := st.event(t); !urn.MatchString(place) || got != strings.Replace(want, "PLACE", place, 1) {
			t.Errorf("%q begins with %q at %s", query, got, place)
		}
		gap := s.subscribe(t, "topic=a&lastEventID=unknown"+query).event(t)
		if !regexp.MustCompile(`^retry: 3000\nevent: gap\nid: urn:uuid:\S+\ndata: .*"unknown".*\n$`).MatchString(gap) {
			t.Errorf("%q begins with %q, not with a gap", query, gap)
		}
	}
	for _, query := range []string{"&position=id", "&position=", "&position=none&position=event"} {
		if resp := s.do(t, "GET", path+"?topic=a"+query, ""); resp.StatusCode != 400 || !strings.Contains(text(t, resp), "position=none") {
			t.Errorf("%q: %s", query, resp.Status)
		}
	}
}

func TestPublishErrors(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, false, mercure.Options{})
	good := bearer(token(t, "https://example.com/{id}", "", ""))
	const topic = "topic=https://example.com/1"
	for _, tt := range []struct {
		why    string
		body   string
		header []string
		status int
	}{
		{"granted", topic, good, 200},
		{"private by its name alone", topic + "&private", good, 200},
		{"a topic twice", topic + "&" + topic, good, 200},
		{"no token", topic, nil, 401},
		{"another's token", topic, bearer(token(t, "", "*", "")), 403},
		{"one topic of two", topic + "&topic=x", good, 403},
		{"by cookie, from a page that may", topic, []string{"Cookie", auth.DefaultCookie + "=" + good[1][7:], "Origin", "https://app.example"}, 200},
		{"by cookie, from another", topic, []string{"Cookie", auth.DefaultCookie + "=" + good[1][7:], "Origin", "https://evil.example"}, 403},
		{"by cookie, from nowhere", topic, []string{"Cookie", auth.DefaultCookie + "=" + good[1][7:]}, 403},
		{"no topic", "data=x", good, 400},
		{"everything as a topic", "topic=*", bearer(token(t, "*", "", "")), 400},
		{"an id of the hub's kind", topic + "&id=%23x", good, 400},
		{"an id that is a place", topic + "&id=earliest", good, 400},
		{"an id that is a urn of ours", topic + "&id=" + eventlog.ID{Epoch: 1, Lo: 7}.URN(), good, 400},
		{"an id with CRLF", topic + "&id=a%0D%0Adata:x", good, 400},
		{"an id with NUL", topic + "&id=a%00", good, 400},
		{"a type with LF", topic + "&type=a%0Adata:x", good, 400},
		{"a type with CR", topic + "&type=a%0D", good, 400},
		{"the gap's type", topic + "&type=gap", good, 400},
		{"a retry with a sign", topic + "&retry=-1", good, 400},
		{"a retry of words", topic + "&retry=soon", good, 400},
		{"data that is no text", topic + "&data=%FF", good, 400},
		{"a form that is malformed", topic + "&data=%zz", good, 400},
		{"JSON", `{"topic":"x"}`, append(good, "Content-Type", "application/json"), 415},
		{"the hub's own topics", "topic=" + path + "/subscriptions/a/b", bearer(token(t, "*", "", "")), 403},
		{"on another host, too", "topic=https://x.example" + path + "/subscriptions/a", bearer(token(t, "*", "", "")), 403},
		{"by a detour", "topic=https://x.example/a/../.well-known/%256dercure/../mercure/x", bearer(token(t, "*", "", "")), 403},
		{"beside it", "topic=https://x.example/.well-known/mercury", bearer(token(t, "*", "", "")), 200},
	} {
		if resp := s.do(t, "POST", path, tt.body, tt.header...); resp.StatusCode != tt.status {
			t.Errorf("%s: %s %s; want %d", tt.why, resp.Status, text(t, resp), tt.status)
		}
	}
	for method, status := range map[string]int{"PUT": 405, "DELETE": 405, "OPTIONS": 405} {
		if resp := s.do(t, method, path, "", good...); resp.StatusCode != status {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
	if resp := s.do(t, "GET", path+"/elsewhere", "", good...); resp.StatusCode != 404 {
		t.Errorf("below: %s", resp.Status)
	}
}

func TestSubscribeErrors(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, false, mercure.Options{})
	off, on := s, newServer(t, eventlog.Retention{}, false, mercure.Options{QueryToken: true})
	good := token(t, "", "*", "")
	for _, tt := range []struct {
		why    string
		s      *server
		query  string
		header []string
		status int
	}{
		{"no token", s, "topic=a", nil, 401},
		{"a token in the query, switched off", off, "topic=a&authorization=" + good, nil, 401},
		{"a token in the query", on, "topic=a&authorization=" + good, nil, 200},
		{"a token in the query, beside credentials for a proxy", on, "topic=a&authorization=" + good, []string{"Authorization", "Basic dXNlcjpwdw=="}, 200},
		{"nonsense in the query", on, "topic=a&authorization=x", nil, 401},
		{"the header beats it", on, "topic=a&authorization=" + good, bearer("x"), 401},
		{"it beats the cookie", on, "topic=a&authorization=x", []string{"Cookie", auth.DefaultCookie + "=" + good}, 401},
		{"a cookie", s, "topic=a", []string{"Cookie", auth.DefaultCookie + "=" + good}, 200},
		{"no topic", s, "", bearer(good), 400},
		{"a template that is none", s, "topic={", bearer(good), 400},
		{"as many topics as may be", s, strings.Repeat("topic=a&", 1000), bearer(good), 200},
		{"one more", s, strings.Repeat("topic=a&", 1001), bearer(good), 400},
		{"as many templates as may be", s, strings.Repeat("topic=a&", 900) + strings.Repeat("topic={a}&", 100), bearer(good), 200},
		{"one more", s, strings.Repeat("topic={a}&", 101), bearer(good), 400},
		{"a query that is malformed", s, "topic=%zz", bearer(good), 400},
		{"a semicolon", s, "topic=https://shop.example/a;v=1", bearer(good), 200},
		{"one beside a token in the query", on, "topic=a;b&authorization=" + good, nil, 200},
	} {
		resp := tt.s.do(t, "GET", path+"?"+tt.query, "", tt.header...)
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %s; want %d", tt.why, resp.Status, tt.status)
		}
		if got := resp.Header.Get("Cache-Control"); resp.StatusCode == 200 && got != "private, no-cache, no-transform" {
			t.Errorf("%s: Cache-Control %q", tt.why, got)
		}
	}
}

// A private update goes to each stream whose grant covers one of its topics, whichever
// topic the stream asked for.
func TestPrivate(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{QueryToken: true})
	const book, kevin = "https://example.com/books/1", "https://example.com/users/kevin/?topic=https%3A%2F%2Fexample.com%2Fbooks%2F1"
	const query = "topic=https://example.com/books/{id}"
	type reader struct {
		who    string
		query  string
		header []string
		sees   bool
		live   *stream
	}
	readers := []*reader{{who: "nobody", query: query}}
	for who, token := range map[string]string{
		"who has another grant": token(t, "", "https://example.com/users/alice/{?topic}", ""),
		"kevin":                 token(t, "", "https://example.com/users/kevin/{?topic}", ""),
		"who has all":           token(t, "", "*", ""),
		"the publisher":         token(t, "*", "", ""),
	} {
		sees := who == "kevin" || who == "who has all"
		readers = append(readers,
			&reader{who, query, bearer(token), sees, nil},
			&reader{who + ", by cookie", query, []string{"Cookie", auth.DefaultCookie + "=" + token}, sees, nil},
			&reader{who + ", by query", query + "&authorization=" + token, nil, sees, nil},
			&reader{who + ", by ticket", query + "&ticket=" + s.ticket(t, token), nil, sees, nil})
	}
	for _, r := range readers {
		r.live = s.subscribe(t, r.query, r.header...)
	}
	s.publish(t, "topic", book, "topic", kevin, "data", "secret", "private", "")
	s.publish(t, "topic", book, "data", "end")
	for _, r := range readers {
		for how, st := range map[string]*stream{"live": r.live, "replayed": s.subscribe(t, r.query+"&lastEventID=earliest", r.header...)} {
			got := st.event(t)
			if strings.Contains(got, "secret") != r.sees || !strings.Contains(got, "secret") && !strings.HasSuffix(got, "data: end\n") {
				t.Errorf("%s, %s: %q", r.who, how, got)
			}
		}
	}
}

// ticket exchanges a token for a ticket at the hub's own API.
func (s *server) ticket(t *testing.T, token string) string {
	t.Helper()
	resp := s.do(t, "POST", "/tickets", "", bearer(token)...)
	var answer struct{ Ticket string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Ticket == "" {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	return url.QueryEscape(answer.Ticket)
}

// A page may subscribe to one topic a row, a thousand in all. Each is a subscription
// that others see if the page's token names someone.
func TestManyTopics(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{Subscriptions: true})
	watch := s.subscribe(t, "topic="+url.QueryEscape(path+"/subscriptions{/topic}{/subscriber}"), bearer(token(t, "", "*", ""))...)
	watch.event(t) // its own
	q := url.Values{}
	for n := range 1000 {
		q.Add("topic", fmt.Sprint("https://shop.example/rows/", n))
	}
	st := s.subscribe(t, q.Encode(), bearer(token(t, "", "", `"ann"`))...)
	seen := map[string]bool{}
	for len(seen) < 1000 {
		var d struct{ Topic string }
		_, data, _ := strings.Cut(watch.event(t), "data: ")
		if err := json.Unmarshal([]byte(data), &d); err != nil || seen[d.Topic] || !strings.HasPrefix(d.Topic, "https://shop.example/rows/") {
			t.Fatalf("after %d subscriptions: %s, %v", len(seen), data, err)
		}
		seen[d.Topic] = true
	}
	for _, n := range []int{0, 999} {
		s.publish(t, "topic", fmt.Sprint("https://shop.example/rows/", n), "data", fmt.Sprint(n))
		if got := st.event(t); !strings.HasSuffix(got, fmt.Sprintf("data: %d\n", n)) {
			t.Errorf("row %d: %q", n, got)
		}
	}
}

func TestResume(t *testing.T) {
	s := newServer(t, eventlog.Retention{Events: 6}, true, mercure.Options{})
	gone := s.publish(t, "topic", "a", "data", "gone")
	s.publish(t, "topic", "a", "data", "gone, too")
	first := s.publish(t, "topic", "a", "data", "1")
	for n := 2; n < 5; n++ {
		s.publish(t, "topic", "a", "data", fmt.Sprint(n), "id", "again") // the same id three times
	}
	last := s.publish(t, "topic", "a", "data", "5")
	s.publish(t, "topic", "a", "data", "6")
	for _, tt := range []struct {
		why, query, header string
		begins             string // "": a position of the hub's
		want               string
	}{
		{"after an id", "lastEventID=" + first, "", first, "2"},
		{"1.0's spelling", "last_event_id=" + first, "", first, "2"},
		{"a polyfill's", "lastEventId=" + first, "", first, "2"},
		{"an old one's", "Last-Event-ID=" + first, "", first, "2"},
		{"by header, which beats the query", "lastEventID=" + first, last, last, "6"},
		{"after a publisher's id that came again: the first of them", "lastEventID=again", "", "again", "3"},
		{"everything", "lastEventID=earliest", "", "earliest", "1"},
		{"everything by header", "", "earliest", "earliest", "1"},
		{"what a polyfill appends beats everything", "lastEventID=earliest&lastEventId=" + first, "", first, "2"},
		{"and everything in 1.0's spelling", "last_event_id=earliest&lastEventId=" + first, "", first, "2"},
		{"in the spelling that a page chose for it", "last_event_id=earliest&lastEventID=" + first, "", first, "2"},
		{"an old one's, likewise", "lastEventID=earliest&Last-Event-Id=" + first, "", first, "2"},
		{"what is appended each time counts by its end", "lastEventID=earliest&lastEventID=" + first, "", first, "2"},
		{"an id that is not retained", "lastEventID=" + gone, "", "earliest", "gap"},
		{"an id that nobody knows", "lastEventID=unknown", "", "earliest", "gap"},
		{"another hub's", "lastEventID=urn:uuid:0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b", "", "earliest", "gap"},
	} {
		var header []string
		if tt.header != "" {
			header = []string{"Last-Event-ID", tt.header}
		}
		st := s.subscribe(t, "topic=a&"+tt.query, header...)
		if got := st.Header.Get("Last-Event-ID"); got != tt.begins && (tt.begins != "" || !urn.MatchString(got)) {
			t.Errorf("%s: begins at %q, want %q", tt.why, got, tt.begins)
		}
		got := st.event(t)
		if tt.want == "gap" {
			if !gap.MatchString(got) {
				t.Errorf("%s: %q, want a gap that spells resumed_after as its id", tt.why, got)
			} else if m := gap.FindStringSubmatch(got); m[1] != m[2] {
				t.Errorf("%s: the gap's id is %s, and its resumed_after %s", tt.why, m[1], m[2])
			}
			continue
		}
		if !strings.HasSuffix(got, "data: "+tt.want+"\n") {
			t.Errorf("%s: %q, want %s", tt.why, got, tt.want)
		}
	}
}

// On this path an id may be any text, as on other hubs.
func TestIDsOfAnyText(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{})
	if got := s.publish(t, "topic", "a", "data", "1", "id", "café"); got != "café" {
		t.Errorf("published as %q", got)
	}
	s.publish(t, "topic", "a", "data", "2")
	for _, header := range [][]string{nil, {"Last-Event-ID", "café"}} {
		query := "topic=a"
		if header == nil {
			query += "&lastEventId=caf%C3%A9"
		}
		if got := s.subscribe(t, query, header...).event(t); !strings.HasSuffix(got, "data: 2\n") {
			t.Errorf("resumed after it, the stream begins with %q", got)
		}
	}
}

// Resuming is a seek, also beyond ten thousand events, where other hubs give up.
func TestResumeFarBack(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{})
	first := s.publish(t, "topic", "a", "data", "first")
	var recs []eventlog.Record
	for n := range 25_000 {
		recs = append(recs, eventlog.Record{Topics: []string{"a"}, Data: fmt.Append(nil, n)})
	}
	if _, err := s.hub.Publish(t.Context(), recs...); err != nil {
		t.Fatal(err)
	}
	st := s.subscribe(t, "topic=a&lastEventID="+first)
	for n := range 25_000 {
		if got := st.event(t); !strings.HasSuffix(got, fmt.Sprintf("data: %d\n", n)) {
			t.Fatalf("event %d is %q", n, got)
		}
	}
}

// Subscriptions that begin and end are published and listed, for tokens that may see
// them.
func TestSubscriptions(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{Subscriptions: true})
	const subs = path + "/subscriptions"
	watcher := bearer(token(t, "", subs+"{/topic}{/subscriber}", ""))
	const topic = "https://example.com/a b"
	watch := s.subscribe(t, "topic="+url.QueryEscape(subs+"{/topic}{/subscriber}"), watcher...)
	type document struct {
		Context       string `json:"@context"`
		ID            string
		Type          string
		Subscriber    string
		Topic         string
		Active        bool
		Payload       json.RawMessage
		LastEventID   string
		Subscriptions []document
	}
	next := func() (d document) {
		t.Helper()
		for {
			_, data, _ := strings.Cut(watch.event(t), "data: ")
			if err := json.Unmarshal([]byte(data), &d); err != nil {
				t.Fatal(err)
			}
			if d.Topic == topic { // it also gets its own subscription
				return d
			}
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", s.URL+path+"?topic="+url.QueryEscape(topic), nil)
	req.Header.Set("Authorization", "Bearer "+token(t, "", "", `{"user":"ann"}`))
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	came := next()
	if came.Context != "https://mercure.rocks/" || came.Type != "Subscription" || !came.Active || string(came.Payload) != `{"user":"ann"}` ||
		!regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(came.Subscriber) ||
		came.ID != subs+"/https%3A%2F%2Fexample.com%2Fa%20b/"+url.QueryEscape(came.Subscriber) {
		t.Errorf("told of %+v", came)
	}

	get := func(path string, status int, header ...string) (d document) {
		t.Helper()
		resp := s.do(t, "GET", path, "", header...)
		if resp.StatusCode != status {
			t.Fatalf("%s: %s %s", path, resp.Status, text(t, resp))
		}
		if status == 200 {
			if resp.Header.Get("Content-Type") != "application/ld+json" {
				t.Errorf("%s: %v", path, resp.Header)
			}
			if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	all := get(subs, 200, watcher...)
	if all.Type != "Subscriptions" || all.Context == "" || len(all.Subscriptions) != 2 || !urn.MatchString(all.LastEventID) || all.ID != subs {
		t.Errorf("all: %+v", all)
	}
	for _, path := range []string{subs, came.ID} {
		resp := s.do(t, "GET", path, "", watcher...)
		tag := resp.Header.Get("ETag")
		body := text(t, resp)
		same := s.do(t, "GET", path, "", append(watcher, "If-None-Match", `"x", W/`+tag)...)
		if got := text(t, same); tag == "" || body == "" || same.StatusCode != 304 || got != "" || same.Header.Get("ETag") != tag || same.Header.Get("Last-Event-ID") == "" {
			t.Errorf("%s: it has the ETag %s, and is then %s %v %q", path, tag, same.Status, same.Header, got)
		}
		s.publish(t, "topic", "x", "data", "the place to subscribe from moves on")
		if other := s.do(t, "GET", path, "", append(watcher, "If-None-Match", tag)...); other.StatusCode != 200 || other.Header.Get("ETag") == tag {
			t.Errorf("%s: when it has changed it is %s %v", path, other.Status, other.Header)
		}
	}
	if one := get(came.ID, 200, watcher...); one.ID != came.ID || !one.Active || one.Context == "" || one.LastEventID == "" {
		t.Errorf("one: %+v", one)
	}
	of := strings.TrimSuffix(came.ID, "/"+url.QueryEscape(came.Subscriber))
	if some := get(of, 200, watcher...); len(some.Subscriptions) != 1 || some.Subscriptions[0].ID != came.ID {
		t.Errorf("of a topic: %+v", some)
	}
	if none := get(subs+"/nobody", 200, watcher...); none.Subscriptions == nil || len(none.Subscriptions) != 0 {
		t.Errorf("of another: %+v", none)
	}
	get(subs+"/nobody/urn%3Auuid%3Ax", 404, watcher...)
	get(subs+"/a/b/c", 404, bearer(token(t, "", "*", ""))...)
	get(subs, 403)
	get(subs, 403, bearer(token(t, "*", "news", ""))...)
	get(subs, 403, bearer(token(t, "", of, ""))...)
	get(of, 200, bearer(token(t, "", of, ""))...)
	get(subs, 401, bearer("nonsense")...)

	leave()
	if left := next(); left.ID != came.ID || left.Active {
		t.Errorf("told of %+v, want its leaving", left)
	}
	eventually(t, func() bool { return len(get(subs, 200, watcher...).Subscriptions) == 1 })

	off := newServer(t, eventlog.Retention{}, true, mercure.Options{})
	if resp := off.do(t, "GET", subs, "", watcher...); resp.StatusCode != 404 {
		t.Errorf("switched off: %s", resp.Status)
	}
}

// TestSubscriptionListIsWhole lists more streams than a page holds, some with long
// topics, and checks that the document has each subscription once.
func TestSubscriptionListIsWhole(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{Subscriptions: true})
	watcher := bearer(token(t, "", "*", ""))
	want := map[string]bool{} // topics and subscribers
	for n := range 700 {
		texts := []string{"all", fmt.Sprint("row/", n), fmt.Sprint(n%3, "/", strings.Repeat("ä", n))}
		sel, err := topic.Parse(texts...)
		if err != nil {
			t.Fatal(err)
		}
		st, err := s.hub.Stream(t.Context(), hub.Subscription{Selectors: sel}, hub.StreamOptions{Peer: hub.Peer{Payload: `{"n":"<&>"}`}})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		id := uuid(st.ID())
		for _, text := range texts {
			want[text+" "+id] = true
		}
	}
	for topic, n := range map[string]int{"": len(want), "all": 700, "row/7": 1, "none": 0} {
		resp := s.do(t, "GET", strings.TrimSuffix(path+"/subscriptions/"+url.PathEscape(topic), "/"), "", watcher...)
		var document struct {
			Subscriptions []struct {
				ID, Topic, Subscriber string
				Active                bool
				Payload               json.RawMessage
			}
		}
		if err := json.NewDecoder(resp.Body).Decode(&document); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%q: %s, %v", topic, resp.Status, err)
		}
		seen := map[string]bool{}
		for _, sub := range document.Subscriptions {
			key := sub.Topic + " " + sub.Subscriber
			if !want[key] || seen[key] || !sub.Active || string(sub.Payload) != `{"n":"<&>"}` {
				t.Errorf("%q: %+v is listed twice, or is none", topic, sub)
			}
			seen[key] = true
		}
		if len(seen) != n {
			t.Errorf("%q: %d subscriptions are listed, want %d", topic, len(seen), n)
		}
		eventually(t, func() bool { return s.hub.Budget().Share(budget.Lists).Used() == 0 })
	}
}

// TestSubscriptionListEndsWhenNobodyReads checks that a list whose client reads nothing
// ends and releases its memory.
func TestSubscriptionListEndsWhenNobodyReads(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{Subscriptions: true})
	watcher := token(t, "", "*", "")
	for n := range 300 {
		var texts []string
		for m := range 15 {
			texts = append(texts, fmt.Sprint(n, "/", m, "/", strings.Repeat("x", 4000)))
		}
		sel, err := topic.Parse(texts...)
		if err != nil {
			t.Fatal(err)
		}
		st, err := s.hub.Stream(t.Context(), hub.Subscription{Selectors: sel}, hub.StreamOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
	}
	keys, err := auth.ParseKeys(secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := mercure.Options{Subscriptions: true}
	authority, err := auth.New(auth.Options{SubscriberKeys: keys})
	if err != nil {
		t.Fatal(err)
	}
	api := httpapi.New(edge.New(s.hub, edge.Options{Auth: authority, WriteTimeout: 300 * time.Millisecond}), httpapi.Options{})
	m, ended := mercure.New(api.Edge(), o), make(chan struct{})
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		m.ServeHTTP(w, r)
	}))
	defer served.Close()
	defer api.Close()
	conn, err := net.Dial("tcp", served.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer %s\r\n\r\n", path+"/subscriptions", watcher)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the list waits for its client")
	}
	if held := s.hub.Budget().Share(budget.Lists).Used(); held != 0 {
		t.Errorf("%d bytes are held when it has ended", held)
	}
}

// uuid returns a stream's id in the form of the protocol.
func uuid(id hub.StreamID) string {
	h := fmt.Sprintf("%x", id[:])
	return "urn:uuid:" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
	}
}

// A draining hub sends its clients a reconnection time, and no blank line that they
// would take for an event.
func TestDrain(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{})
	st := s.subscribe(t, "topic=a")
	if err := s.hub.Drain(t.Context(), 10*time.Millisecond, time.Second); err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]io.Reader{"open": st.lines, "new": s.subscribe(t, "topic=a").lines} {
		b, err := io.ReadAll(in)
		if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(string(b), "\n\n") || !strings.Contains(string(b), "retry: ") || !strings.Contains(string(b), "\nid: urn:uuid:") {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// The requests that symfony/mercure 0.6 sends through symfony/http-client, byte for
// byte except host, token and length.
func TestSymfonyPublisher(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{})
	st := s.subscribe(t, "topic=*", bearer(token(t, "", "*", ""))...)
	addr := s.Listener.Addr().String()
	for body, want := range map[string]string{
		// new Update('https://example.com/books/1', json_encode([...]))
		"topic=https%3A%2F%2Fexample.com%2Fbooks%2F1&data=%7B%22status%22%3A%22OutOfStock%22%7D": "data: {\"status\":\"OutOfStock\"}\n",
		// new Update([$iri, $alternate], 'x y', true, 'urn:uuid:…', 'price', 5000)
		"topic=https%3A%2F%2Fexample.com%2Fbooks%2F1&topic=https%3A%2F%2Fexample.com%2Fusers%2Fdunglas&data=x+y&private=on&id=urn%3Auuid%3Afe3c5bd6-2ea2-4e4e-9f5c-e5a4a4f5a7b0&type=price&retry=5000": "retry: 5000\nevent: price\nid: urn:uuid:fe3c5bd6-2ea2-4e4e-9f5c-e5a4a4f5a7b0\ndata: x y\n",
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "POST /.well-known/mercure HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-www-form-urlencoded\r\nAccept: */*\r\nContent-Length: %d\r\nUser-Agent: Symfony HttpClient (Curl)\r\nAccept-Encoding: gzip\r\n\r\n%s",
			addr, token(t, "*", "", ""), len(body), body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		id := text(t, resp)
		_ = conn.Close()
		if resp.StatusCode != 200 || !strings.HasPrefix(id, "urn:uuid:") {
			t.Errorf("%s: %q", resp.Status, id)
		}
		if got := st.event(t); !strings.HasSuffix(got, want) && !strings.HasSuffix(got, "id: "+id+"\n"+want) {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}

func TestLink(t *testing.T) {
	h := http.Header{}
	mercure.Link{Hub: "https://hub.example" + path, LastEventID: `a"b\c`, ContentType: "application/ld+json", Self: "https://example.com/books/1"}.Set(h)
	want := []string{`<https://hub.example/.well-known/mercure>; rel="mercure"; last-event-id="a\"b\\c"; content-type="application/ld+json"`, `<https://example.com/books/1>; rel="self"`}
	if got := h.Values("Link"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
	h = http.Header{}
	mercure.Link{Hub: "https://hub.example/>; rel=\"x\"\r\nSet-Cookie: a=b"}.Set(h)
	if got := h.Get("Link"); strings.ContainsAny(got, "\r\n") || strings.Count(got, ">") != 1 {
		t.Errorf("got %q", got)
	}
}

// A publisher that writes everything before it reads sees why its body was refused.
func TestRefusalIsNotLost(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{})
	body := strings.Repeat("x", 10<<20)
	for head, want := range map[string]string{
		"POST " + path + " HTTP/1.1\r\nAuthorization: Bearer " + token(t, "*", "", ""): "413",
		"POST " + path + " HTTP/1.1":         "401",
		"POST " + path + " HTTP/1.0":         "401",
		"PUT " + path + " HTTP/1.1":          "405",
		"POST " + path + "/nothing HTTP/1.1": "404",
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(conn, head+"\r\nHost: localhost\r\nContent-Length: 10485760\r\n\r\n"+body)
		answer := make([]byte, len("HTTP/1.1 413"))
		_, readErr := io.ReadFull(conn, answer)
		if err = errors.Join(err, readErr); err != nil || !strings.HasSuffix(string(answer), want) {
			t.Errorf("%.60s: %q, %v; want %s", head, answer, err, want)
		}
		_ = conn.Close()
	}
}

// A ban also holds on this path.
func TestBan(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, true, mercure.Options{})
	wide := s.subscribe(t, "topic={%2Bx}")
	sel, err := topic.Parse("users/{id}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.hub.Ban(sel, time.Hour); err != nil {
		t.Fatal(err)
	}
	s.publish(t, "topic", "users/42", "data", "secret")
	s.publish(t, "topic", "news", "data", "end")
	for _, st := range []*stream{wide, s.subscribe(t, "topic=*&lastEventID=earliest")} {
		if got := st.event(t); !strings.Contains(got, "end") {
			t.Errorf("while the ban lasts: %q", got)
		}
	}
	if resp := s.do(t, "GET", path+"?topic=users/{name}", "", "Accept", "text/event-stream"); resp.StatusCode != http.StatusNoContent {
		t.Errorf("coming back: %s", resp.Status)
	}
}
