package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
)

func TestStreamBegins(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{Retry: 1500 * time.Millisecond})
	before := s.publish(t, "news", "before")
	st := s.subscribe(t, "/events/news")
	for name, want := range map[string]string{
		"Content-Type":      "text/event-stream",
		"Cache-Control":     "no-cache, no-transform",
		"X-Accel-Buffering": "no",
	} {
		if got := st.Header.Get(name); got != want {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
	st.expect(t, "retry: 1500\nevent: position\nid: "+before+"\ndata: {}")
	if !regexp.MustCompile(`^_[A-Za-z0-9_-]{1,39}$`).MatchString(before) {
		t.Errorf("the hub gave the id %q", before)
	}
	id := s.publish(t, "news", "hello")
	st.expect(t, "id: "+id+"\ndata: hello")
}

func TestResume(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	var ids []string
	for i := range 5 {
		ids = append(ids, s.publish(t, "news", fmt.Sprint(i)))
	}
	for _, tt := range []struct {
		why, path, header string
		want              int // the first event that arrives
	}{
		{"header", "/events/news", ids[1], 2},
		{"query", "/events/news?last_event_id=" + ids[2], "", 3},
		{"Mercure's spelling", "/events/news?lastEventID=" + ids[2], "", 3},
		{"a polyfill's spelling", "/events/news?lastEventId=" + ids[2], "", 3},
		{"the header has seen more than the query", "/events/news?last_event_id=" + ids[0], ids[3], 4},
		{"the header beats since as well", "/events/news?since=1h", ids[3], 4},
		{"everything", "/events/news?last_event_id=earliest", "", 0},
		{"since a duration", "/events/news?since=15m", "", 0},
		{"since Unix seconds", fmt.Sprint("/events/news?since=", time.Now().Add(-time.Minute).Unix()), "", 0},
		{"since a time", "/events/news?since=" + time.Now().Add(-time.Minute).UTC().Format(time.RFC3339), "", 0},
		{"since a time with a zone, whose + nobody escaped", "/events/news?since=2020-01-01T00:00:00+02:00", "", 0},
		{"since the first second there is", "/events/news?since=0", "", 0},
		{"since the first time there is", "/events/news?since=0001-01-01T00:00:00Z", "", 0},
		{"the newest two", "/events/news?last=2", "", 3},
		{"what a polyfill appends beats last", "/events/news?last=5&lastEventId=" + ids[2], "", 3},
		{"and since", "/events/news?since=15m&lastEventId=" + ids[2], "", 3},
		{"and everything", "/events/news?last_event_id=earliest&lastEventId=" + ids[2], "", 3},
		{"and everything in Mercure's spelling", "/events/news?lastEventID=earliest&lastEventId=" + ids[2], "", 3},
		{"so does what one for Mercure appends", "/events/news?last=5&lastEventID=" + ids[2], "", 3},
		{"or an older one", "/events/news?last=5&Last-Event-Id=" + ids[2], "", 3},
		{"wherever it stands", "/events/news?lastEventId=" + ids[2] + "&last=5", "", 3},
		{"what is appended each time counts by its end", "/events/news?lastEventId=" + ids[0] + "&lastEventId=" + ids[2], "", 3},
		{"what is appended and empty counts for nothing", "/events/news?last=2&lastEventId=", "", 3},
		{"the header beats all of them", "/events/news?last=5&lastEventID=earliest&lastEventId=" + ids[1], ids[3], 4},
	} {
		t.Run(tt.why, func(t *testing.T) {
			st := s.subscribe(t, tt.path, "Last-Event-ID", tt.header)
			st.place(t)
			for i := tt.want; i < 5; i++ {
				st.expect(t, fmt.Sprintf("id: %s\ndata: %d", ids[i], i))
			}
		})
	}
}

// A stream that breaks before its first event resumes at its position.
func TestResumeBeforeTheFirstEvent(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	st := s.subscribe(t, "/events/news")
	place := st.place(t)
	_ = st.Body.Close()
	id := s.publish(t, "news", "missed")
	st = s.subscribe(t, "/events/news", "Last-Event-ID", place)
	if got := st.place(t); got != place {
		t.Errorf("resumed at %s, not at %s", got, place)
	}
	st.expect(t, "id: "+id+"\ndata: missed")
}

func TestGapInBand(t *testing.T) {
	s := newServer(t, eventlog.Retention{Events: 2}, edge.Options{})
	first := s.publish(t, "news", "0")
	dropped := s.publish(t, "news", "1")
	s.publish(t, "news", "2")
	last := s.publish(t, "news", "3")
	for _, tt := range []struct{ why, requested, resumedAfter, reason string }{
		{"trimmed", first, dropped, "trimmed"},
		{"unknown, and long", strings.Repeat("é", 200), last, "unknown"},
	} {
		// A filter by type does not hide the gap, and an envelope does not change it.
		st := s.subscribe(t, "/events/news?type=none&envelope=json", "Last-Event-ID", tt.requested)
		requested := tt.requested[:min(len(tt.requested), 128)]
		// The gap is the first block. A stream that breaks within it resumes where it
		// began.
		st.expect(t, fmt.Sprintf("retry: 3000\nevent: gap\nid: %s\ndata: {\"requested\":\"%s\",\"resumed_after\":\"%s\",\"reason\":\"%s\"}",
			tt.resumedAfter, requested, tt.resumedAfter, tt.reason))
	}
}

// since leads to a gap as an id does.
func TestGapSince(t *testing.T) {
	s := newServer(t, eventlog.Retention{Events: 2}, edge.Options{})
	for range 4 {
		s.publish(t, "news", "x")
	}
	st := s.subscribe(t, "/events/news?since=1h")
	if got := st.block(t); !strings.HasPrefix(got, "retry: 3000\nevent: gap\nid: ") || !strings.Contains(got, "trimmed") {
		t.Errorf("the stream begins with %q, not with the gap", got)
	}
}

func TestHeartbeat(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{Heartbeat: 20 * time.Millisecond})
	st := s.subscribe(t, "/events/quiet")
	st.place(t)
	st.expect(t, ":", ":")
	id := s.publish(t, "busy", "x")
	for got := st.block(t); got != "event: position\nid: "+id+"\ndata: {}"; got = st.block(t) {
		if got != ":" {
			t.Fatalf("got %q; want heartbeats, then the new place", got)
		}
	}
	st.expect(t, ":") // the gap is reported once
}

// A stream with position=none has no position, and no block without data.
func TestNoPositions(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{Heartbeat: 20 * time.Millisecond})
	st := s.subscribe(t, "/events/quiet?position=none")
	s.publish(t, "busy", "x") // so that the log moves on
	for range 3 {
		for {
			line, err := st.lines.ReadString('\n')
			if err != nil || line != "retry: 3000\n" && line != ":\n" {
				t.Fatalf("a line %q, %v", line, err)
			}
			if line == ":\n" {
				break
			}
		}
	}
	id := s.publish(t, "quiet", "x")
	for got := st.block(t); got != "id: "+id+"\ndata: x"; got = st.block(t) {
		if got != ":" {
			t.Fatalf("got %q", got)
		}
	}
}

// A filter by type does not hide a position, and an envelope does not wrap it.
// Publishers may not use its type, and readers of NDJSON do not get it.
func TestPositionIsTheHubsOwn(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{Heartbeat: 20 * time.Millisecond})
	wantProblem(t, "its type", s.do(t, "POST", "/events/a?type=position", "x", "Content-Type", "text/plain"), 400, "hub's own")
	for _, q := range []string{"type=none", "envelope=json", "envelope=message", "position=event"} {
		st := s.subscribe(t, "/events/a?"+q)
		st.place(t)
		id := s.publish(t, "busy", "x")
		for got := st.block(t); got != "event: position\nid: "+id+"\ndata: {}"; got = st.block(t) {
			if got != ":" {
				t.Fatalf("%s: got %q", q, got)
			}
		}
	}
	stats, err := s.hub.Stats(t.Context())
	if err != nil || stats.Deliveries != 0 {
		t.Errorf("%d deliveries are counted, %v", stats.Deliveries, err)
	}
	page, err := io.ReadAll(s.do(t, "GET", "/events/a", "", "Accept", "application/x-ndjson").Body)
	if err != nil || len(page) > 0 {
		t.Errorf("read to the end: %q, %v", page, err)
	}
}

func TestTypesAndEnvelope(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	st := s.subscribe(t, "/events?topic=a&topic=b&type=price&type=message&envelope=json")
	st.place(t)
	s.do(t, "POST", "/events?topic=a&type=news", "x")
	s.do(t, "POST", "/events?topic=b&topic=c&type=price", `{"eur":1}`)
	s.publish(t, "a", "line one\r\nline two")
	for _, want := range []struct{ event, typ, topics, data string }{
		{"event: price\n", "price", "[b c]", `{"eur":1}`},
		{"", "message", "[a]", "line one\r\nline two"}, // a JSON string keeps CRLF
	} {
		block := st.block(t)
		rest, ok := strings.CutPrefix(block, want.event+"id: ")
		_, data, ok2 := strings.Cut(rest, "\ndata: ")
		var got struct {
			Topics     []string
			Type, Data string
			Time       time.Time
		}
		if err := json.Unmarshal([]byte(data), &got); err != nil || !ok || !ok2 {
			t.Fatalf("got %q: %v", block, err)
		}
		if fmt.Sprint(got.Topics) != want.topics || got.Type != want.typ || got.Data != want.data || time.Since(got.Time) > time.Minute {
			t.Errorf("got %+v; want %+v", got, want)
		}
	}
}

// One listener gets events of all types, and gaps as well.
func TestEnvelopeAsMessage(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	st := s.subscribe(t, "/events?topic=a&envelope=message&last_event_id=unknown")
	if gap := st.block(t); !strings.HasPrefix(gap, "retry: 3000\nevent: gap\n") {
		t.Errorf("the gap is %q", gap)
	}
	s.do(t, "POST", "/events?topic=a&type=price", "1")
	if got := st.block(t); !strings.HasPrefix(got, "id: ") || !strings.Contains(got, `"type":"price"`) {
		t.Errorf("got %q", got)
	}
}

func TestReadAndEnd(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	for i := range 600 { // more than any batch
		s.publish(t, []string{"a", "b"}[i%2], fmt.Sprint(i))
	}
	resp := s.do(t, "GET", "/events/a", "", "Accept", "application/x-ndjson")
	if ct := resp.Header.Get("Content-Type"); ct != "application/x-ndjson" {
		t.Errorf("Content-Type: %q", ct)
	}
	lines := bufio.NewScanner(resp.Body)
	n := 0
	for ; lines.Scan(); n++ {
		var got struct {
			ID, Type, Data string
			Topics         []string
		}
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil || got.Data != fmt.Sprint(2*n) || got.ID == "" || got.Type != "message" {
			t.Fatalf("line %d: %s, %v", n, lines.Bytes(), err)
		}
	}
	if n != 300 {
		t.Errorf("read %d events of 300", n)
	}
	live := s.publish(t, "a", "after the page")
	st := s.subscribe(t, "/events/a", "Last-Event-ID", resp.Header.Get("Last-Event-ID"))
	st.place(t)
	st.expect(t, "id: "+live+"\ndata: after the page")

	page, err := io.ReadAll(s.do(t, "GET", "/events/a?last=2", "", "Accept", "application/x-ndjson").Body)
	if err != nil || strings.Count(string(page), "\n") != 2 {
		t.Errorf("last=2: %s, %v", page, err)
	}
}

func TestSubscribeRefuses(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	for _, tt := range []struct {
		why, path, accept string
		status            int
		says              string
	}{
		{"no topic", "/events", "", 400, "topic=NAME"},
		{"an empty topic", "/events?topic=", "", 400, "must not be empty"},
		{"a long topic", "/events?topic=" + strings.Repeat("x", 5000), "", 400, "4096 bytes"},
		{"too many topics", "/events?" + strings.Repeat("topic=x&", 101), "", 400, "100 topics"},
		{"a broken template", "/events?topic=" + url.QueryEscape("a/{b"), "", 400, "URI Template"},
		{"not UTF-8", "/events?topic=%ff", "", 400, "UTF-8"},
		{"a malformed query", "/events?topic=%zz", "", 400, "query"},
		{"two places", "/events/a?last=2&since=1h", "", 400, "one of"},
		{"one place twice", "/events/a?last_event_id=x&last_event_id=x", "", 400, "one of"},
		{"two places beside what a client appends", "/events/a?last=2&since=1h&lastEventId=x", "", 400, "one of"},
		{"last of none", "/events/a?last=0", "", 400, "whole number"},
		{"last of nonsense", "/events/a?last=many", "", 400, "whole number"},
		{"since nonsense", "/events/a?since=yesterday", "", 400, "15m"},
		{"since in milliseconds", "/events/a?since=1795380807000", "", 400, "1000"},
		{"more expressions than a template may have", "/events?topic=" + url.QueryEscape(strings.Repeat("{a}", 9)), "", 400, "too large"},
		{"an unknown envelope", "/events/a?envelope=xml", "", 400, "envelope=json"},
		{"an unknown position", "/events/a?position=id", "", 400, "position=none"},
		{"an empty position", "/events/a?position=", "", 400, "position=none"},
		{"two positions", "/events/a?position=none&position=none", "", 400, "once"},
		{"an empty type", "/events/a?type=", "", 400, "message"},
		{"another media type", "/events/a", "text/html", 406, "text/event-stream to subscribe, or for application/x-ndjson to read"},
		{"a topic with slashes in the path", "/events/a/b", "", 404, "/events?topic=a%2Fb"},
		{"an IRI in the path", "/events/https://shop.example/orders/42", "", 404, "/events?topic=https%3A%2F%2Fshop.example%2Forders%2F42"},
		{"a topic with slashes, of which one is escaped", "/events/a%2Fb/c", "", 404, "/events?topic=a%2Fb%2Fc"},
		{"no name", "/events/", "", 404, "/events/NAME"},
		{"no name, escaped", "/events%2F", "", 404, "/events"},
		{"two dots", "/events/..", "", 404, "/events?topic=.."},
		{"elsewhere", "/elsewhere", "", 404, "/events"},
	} {
		wantProblem(t, tt.why, s.do(t, "GET", tt.path, "", "Accept", tt.accept), tt.status, tt.says)
	}
	wantProblem(t, "a GET with a body", s.do(t, "GET", "/events/a", "x"), 400, "no body")
	for _, path := range []string{"/topics", "/healthz", "/readyz"} {
		wantProblem(t, "another method on "+path, s.do(t, "POST", path, ""), 405, "GET")
	}
	resp := s.do(t, "PUT", "/events/a", "x")
	wantProblem(t, "another method", resp, 405, "POST publishes")
	if allow := resp.Header.Get("Allow"); allow != "DELETE, GET, HEAD, POST" {
		t.Errorf("Allow: %q", allow)
	}
}

func TestHead(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	resp := s.do(t, "HEAD", "/events/a", "")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%s, %v", resp.Status, resp.Header)
	}
}

func TestPlainNames(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	st := s.subscribe(t, "/events?topic="+url.QueryEscape("a/b ü"))
	st.place(t)
	s.do(t, "POST", "/events/a%2Fb%20%C3%BC", "escaped", "Content-Type", "text/plain")
	if got := st.block(t); !strings.HasSuffix(got, "data: escaped") {
		t.Errorf("got %q", got)
	}
}

// An EventSource gives up for good on any status but 200, so a draining hub answers it
// with 200 and a reconnection time. Other clients get a 503.
func TestDrainAnswers(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	open := s.subscribe(t, "/events/a")
	begun := open.place(t)
	if resp := s.do(t, "GET", "/readyz", ""); resp.StatusCode != 200 {
		t.Errorf("ready: %s", resp.Status)
	}
	drained := make(chan error)
	go func() { drained <- s.hub.Drain(context.Background(), 300*time.Millisecond, 2*time.Second) }()
	if got := open.block(t); !regexp.MustCompile(`^retry: [2-9]\d{3}\nevent: position\nid: ` + begun + `\ndata: {}$`).MatchString(got) {
		t.Errorf("an open stream gets %q, not a time to come back", got)
	}
	missed := s.publish(t, "a", "between the two")
	for _, tt := range []struct{ why, path, header, want string }{
		{"a new stream gets a place as well", "/events/a", "", `^retry: [2-9]\d{3}\nevent: position\nid: ` + missed + `\ndata: {}\n\n$`},
		{"one that has a place keeps it", "/events/a", missed, `^retry: [2-9]\d{3}\nevent: position\ndata: {}\n\n$`},
		{"one that wants no position gets none", "/events/a?position=none", "", `^retry: [2-9]\d{3}\n$`},
		{"one that asks for the past goes on asking", "/events/a?since=1h", "", `^retry: [2-9]\d{3}\nevent: position\ndata: {}\n\n$`},
	} {
		body := s.subscribe(t, tt.path, "Last-Event-ID", tt.header).breaksOff(t, tt.why)
		if !regexp.MustCompile(tt.want).MatchString(body) {
			t.Errorf("%s: %q; want %s and the end", tt.why, body, tt.want)
		}
	}
	if resp := s.do(t, "GET", "/events/a", "", "Accept", "application/json, Text/Event-Stream"); resp.StatusCode != 200 {
		t.Errorf("a stream by another spelling: %s", resp.Status)
	}
	resp := s.do(t, "GET", "/events/a", "", "Accept", "*/*")
	wantProblem(t, "a new request of another kind", resp, 503, "shutting down")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	wantProblem(t, "readiness", s.do(t, "GET", "/readyz", ""), 503, "shutting down")
	if resp := s.do(t, "GET", "/healthz", ""); resp.StatusCode != 200 {
		t.Errorf("healthy: %s", resp.Status)
	}
	s.publish(t, "a", "still taken")
	open.breaksOff(t, "an open stream")
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A body that is announced but never comes must hold neither the handler nor the
// answer, which net/http sends after the body.
func TestBodyThatNeverComes(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	for _, head := range []string{
		"GET /events/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
		"GET /events/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
			t.Errorf("%q: %q, %v", head, answer, err)
		}
	}
}

// A semicolon in a query is an ordinary character (WHATWG URL §5.1), on every route
// that reads a query.
func TestSemicolonInQuery(t *testing.T) {
	const topic = "https://shop.example/a;v=1"
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	st := s.subscribe(t, "/events?topic="+topic)
	st.place(t)
	resp := s.do(t, "POST", "/events?topic="+topic+"&type=a;b", "hello", "Content-Type", "text/plain")
	if resp.StatusCode != 201 {
		t.Fatalf("publish: %s", resp.Status)
	}
	if got := st.block(t); !strings.HasPrefix(got, "event: a;b\n") || !strings.HasSuffix(got, "\ndata: hello") {
		t.Errorf("got %q", got)
	}
	for _, tt := range []struct{ method, path, says string }{
		{"GET", "/events?topic=" + topic + "&last_event_id=earliest", `"data":"hello"`},
		{"GET", "/topics?topic=" + topic, topic},
		{"GET", "/subscriptions?topic=" + topic, `"total":1,`},
		{"DELETE", "/subscriptions?topic=" + topic, `{"ended":1}`},
		{"DELETE", "/events?topic=" + topic, `{"deleted":1}`},
	} {
		resp := s.do(t, tt.method, tt.path, "", "Accept", "application/x-ndjson")
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), tt.says) {
			t.Errorf("%s %s: %s %s, %v; want %s", tt.method, tt.path, resp.Status, body, err, tt.says)
		}
	}
}

// The Accept header decides between a stream and NDJSON (RFC 9110 §12.5.1).
func TestAccept(t *testing.T) {
	const stream, lines = "text/event-stream", "application/x-ndjson"
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	for _, tt := range []struct{ accept, want string }{
		{"", stream},
		{"*/*", stream},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", stream},
		{"application/x-ndjson;q=0, */*", stream},
		{"application/x-ndjson, text/event-stream", stream},
		{"application/x-ndjson;q=0.5, text/event-stream", stream},
		{"text/event-stream, text/html, application/json", stream},
		{"application/x-ndjson", lines},
		{"Application/X-NDJSON, */*", lines},
		{"application/x-ndjson, text/event-stream;q=0.5", lines},
		{"text/event-stream;q=0, */*", lines},
		{"application/*", lines},
		{"application/x-ndjson;q=0", ""},
		{"text/event-stream;q=0, application/json", ""},
		{"application/x-ndjsons", ""},
	} {
		resp := s.do(t, "GET", "/events/a?last_event_id=earliest", "", "Accept", tt.accept)
		if got := resp.Header.Get("Content-Type"); tt.want == "" && resp.StatusCode != 406 || tt.want != "" && (got != tt.want || resp.StatusCode != 200) {
			t.Errorf("Accept: %s gives %s %s, want %s", tt.accept, resp.Status, got, tt.want)
		}
	}
}
