package httpapi_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
)

const secret = "a secret of thirty-two bytes or more"

func authority(t *testing.T, change func(*auth.Options)) *auth.Auth {
	t.Helper()
	keys, err := auth.ParseKeys(secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := auth.Options{PublisherKeys: keys, SubscriberKeys: keys, Cookie: auth.DefaultCookie, Origins: []string{"https://app.example"}}
	if change != nil {
		change(&o)
	}
	a, err := auth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// token returns a token that grants publishing and subscribing, and expires.
func token(t *testing.T, publish, subscribe string, change ...func(*auth.Claims)) string {
	t.Helper()
	c := &auth.Claims{Mercure: &auth.Access{Publish: strings.Fields(publish), Subscribe: strings.Fields(subscribe)}}
	c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(time.Hour))
	for _, f := range change {
		f(c)
	}
	text, err := auth.Mint(c, secret, "")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func admin(c *auth.Claims)   { c.Tidings = &auth.Tidings{Admin: true} }
func expired(c *auth.Claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Hour)) }
func subject(name string) func(*auth.Claims) {
	return func(c *auth.Claims) { c.Subject = name }
}

// The ways in which a token can arrive.
func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }
func cookie(token string, more ...string) []string {
	return append([]string{"Cookie", auth.DefaultCookie + "=" + token}, more...)
}

// TestWhoMay checks which requests each kind of token allows, by status alone.
func TestWhoMay(t *testing.T) {
	none := []string(nil)
	good := token(t, "news orders/{id}", "*")
	basic := []string{"Authorization", "Basic dXNlcjpwdw=="}
	const hubOrigin, foreign = "https://app.example", "https://evil.example"
	for _, tt := range []struct {
		why       string
		anonymous bool
		method    string
		path      string
		header    []string
		status    int
		says      string // in the problem's detail
	}{
		{"publish, no token", false, "POST", "/events/news", none, 401, "Bearer TOKEN"},
		{"publish, no token, public hub", true, "POST", "/events/news", none, 401, "Bearer TOKEN"},
		{"publish, granted", false, "POST", "/events/news", bearer(good), 201, ""},
		{"publish, granted by a template", false, "POST", "/events?topic=orders/7", bearer(good), 201, ""},
		{"publish, granted by *", false, "POST", "/events/any", bearer(token(t, "*", "")), 201, ""},
		{"publish, another topic", false, "POST", "/events/sport", bearer(good), 403, `"sport"`},
		{"publish, one topic of two", false, "POST", "/events?topic=news&topic=sport", bearer(good), 403, `"sport"`},
		{"publish, a topic below the template", false, "POST", "/events?topic=orders/7/items", bearer(good), 403, "orders/7/items"},
		{"publish, the template as a topic", false, "POST", "/events?topic=orders/%7Bid%7D", bearer(good), 201, ""},
		{"publish, a subscriber's token", false, "POST", "/events/news", bearer(token(t, "", "*")), 403, "mercure.publish"},
		{"publish, a token without claims", false, "POST", "/events/news", bearer(token(t, "", "", func(c *auth.Claims) { c.Mercure = nil })), 403, "mercure.publish"},
		{"publish, the namespaced claim", false, "POST", "/events/news", bearer(token(t, "", "", func(c *auth.Claims) {
			c.Mercure, c.Namespaced = nil, &auth.Access{Publish: []string{"news"}}
		})), 201, ""},
		{"publish, both claims: the namespaced one counts", false, "POST", "/events/news", bearer(token(t, "news", "", func(c *auth.Claims) {
			c.Namespaced = &auth.Access{}
		})), 403, "mercure.publish"},
		{"publish, expired", false, "POST", "/events/news", bearer(token(t, "*", "*", expired)), 401, "expired"},
		{"publish, not valid yet", false, "POST", "/events/news", bearer(token(t, "*", "*", func(c *auth.Claims) {
			c.NotBefore = jwt.NewNumericDate(time.Now().Add(time.Hour))
		})), 401, "not valid yet"},
		{"publish, no token after Bearer", false, "POST", "/events/news", []string{"Authorization", "Bearer "}, 401, "Bearer TOKEN"},
		{"publish, another scheme", false, "POST", "/events/news", basic, 401, "Bearer TOKEN"},
		{"publish, the scheme in lower case", false, "POST", "/events/news", []string{"Authorization", "bearer " + good}, 201, ""},
		{"publish, a token in the query", false, "POST", "/events/news?authorization=" + good, none, 401, "Bearer TOKEN"},
		{"publish by cookie, a foreign page, beside credentials for a proxy", false, "POST", "/events/news", append(cookie(good, "Origin", foreign), basic...), 403, "cookie"},
		{"publish by cookie, own page", false, "POST", "/events/news", cookie(good, "Origin", "SELF"), 201, ""},
		{"publish by cookie, a page that is named", false, "POST", "/events/news", cookie(good, "Origin", hubOrigin), 201, ""},
		{"publish by cookie, by Referer", false, "POST", "/events/news", cookie(good, "Referer", hubOrigin+"/page?q"), 201, ""},
		{"publish by cookie, a foreign page", false, "POST", "/events/news", cookie(good, "Origin", foreign), 403, "cookie"},
		{"publish by cookie, a foreign Referer", false, "POST", "/events/news", cookie(good, "Referer", foreign+"/https://app.example"), 403, "cookie"},
		{"publish by cookie, Origin beats Referer", false, "POST", "/events/news", cookie(good, "Origin", foreign, "Referer", hubOrigin), 403, "cookie"},
		{"publish by cookie, neither", false, "POST", "/events/news", cookie(good), 403, "cookie"},
		{"publish by cookie, a page without origin", false, "POST", "/events/news", cookie(good, "Origin", "null"), 403, "cookie"},
		{"publish by cookie, an origin that only begins right", false, "POST", "/events/news", cookie(good, "Origin", hubOrigin+".evil.example"), 403, "cookie"},
		{"publish by cookie, the other scheme", false, "POST", "/events/news", cookie(good, "Origin", "http://app.example"), 403, "cookie"},
		{"publish by two cookies", false, "POST", "/events/news", []string{"Cookie", "mercureAuthorization=a; mercureAuthorization=" + good, "Origin", hubOrigin}, 400, "one"},
		{"publish by an empty cookie", false, "POST", "/events/news", cookie("", "Origin", hubOrigin), 401, "Bearer TOKEN"},
		{"publish, the header beats the cookie", false, "POST", "/events/news", append(cookie(good, "Origin", hubOrigin), bearer(token(t, "", ""))...), 403, "mercure.publish"},
		{"publish, with a header no page matters", false, "POST", "/events/news", append(bearer(good), "Origin", foreign), 201, ""},
		{"publish, one selector of the grant cannot be read", false, "POST", "/events/news", bearer(token(t, "news {", "")), 401, "--inspect"},
		{"a batch is refused whole without a token", false, "POST", "/events", []string{"Content-Type", "application/x-ndjson"}, 401, ""},

		{"read, no token", false, "GET", "/events/news", none, 401, "Bearer TOKEN"},
		{"read, no token, public hub", true, "GET", "/events/news", none, 200, ""},
		{"read, any token", false, "GET", "/events/news", bearer(token(t, "", "")), 200, ""},
		{"read, a publisher's token", false, "GET", "/events/news", bearer(token(t, "*", "")), 200, ""},
		{"read, expired", false, "GET", "/events/news", bearer(token(t, "*", "*", expired)), 401, "expired"},
		{"read, expired, public hub", true, "GET", "/events/news", bearer(token(t, "*", "*", expired)), 401, "expired"},
		{"read, nonsense, public hub", true, "GET", "/events/news", bearer("nonsense"), 401, "does not accept"},
		{"read by cookie", false, "GET", "/events/news", cookie(good), 200, ""},
		{"read, credentials for a proxy, public hub", true, "GET", "/events/news", basic, 200, ""},
		{"read, credentials for a proxy", false, "GET", "/events/news", basic, 401, "Bearer TOKEN"},
		{"read by cookie, beside credentials for a proxy", false, "GET", "/events/news", append(cookie(good), basic...), 200, ""},
		{"read by cookie, expired, beside credentials for a proxy, public hub", true, "GET", "/events/news", append(cookie(token(t, "", "", expired)), basic...), 401, "expired"},
		{"read, a token without its scheme, public hub", true, "GET", "/events/news", []string{"Authorization", good}, 401, "Bearer TOKEN"},
		{"read, no token after Bearer, public hub", true, "GET", "/events/news", []string{"Authorization", "Bearer "}, 401, "Bearer TOKEN"},
		{"read by cookie, expired, public hub", true, "GET", "/events/news", cookie(token(t, "", "", expired)), 401, "expired"},
		{"read by cookie of another name", false, "GET", "/events/news", []string{"Cookie", "other=" + good}, 401, "Bearer TOKEN"},
		{"read by query, which is Mercure's", false, "GET", "/events/news?authorization=" + good, none, 401, "Bearer TOKEN"},
		{"a stream, no token", false, "GET", "/events/news", []string{"Accept", "text/event-stream"}, 401, "Bearer TOKEN"},
		{"no token comes before what else is wrong", false, "GET", "/events", none, 401, ""},
		{"topics, no token", false, "GET", "/topics", none, 401, ""},
		{"topics, no token, public hub", true, "GET", "/topics", none, 200, ""},

		{"delete, no token", false, "DELETE", "/events?topic=x", none, 401, ""},
		{"delete, all but admin", false, "DELETE", "/events?topic=x", bearer(token(t, "*", "*")), 403, "admin"},
		{"delete, admin", false, "DELETE", "/events?topic=x", bearer(token(t, "", "", admin)), 200, ""},
		{"delete, admin by cookie from a foreign page", false, "DELETE", "/events?topic=x", cookie(token(t, "", "", admin), "Origin", foreign), 403, "cookie"},
		{"presence, not admin", true, "GET", "/subscriptions", bearer(token(t, "*", "*")), 403, "admin"},
		{"presence, admin", false, "GET", "/subscriptions", bearer(token(t, "", "", admin)), 200, ""},
		{"presence, admin by cookie", false, "GET", "/subscriptions", cookie(token(t, "", "", admin)), 200, ""},
		{"stats, no token, public hub", true, "GET", "/stats", none, 401, ""},
		{"stats, admin", false, "GET", "/stats", bearer(token(t, "", "", admin)), 200, ""},
		{"metrics, not admin", false, "GET", "/metrics", bearer(good), 403, "admin"},
		{"metrics, admin", false, "GET", "/metrics", bearer(token(t, "", "", admin)), 200, ""},
		{"an admin publishes no more than it is granted", false, "POST", "/events/news", bearer(token(t, "", "", admin)), 403, "mercure.publish"},
		{"health", false, "GET", "/healthz", none, 200, ""},
		{"readiness", false, "GET", "/readyz", none, 200, ""},
	} {
		s := newServer(t, eventlog.Retention{}, edge.Options{Auth: authority(t, func(o *auth.Options) { o.Anonymous = tt.anonymous })})
		header := append([]string{"Accept", "application/x-ndjson"}, tt.header...)
		for i, v := range header {
			if v == "SELF" {
				header[i] = s.URL
			}
		}
		resp := s.do(t, tt.method, tt.path, "x", header...)
		if tt.method != "POST" {
			resp = s.do(t, tt.method, tt.path, "", header...)
		}
		if tt.status/100 == 2 {
			if resp.StatusCode != tt.status {
				body, _ := io.ReadAll(resp.Body)
				t.Errorf("%s: %s %s; want %d", tt.why, resp.Status, body, tt.status)
			}
			continue
		}
		wantProblem(t, tt.why, resp, tt.status, tt.says)
		if got := resp.Header.Get("WWW-Authenticate"); strings.HasPrefix(got, "Bearer") != (tt.status != 400) {
			t.Errorf("%s: WWW-Authenticate %q", tt.why, got)
		}
		if resp.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", tt.why)
		}
	}
}

// TestWhoSees checks which events each token shows: live, replayed and read, parked and
// not, with each engine.
func TestWhoSees(t *testing.T) {
	a := authority(t, func(o *auth.Options) { o.Anonymous = true })
	for _, unparked := range []bool{false, true} {
		o := edge.Options{Auth: a, Unparked: unparked}
		t.Run(fmt.Sprintf("memory, unparked %v", unparked), func(t *testing.T) { whoSees(t, newServer(t, eventlog.Retention{}, o)) })
		t.Run(fmt.Sprintf("disk, unparked %v", unparked), func(t *testing.T) {
			log, err := disklog.Open(t.TempDir(), disklog.Options{MinFree: -1, Relaxed: true})
			if err != nil {
				t.Fatal(err)
			}
			whoSees(t, serveLog(t, log, o))
		})
	}
}

func whoSees(t *testing.T, s *server) {
	publisher := bearer(token(t, "*", ""))
	fill := func() {
		for _, e := range []string{
			"topic=room&data=public", "topic=room&data=room&private=1", "topic=users/1&data=one&private=1",
			"topic=room&topic=users/2&data=two&private=1", "topic=room&data=end",
		} {
			if resp := s.do(t, "POST", "/events?"+e, "", publisher...); resp.StatusCode != 201 {
				t.Fatal(resp.Status)
			}
		}
	}
	type reader struct {
		why    string
		query  string
		header []string
		want   string
	}
	readers := []reader{
		{"nobody", "topic=*", nil, "public end"},
		{"a token without a grant", "topic=*", bearer(token(t, "*", "")), "public end"},
		{"a grant for something else", "topic=*", bearer(token(t, "", "elsewhere")), "public end"},
		{"a grant that only begins like the topic", "topic=*", bearer(token(t, "", "roo room/ users/")), "public end"},
		{"a grant for the topic", "topic=room", bearer(token(t, "", "room")), "public room two end"},
		{"a grant for another topic of the event", "topic=room", bearer(token(t, "", "users/2")), "public two end"},
		{"a grant by template", "topic=*", bearer(token(t, "", "users/{id}")), "public one two end"},
		{"a template that asks, a topic that grants", "topic=users/{id}&topic=room", bearer(token(t, "", "users/1")), "public one end"},
		{"a grant for all", "topic=*", bearer(token(t, "", "*")), "public room one two end"},
		{"by cookie", "topic=*", cookie(token(t, "", "users/1")), "public one end"},
		{"an admin is granted no events", "topic=*", bearer(token(t, "", "", admin)), "public end"},
		{"a type asked for", "topic=*&type=message", bearer(token(t, "", "room")), "public room two end"},
	}
	// Every way in which the token can arrive.
	for _, r := range readers {
		if len(r.header) == 0 || r.header[0] != "Authorization" {
			continue
		}
		readers = append(readers,
			reader{r.why + ", by cookie", r.query, cookie(strings.TrimPrefix(r.header[1], "Bearer ")), r.want},
			reader{r.why + ", by ticket", r.query + "&ticket=" + s.ticket(t, r.header...), nil, r.want})
	}
	data := func(st *stream) (all []string) {
		for {
			block := st.block(t)
			if strings.Contains(block, "event: position\n") {
				continue
			}
			for line := range strings.SplitSeq(block, "\n") {
				if d, ok := strings.CutPrefix(line, "data: "); ok {
					all = append(all, d)
				}
			}
			if strings.HasSuffix(block, "data: end") {
				return all
			}
		}
	}
	var live []*stream
	for _, r := range readers {
		st := s.subscribe(t, "/events?"+r.query, r.header...)
		st.place(t)
		live = append(live, st)
	}
	fill()
	for i, r := range readers {
		for how, got := range map[string][]string{
			"live":       data(live[i]),
			"replayed":   data(s.subscribe(t, "/events?"+r.query+"&last_event_id=earliest", r.header...)),
			"the newest": data(s.subscribe(t, "/events?"+r.query+"&last=100", r.header...)),
		} {
			if strings.Join(got, " ") != r.want {
				t.Errorf("%s, %s: got %q, want %q", r.why, how, got, r.want)
			}
		}
		resp := s.do(t, "GET", "/events?"+r.query, "", append([]string{"Accept", "application/x-ndjson"}, r.header...)...)
		body, _ := io.ReadAll(resp.Body)
		for _, d := range []string{"public", "room", "one", "two", "end"} {
			if strings.Contains(string(body), `"data":"`+d+`"`) != strings.Contains(" "+r.want+" ", " "+d+" ") {
				t.Errorf("%s, read: %s, want %q", r.why, body, r.want)
			}
		}
	}
}

func TestTopicsThatMayBeSeen(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{Auth: authority(t, func(o *auth.Options) { o.Anonymous = true })})
	for _, e := range []string{"topic=open&data=x", "topic=open&data=y&private=1", "topic=secret&data=z&private=1"} {
		s.do(t, "POST", "/events?"+e, "", bearer(token(t, "*", ""))...)
	}
	for grant, want := range map[string][]string{
		"":       {`"topic":"open","last_event_id"`},
		"secret": {`"topic":"open","last_event_id"`, `"topic":"secret","events":1,`},
		"*":      {`"topic":"open","events":2,`, `"topic":"secret","events":1,`},
	} {
		resp := s.do(t, "GET", "/topics", "", bearer(token(t, "", grant))...)
		body, _ := io.ReadAll(resp.Body)
		if strings.Count(string(body), "\n") != len(want) {
			t.Errorf("grant %q: %s", grant, body)
		}
		for _, w := range want {
			if !strings.Contains(string(body), w) {
				t.Errorf("grant %q: %s, want %s", grant, body, w)
			}
		}
	}
}

// A batch's items are refused one by one; the others are published.
func TestBatchOfTopicsThatAreNotGranted(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{Auth: authority(t, nil)})
	resp := s.do(t, "POST", "/events", `{"topic":"a","data":1}`+"\n"+`{"topic":"b","data":2}`+"\n"+`{"topics":["a","b"]}`+"\n",
		append(bearer(token(t, "a", "")), "Content-Type", "application/x-ndjson")...)
	body, _ := io.ReadAll(resp.Body)
	lines := strings.Split(string(body), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], `{"id"`) || !strings.HasPrefix(lines[1], `{"status":403`) || !strings.HasPrefix(lines[2], `{"status":403`) {
		t.Errorf("%s %s", resp.Status, body)
	}
}

// An id deduplicates only among the events of one subject.
func TestIdempotencyIsPerSubject(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{Auth: authority(t, nil)})
	for i, step := range []struct {
		subject, data string
		status        int
	}{{"ann", "x", 201}, {"ann", "x", 201}, {"ann", "y", 409}, {"bob", "y", 201}, {"bob", "x", 409}, {"", "z", 201}, {"", "x", 409}} {
		for _, h := range [][]string{{"Idempotency-Key", "k"}, nil} {
			path := "/events?topic=a"
			if h == nil {
				path += "&id=mine"
			}
			resp := s.do(t, "POST", path, step.data, append(append(h, bearer(token(t, "*", "", subject(step.subject)))...), "Content-Type", "text/plain")...)
			if resp.StatusCode != step.status {
				t.Errorf("step %d, %v: %s, want %d", i, h, resp.Status, step.status)
			}
		}
	}
}

func TestStreamEndsWithItsToken(t *testing.T) {
	for _, unparked := range []bool{false, true} {
		endsWithItsToken(t, newServer(t, eventlog.Retention{}, edge.Options{Auth: authority(t, nil), Unparked: unparked}))
	}
}

func endsWithItsToken(t *testing.T, s *server) {
	soon := token(t, "", "*", func(c *auth.Claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(1500 * time.Millisecond)) })
	st := s.subscribe(t, "/events/a", bearer(soon)...)
	st.place(t)
	if rest := st.breaksOff(t, "at its token's end"); rest != "" {
		t.Errorf("the stream goes on with %q", rest)
	}
	resp := s.do(t, "GET", "/events/a", "", append(bearer(soon), "Accept", "text/event-stream")...)
	wantProblem(t, "coming back with it", resp, http.StatusUnauthorized, "expired")
}

// The cause of a refusal is in the log, under the answer's request id, and not in the
// answer.
func TestRefusalIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, eventlog.Retention{}, edge.Options{Auth: authority(t, nil), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	resp := s.do(t, "POST", "/events/a", "x", "Authorization", "Bearer "+token(t, "*", "")+"x", "X-Request-Id", "mine-1")
	body, _ := io.ReadAll(resp.Body)
	if id := resp.Header.Get("X-Request-Id"); id != "mine-1" || !strings.Contains(log.String(), "request_id=mine-1") || !strings.Contains(log.String(), "signature") {
		t.Errorf("request id %q, log %s", id, log.String())
	}
	if text := string(body) + resp.Header.Get("WWW-Authenticate"); strings.Contains(text, "signature") || strings.Contains(text, "HS256") {
		t.Errorf("the answer says too much: %s", text)
	}
	resp = s.do(t, "POST", "/events/a", "x", "X-Request-Id", "forged level=ERROR")
	if strings.Contains(log.String(), "forged") || resp.Header.Get("X-Request-Id") == "" {
		t.Errorf("a request id that is none: %s", log.String())
	}
}

// A shared cache may not store an answer that a token, a cookie or a ticket decided.
func TestCacheControl(t *testing.T) {
	const public, private = "no-cache, no-transform", "private, no-cache, no-transform"
	open := newServer(t, eventlog.Retention{}, edge.Options{})
	guarded := newGuarded(t, func(o *auth.Options) { o.Anonymous = true })
	reader := token(t, "", "a")
	for _, tt := range []struct {
		why    string
		s      *server
		path   string
		header []string
		want   string
	}{
		{"a hub without keys", open, "/events/a", nil, public},
		{"whatever is sent to it", open, "/events/a", bearer(reader), public},
		{"an anonymous reader", guarded, "/events/a", nil, public},
		{"a token", guarded, "/events/a", bearer(reader), private},
		{"a cookie", guarded, "/events/a", cookie(reader), private},
		{"a ticket", guarded, "/events/a?ticket=" + guarded.ticket(t, bearer(reader)...), nil, private},
	} {
		st := tt.s.subscribe(t, tt.path, tt.header...)
		if got := st.Header.Values("Cache-Control"); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: Cache-Control %q, want %q", tt.why, got, tt.want)
		}
	}
}
