//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/sse"
)

// A besieged is a hub that gets hostile requests while a bystander listens to every
// topic over a real connection.
type besieged struct {
	hub       *hub.Hub
	handler   http.Handler
	bystander chan sse.Event // closed if the stream ends
}

func besiege(f *testing.F) *besieged {
	logger := slog.New(slog.DiscardHandler)
	log := eventlog.NewMemory(eventlog.Retention{Events: 1000})
	h, err := hub.New(log, hub.Options{Logger: logger})
	if err != nil {
		f.Fatal(err)
	}
	b := &besieged{hub: h, handler: httpapi.New(edge.New(h, edge.Options{Logger: logger, MaxBody: 64 << 10}), httpapi.Options{}), bystander: make(chan sse.Event, 1<<16)}
	server := httptest.NewServer(b.handler)
	resp, err := http.Get(server.URL + "/events?topic=*")
	if err != nil {
		f.Fatal(err)
	}
	go func() {
		defer close(b.bystander)
		for e, err := range sse.Read(resp.Body) {
			if err != nil {
				return
			}
			if e.Type != hub.PositionType {
				b.bystander <- e
			}
		}
	}()
	f.Cleanup(func() {
		_ = resp.Body.Close() // ends the bystander
		server.Close()
		if err := h.Close(); err != nil {
			f.Error(err)
		}
		if err := log.Close(); err != nil {
			f.Error(err)
		}
	})
	return b
}

// ask sends the hub a request and returns the answer. It leaves a stream soon after it
// has begun.
func (b *besieged) ask(t *testing.T, method, path, query string, header http.Header, body []byte) *answer {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := (&http.Request{
		Method: method, Host: "localhost", URL: &url.URL{Path: path, RawQuery: query}, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "127.0.0.1:1",
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}).WithContext(ctx)
	a := &answer{header: http.Header{}, leave: cancel}
	b.handler.ServeHTTP(a, r)
	if ctx.Err() == context.DeadlineExceeded {
		t.Fatalf("%s %s?%s is not answered", method, path, query)
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.status >= 500 {
		t.Fatalf("%s %s?%s %v %q is answered with %d %s", method, path, query, header, body, a.status, &a.body)
	}
	return a
}

// An answer is the answer to one request.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	leave  func()
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// Only streams call Flush. It ends a stream soon after its first bytes, because nothing
// shows whether more will come.
func (a *answer) Flush() {
	if a.body.Len() > 0 {
		time.AfterFunc(time.Millisecond, a.leave)
	}
}

// headerValue reports whether a server passes a header value to its handlers
// (RFC 9110 §5.5).
func headerValue(v string) bool {
	return strings.Trim(v, " \t") == v && !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// overheard returns the bystander's events since the last call.
func (b *besieged) overheard(t testing.TB) (events []sse.Event) {
	res, err := b.hub.Publish(context.Background(), eventlog.Record{Topics: []string{"end"}, Data: []byte("end")})
	if err != nil {
		t.Fatal(err)
	}
	end := res[0].ID.String()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case e, ok := <-b.bystander:
			if !ok {
				t.Fatal("the bystander's stream has ended")
			}
			if e.ID == end && e.Type == sse.DefaultType && e.Data == "end" {
				return events
			}
			events = append(events, e)
		case <-timeout:
			t.Fatalf("the bystander did not get the event %s; it got %q", end, events)
		}
	}
}

// FuzzPublish checks that a bystander gets exactly the acknowledged events, whatever a
// publisher sends.
func FuzzPublish(f *testing.F) {
	b := besiege(f)
	for _, seed := range []struct{ query, contentType, key, body string }{
		{"topic=a", "text/plain", "", "hello"},
		{"topic=a&type=x&id=7&retry=5&private=1", "text/plain", "k", "a\r\nb\rc\n\n"},
		{"", "application/x-www-form-urlencoded", "", "topic=a&data=x%0Aid:+1%0A%0Adata:+y"},
		{"", "application/x-www-form-urlencoded", "", "topic=a&data=%zz&data=1"},
		{"topic=a&topic=a", "application/json", "", `{"topics":["b"],"data":{"a":[1,2]},"type":"x"}`},
		{"", "application/json", "", `{"topic":"a\nb","data":"x","id":"a\r\nid: b"}`},
		{"", "application/json", "", `{"topic":"a","data":"\ud800"}`},
		{"", "application/x-ndjson", "k", "{\"topic\":\"a\",\"data\":1}\n\n{\"topic\":\"a\"}\n[]\n{\"topic\":\"*\"}\n{"},
		{"topic=a", "application/x-ndjson", "", "{\"data\":\"1\",\"id\":\"x\"}\n{\"data\":\"2\",\"id\":\"x\"}"},
		{"topic=a", "multipart/form-data; boundary=b", "", "--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\nhi\r\n--b--\r\n"},
		{"topic=a&type=gap", "text/plain", "", ""},
		{"topic=%00%ff", ";;", "\x7f", "\x00\xff"},
		{"topic=a&id=_x&retry=99999999999999999999", "application/octet-stream", "", "\xef\xbb\xbf"},
	} {
		f.Add(seed.query, seed.contentType, seed.key, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, query, contentType, key string, body []byte) {
		header := http.Header{}
		for name, value := range map[string]string{"Content-Type": contentType, "Idempotency-Key": key} {
			if !headerValue(value) {
				t.Skip("a server does not let it through")
			}
			if value != "" {
				header.Set(name, value)
			}
		}
		a := b.ask(t, "POST", "/events", query, header, body)
		want := acknowledged(t, a)
		got := b.overheard(t)
		if len(got) != len(want) {
			t.Fatalf("%d events are acknowledged, %d are delivered: %q, %q", len(want), len(got), want, got)
		}
		for i, e := range got {
			if e.ID != want[i] {
				t.Errorf("the event %q is delivered as %+v", want[i], e)
			}
			if e.Type == hub.GapType {
				t.Errorf("a publisher has published a gap: %+v", e)
			}
		}
		if mediaType, _, _ := strings.Cut(contentType, ";"); len(got) == 1 && strings.EqualFold(strings.TrimSpace(mediaType), "text/plain") && len(body) > 0 {
			if want := lineEnds.Replace(string(body)); got[0].Data != want {
				t.Errorf("the data %q is delivered as %q", body, got[0].Data)
			}
		}
	})
}

// lineEnds replaces line ends as a stream does.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// acknowledged returns the ids of the events that an answer reports as new.
func acknowledged(t *testing.T, a *answer) (ids []string) {
	if a.status/100 != 2 {
		return nil
	}
	for dec := json.NewDecoder(&a.body); ; {
		var item struct {
			ID        string
			Duplicate bool
			Status    int
			Detail    string
		}
		if err := dec.Decode(&item); err == io.EOF {
			return ids
		} else if err != nil {
			t.Fatalf("the answer cannot be read: %v", err)
		}
		if item.Status >= 500 || item.Status == 0 == (item.ID == "") {
			t.Fatalf("an item is answered with %+v", item)
		}
		if item.ID != "" && !item.Duplicate {
			ids = append(ids, item.ID)
		}
	}
}

// FuzzSubscribe checks that every request is answered with a stream that has a
// position, lines of JSON, or a problem, and that a bystander does not notice.
func FuzzSubscribe(f *testing.F) {
	b := besiege(f)
	for i := range 20 {
		r := eventlog.Record{Topics: []string{"a", "https://a.example/1"}, Data: []byte("x"), PublisherID: string(rune('a' + i))}
		if _, err := b.hub.Publish(f.Context(), r); err != nil {
			f.Fatal(err)
		}
	}
	b.overheard(f) // discards these events
	for _, seed := range []struct{ path, query, lastEventID string }{
		{"/events", "topic=a", ""},
		{"/events/a", "last_event_id=earliest", ""},
		{"/events", "topic=*&last=3&envelope=json", ""},
		{"/events", "topic=https://a.example/{id}&since=15m", "c"},
		{"/events", "topic={+a}{?b,c*}{&d:3}", "_zz-1"},
		{"/events", "topic=" + strings.Repeat("{a}", 50), ""},
		{"/events", "topic=a&type=x&type=&type=gap", strings.Repeat("9", 300)},
		{"/events", "topic=a&last=-1", "earliest"},
		{"/events", "topic=a&since=2026-02-30T00:00:00Z", "#"},
		{"/events", "topic=a&lastEventID=1&lastEventId=2", "消息"},
		{"/events", "topic=%zz;topic=a", "_1-0-0-0"},
		{"/events/", "topic", "_"},
		{"/events/a/../b", "", "_3w5e11264sgsf-3w5e11264sgsf-3w5e11264sgsf"},
	} {
		f.Add(seed.path, seed.query, seed.lastEventID, false)
		f.Add(seed.path, seed.query, seed.lastEventID, true)
	}
	f.Fuzz(func(t *testing.T, path, query, lastEventID string, read bool) {
		if !headerValue(lastEventID) || !strings.HasPrefix(path, "/events") {
			t.Skip("a server does not let it through")
		}
		header := http.Header{"Accept": {"text/event-stream"}}
		if read {
			header.Set("Accept", "application/x-ndjson")
		}
		if lastEventID != "" {
			header.Set("Last-Event-ID", lastEventID)
		}
		a := b.ask(t, "GET", path, query, header, nil)
		body := a.body.String()
		switch contentType := a.header.Get("Content-Type"); {
		case a.status == http.StatusOK && contentType == sse.MediaType:
			for e, err := range sse.Read(strings.NewReader(body)) {
				if err != nil || e.Type == hub.GapType && !json.Valid([]byte(e.Data)) {
					t.Errorf("the stream has %+v, %v", e, err)
				}
			}
			if !strings.HasPrefix(body, "retry: ") {
				t.Errorf("a stream begins with %q", body)
			}
		case a.status == http.StatusOK && contentType == "application/x-ndjson", a.status >= 400:
			for line := range strings.Lines(body) {
				if !json.Valid([]byte(line)) {
					t.Errorf("the answer %d has the line %q", a.status, line)
				}
			}
		case a.status/100 != 3:
			t.Errorf("%d %s is answered", a.status, contentType)
		}
		if got := b.overheard(t); len(got) > 0 {
			t.Errorf("the bystander got %+v", got)
		}
	})
}
