package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
)

const (
	form   = "application/x-www-form-urlencoded"
	jsonCT = "application/json"
	ndjson = "application/x-ndjson"
)

// multi returns a multipart body with boundary b.
func multi(fields ...string) string {
	var body string
	for i := 0; i < len(fields); i += 2 {
		body += "--b\r\nContent-Disposition: form-data; name=\"" + fields[i] + "\"\r\n\r\n" + fields[i+1] + "\r\n"
	}
	return body + "--b--\r\n"
}

func TestPublish(t *testing.T) {
	for _, tt := range []struct{ why, path, contentType, body, want string }{
		{"curl -d hello", "/events/news", form, "hello", "data: hello"},
		{"curl -d with spaces, percent and plus, as they are", "/events/news", form, "1 + 1 & 100%", "data: 1 + 1 & 100%"},
		{"curl -d with an empty body", "/events/news", form, "", "data: "},
		{"a form", "/events", form, "topic=news&data=a+b%0Ac", "data: a b\ndata: c"},
		{"a form with all fields", "/events", form, "topic=other&topic=news&data=x&type=price&id=mine&retry=1500&private=on",
			"retry: 1500\nevent: price\nid: mine\ndata: x"},
		{"a form without data", "/events", form, "topic=news&type=ping", "event: ping\ndata: "},
		{"the topic in path and form", "/events/news", form, "topic=news&data=x", "data: x"},
		{"multipart", "/events", "multipart/form-data; boundary=b", multi("topic", "news", "data", "a\r\nb", "private", ""), "data: a\ndata: b"},
		{"JSON with a string", "/events", jsonCT, `{"topics":["news"],"data":"hé\nllo"}`, "data: hé\ndata: llo"},
		{"JSON with JSON, digits kept", "/events", jsonCT, `{"topic":"news","data":{"n": 2.0, "big": 12345678901234567890}}`, `data: {"n":2.0,"big":12345678901234567890}`},
		{"JSON with half a surrogate pair", "/events/news", jsonCT, `{"data":"a\ud800b"}`, "data: a\uFFFDb"},
		{"JSON with half a pair within", "/events/news", jsonCT, `{"data": {"a": "\ud800\u0041"}}`, `data: {"a":"\ud800\u0041"}`},
		{"JSON whose name is escaped", "/events/news", jsonCT, `{"d\u0061ta":"x"}`, "data: x"},
		{"JSON whose data, no string, has the topics twice within", "/events/news", jsonCT, `{"data":{"topics":1, "topics":["a"]},"topics":[]}`, `data: {"topics":1,"topics":["a"]}`},
		{"JSON with null", "/events/news", jsonCT + "; charset=utf-8", `{"data":null}`, "data: null"},
		{"JSON with all fields", "/events", jsonCT, `{"topics":["news","b"],"data":"x","type":"price","id":"mine","retry":1500,"private":true}`,
			"retry: 1500\nevent: price\nid: mine\ndata: x"},
		{"private false is public", "/events/news", jsonCT, `{"data":"x","private":false}`, "data: x"},
		{"text", "/events/news", "text/plain", "a=b&c", "data: a=b&c"},
		{"no content type", "/events?topic=news&type=price", "", "x", "event: price\ndata: x"},
		{"any other type", "/events/news", "image/svg+xml", "<svg/>", "data: <svg/>"},
		{"a body that is data, fields in the query", "/events/news?type=price&id=mine", form, "42", "event: price\nid: mine\ndata: 42"},
		{"all in the query", "/events?topic=news&data=x", form, "", "data: x"},
		{"all in the query, and no body", "/events/news?data=x", "", "", "data: x"},
		{"a form with a semicolon", "/events/news", form, "data=a;b", "data: a;b"},
		{"a Content-Type that nobody can read", "/events/news", "text/plain; charset", "x", "data: x"},
		{"JSON with a byte order mark", "/events/news", jsonCT, "\uFEFF{\"data\":\"x\"}", "data: x"},
		{"the type message is no type", "/events/news?type=message", "text/plain", "x", "data: x"},
		{"data cannot break out", "/events/news", "text/plain", "x\n\nevent: forged\rid: 1\r\n\r\ndata: y",
			"data: x\ndata: \ndata: event: forged\ndata: id: 1\ndata: \ndata: data: y"},
		{"an NDJSON line", "/events", ndjson, `{"topic":"news","data":"x"}`, "data: x"},
		{"NDJSON, the topic in the path", "/events/news", ndjson, `{"data":"x"}`, "data: x"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			s := newServer(t, eventlog.Retention{}, edge.Options{})
			st := s.subscribe(t, "/events/news")
			st.place(t)
			resp := s.do(t, "POST", tt.path, tt.body, "Content-Type", tt.contentType)
			body, err := io.ReadAll(resp.Body)
			var answer struct{ ID string }
			if err != nil || resp.StatusCode/100 != 2 || json.Unmarshal(body, &answer) != nil || answer.ID == "" {
				t.Fatalf("%s: %s, %v", resp.Status, body, err)
			}
			if status := 201; tt.contentType != ndjson && resp.StatusCode != status {
				t.Errorf("status %d; want %d", resp.StatusCode, status)
			}
			want := tt.want
			if !strings.Contains(tt.path+tt.body, "mine") {
				want = strings.Replace(want, "data: ", "id: "+answer.ID+"\ndata: ", 1)
			}
			st.expect(t, want)
		})
	}
}

func TestPublishRefuses(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{MaxBody: 8000})
	st := s.subscribe(t, "/events/news")
	st.place(t)
	for _, tt := range []struct {
		why, path, contentType, body string
		status                       int
		says                         string
	}{
		{"no topic", "/events", "text/plain", "x", 400, "topic"},
		{"an empty topic", "/events", form, "topic=&data=x", 400, "empty"},
		{"a form of somebody's own fields", "/events/news", form, "price=1", 400, "data="},
		{"the same says text/plain", "/events/news", form, "price=1", 400, "text/plain"},
		{"a form whose data was not escaped", "/events/news", form, "data=a&b=c", 400, "data="},
		{"a form with bad escapes", "/events/news", form, "data=100%", 400, "percent-encoded"},
		{"data twice", "/events/news", form, "data=a&data=b", 400, "twice"},
		{"a type in query and form", "/events/news?type=a", form, "type=b&data=x", 400, "twice"},
		{"an unknown field in the query", "/events/news?tpye=a", "text/plain", "x", 400, "tpye"},
		{"private=false", "/events/news?private=false", "text/plain", "x", 400, "field private"},
		{"a retry that is no number", "/events/news?retry=3s", "text/plain", "x", 400, "milliseconds"},
		{"a negative retry", "/events/news?retry=-1", "text/plain", "x", 400, "milliseconds"},
		{"a retry of 300 years", "/events/news?retry=9999999999999", "text/plain", "x", 400, "milliseconds"},
		{"CR LF in the type", "/events/news?type=" + url.QueryEscape("x\r\ndata: y"), "text/plain", "x", 400, "type"},
		{"CR LF in the id", "/events/news?id=" + url.QueryEscape("x\r\ndata: y"), "text/plain", "x", 400, "id"},
		{"an empty id", "/events/news?id=", "text/plain", "x", 400, "id"},
		{"an id like the hub's", "/events/news?id=_1-1", "text/plain", "x", 400, "hub's own"},
		{"the hub's own type", "/events/news?type=gap", "text/plain", "x", 400, "hub's own"},
		{"bytes that are no UTF-8", "/events/news", "application/octet-stream", "\xff\xfe", 400, "base64"},
		{"an unknown JSON field", "/events", jsonCT, `{"topic":"news","price":1}`, 400, `put your payload in "data"`},
		{"JSON that breaks off", "/events/news", jsonCT, `{"data":`, 400, "breaks off"},
		{"JSON that is no object", "/events/news", jsonCT, `[1]`, 400, "JSON"},
		{"two JSON objects", "/events/news", jsonCT, `{"data":1}{"data":2}`, 400, "one JSON object, or one a line as application/x-ndjson"},
		{"JSON that is no UTF-8", "/events/news", jsonCT, "{\"data\":\"\xff\"}", 400, "UTF-8"},
		{"JSON nested without end", "/events/news", jsonCT, `{"data":` + strings.Repeat("[", 7000), 400, "JSON"},
		{"multipart without boundary", "/events/news", "multipart/form-data", "x", 400, "boundary"},
		{"multipart that breaks off", "/events/news", "multipart/form-data; boundary=b", "--b\r\n", 400, "multipart"},
		{"JSON null", "/events/news", jsonCT, "null", 400, "no object"},
		{"JSON with names in another case", "/events/news", jsonCT, `{"DATA":"x"}`, 400, "put your payload"},
		{"JSON topics that are null", "/events/news", jsonCT, `{"data":1,"topics":null}`, 400, "list of strings"},
		{"JSON topics that are numbers", "/events/news", jsonCT, `{"data":1,"topics":["a",1]}`, 400, "list of strings"},
		{"JSON with a comma too many", "/events/news", jsonCT, `{"data":1,}`, 400, "cannot be read"},
		{"a JSON name twice", "/events/news", jsonCT, `{"data":1,"data":2}`, 400, "twice"},
		{"a JSON private twice", "/events/news", jsonCT, `{"data":1,"private":true,"private":false}`, 400, `"private" is given twice`},
		{"a JSON topic twice, as most publishers write it", "/events", jsonCT, `{"topic":"a","topic":"b","data":"x"}`, 400, `"topic" is given twice`},
		{"a JSON topics twice, once in escapes", "/events", jsonCT, `{"topics":["a"],"\u0074opics":["b"],"data":"x"}`, 400, `"topics" is given twice`},
		{"JSON with a long s for an s", "/events/news", jsonCT, `{"data":1,"topic\u017f":["a"]}`, 400, "here is no field"},
		{"a JSON id that is no string", "/events/news", jsonCT, `{"id":5}`, 400, "is a string"},
		{"a JSON retry that is a string", "/events/news", jsonCT, `{"data":1,"retry":"5"}`, 400, "number"},
		{"JSON topics that are no list", "/events", jsonCT, `{"topics":"news"}`, 400, "list"},
		{"JSON topics of null", "/events", jsonCT, `{"topics":null}`, 400, "list"},
		{"a JSON private that is no bool", "/events/news", jsonCT, `{"data":1,"private":1}`, 400, "true or false"},
		{"empty NDJSON", "/events/news", ndjson, "\n\n", 400, "line"},
		{"a large body", "/events/news", "text/plain", strings.Repeat("x", 8001), 413, "8000"},
		{"a compressed body", "/events/news", "text/plain", "x", 415, "Content-Encoding"},
		{"too many topics", "/events?" + strings.Repeat("topic=x&", 50) + manyTopics(101), "text/plain", "x", 400, "100 topics"},
	} {
		header := []string{"Content-Type", tt.contentType}
		if tt.why == "a compressed body" {
			header = append(header, "Content-Encoding", "gzip")
		}
		wantProblem(t, tt.why, s.do(t, "POST", tt.path, tt.body, header...), tt.status, tt.says)
	}
	id := s.publish(t, "news", "the next thing the stream sees")
	st.expect(t, "id: "+id+"\ndata: the next thing the stream sees")
}

func manyTopics(n int) string {
	q := url.Values{}
	for i := range n {
		q.Add("topic", strings.Repeat("t", i+1))
	}
	return q.Encode()
}

// The limit holds for bodies without a Content-Length.
func TestPublishLargeChunkedBody(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{MaxBody: 1000})
	body := io.MultiReader(strings.NewReader(strings.Repeat("x", 1001))) // hides its length
	resp, err := s.Client().Post(s.URL+"/events/a", "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	wantProblem(t, "chunked", resp, http.StatusRequestEntityTooLarge, "1000 bytes")
}

func TestPublishBatch(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	st := s.subscribe(t, "/events?topic=*")
	st.place(t)
	resp := s.do(t, "POST", "/events", strings.Join([]string{
		`{"topic":"a","data":"1"}`,
		`{"topic":"","data":"2"}`,
		``,
		`not JSON`,
		`{"topic":"b","data":{"n":3},"id":"mine"}`,
		`{"topic":"b","data":"other","id":"mine"}`,
	}, "\r\n"), "Content-Type", ndjson)
	body, err := io.ReadAll(resp.Body)
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != ndjson || len(lines) != 5 {
		t.Fatalf("%s, %v: %s; want one line for each item", resp.Status, err, body)
	}
	type answer struct {
		ID, Title, Detail string
		Status            int
	}
	var got [5]answer
	for i, line := range lines {
		if err := json.Unmarshal([]byte(line), &got[i]); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	for i, status := range []int{0, 400, 400, 0, 409} {
		if got[i].Status != status || (status == 0) != (got[i].ID != "") || (status != 0) != (got[i].Title != "") {
			t.Errorf("item %d: %s; want the status %d, or an id", i, lines[i], status)
		}
	}
	st.expect(t, "id: "+got[0].ID+"\ndata: 1", "id: mine\ndata: {\"n\":3}")
}

// Reading one batch does not change the events of earlier ones.
func TestPublishBatches(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	var want []string
	for _, x := range []string{"a", "b", "c"} {
		lines := strings.ReplaceAll(`{"topic":"x","data":"x","type":"x","id":"x1"}
{"topics":["x"],"data":"\u0021x","type":"\u0021x","id":"\u0021x2"}
{"topics":["x","\u0021x"],"data":{"x":"x"},"type":"x","id":"x3"}
{"topic":"x","data":"x","type":"x","id":"x4"}
{"topic":"x","topics":["?x"],"data":"x","type":"x","id":"x5"}
{"topic":"x","data":"x","type":"x","id":"x6"}
{"topic":"x","data":"x","type":"x","id":"x7"}
`, "x", x)
		if resp := s.do(t, "POST", "/events", lines, "Content-Type", ndjson); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		want = append(want, x+" "+x+" "+x+"1 "+x, "!"+x+" !"+x+" !"+x+"2 "+x, `{"`+x+`":"`+x+`"} `+x+" "+x+"3 "+x+" !"+x,
			x+" "+x+" "+x+"4 "+x, x+" "+x+" "+x+"5 "+x+" ?"+x, x+" "+x+" "+x+"6 "+x, x+" "+x+" "+x+"7 "+x)
	}
	dec := json.NewDecoder(s.do(t, "GET", "/events?topic=*", "", "Accept", ndjson).Body)
	for _, want := range want {
		var e struct {
			ID, Type, Data string
			Topics         []string
		}
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(append([]string{e.Data, e.Type, e.ID}, e.Topics...), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPublishBatchLimit(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	resp := s.do(t, "POST", "/events/a", strings.Repeat("{}\n", 10_001), "Content-Type", ndjson)
	wantProblem(t, "one item too many", resp, 413, "nothing of this one was published")
	if b, err := s.hub.Bounds(t.Context()); err != nil || b.Events != 0 {
		t.Errorf("%d events were published, %v", b.Events, err)
	}
}

func TestPublishOnce(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	publish := func(path, data, key string) (status int, id string, duplicate bool) {
		t.Helper()
		resp := s.do(t, "POST", path, data, "Content-Type", "text/plain", "Idempotency-Key", key)
		var answer struct {
			ID        string
			Duplicate bool
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, answer.ID, answer.Duplicate
	}
	for _, tt := range []struct{ why, path, key string }{
		{"by id", "/events/a?id=mine", ""},
		{"by key", "/events/a", "k1"},
		{"a key beats an id", "/events/a?id=both", "k2"},
	} {
		status, first, duplicate := publish(tt.path, "x", tt.key)
		if status != 201 || duplicate || first == "" {
			t.Errorf("%s: %d %q %v", tt.why, status, first, duplicate)
		}
		if status, id, duplicate := publish(tt.path, "x", tt.key); status != 201 || id != first || !duplicate {
			t.Errorf("%s, again: %d %q %v; want the first answer, as a duplicate", tt.why, status, id, duplicate)
		}
		if status, _, _ := publish(tt.path, "other", tt.key); status != 409 {
			t.Errorf("%s, with other content: %d; want 409", tt.why, status)
		}
	}
	if status, id, duplicate := publish("/events/a", "x", "mine"); status != 201 || duplicate || id == "mine" {
		t.Errorf("a key that is spelled as an id was: %d %q %v; they are not the same", status, id, duplicate)
	}
}

func TestTopics(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	s.publish(t, "b", "1")
	last := s.publish(t, "b", "2")
	s.publish(t, "orders/1", "3")
	resp := s.do(t, "GET", "/topics", "")
	body, err := io.ReadAll(resp.Body)
	var got struct {
		Topic         string
		Events, Bytes int64
		LastEventID   string `json:"last_event_id"`
		Streams       int
	}
	lines := strings.Split(string(body), "\n")
	if err != nil || len(lines) != 3 || json.Unmarshal([]byte(lines[0]), &got) != nil {
		t.Fatalf("%s, %v", body, err)
	}
	if got.Topic != "b" || got.Events != 2 || got.Bytes <= 2 || got.LastEventID != last {
		t.Errorf("got %+v", got)
	}
	some, err := io.ReadAll(s.do(t, "GET", "/topics?topic="+url.QueryEscape("orders/{id}"), "").Body)
	if err != nil || string(some) != lines[1]+"\n" {
		t.Errorf("selected: %s, %v; want %s", some, err, lines[1])
	}
	if newest, err := io.ReadAll(s.do(t, "GET", "/topics?limit=1", "").Body); err != nil || string(newest) != lines[1]+"\n" {
		t.Errorf("the newest: %s, %v; want %s", newest, err, lines[1])
	}
	wantProblem(t, "no limit", s.do(t, "GET", "/topics?limit=0", ""), http.StatusBadRequest, "from 1")
	s.subscribe(t, "/events?topic=*").place(t)
	if err := json.NewDecoder(s.do(t, "GET", "/topics", "").Body).Decode(&got); err != nil || got.Streams != 1 {
		t.Errorf("with a stream: %+v, %v", got, err)
	}
}

func TestDelete(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	first := s.publish(t, "a", "1")
	second := s.publish(t, "a", "2")
	s.do(t, "POST", "/events/a?id=mine", "3")
	s.publish(t, "orders/1", "4")
	for _, tt := range []struct {
		why, path string
		deleted   string
	}{
		{"an id of the hub's", "/events?id=" + second, "1"},
		{"the same again", "/events?id=" + second, "0"},
		{"an id that is nobody's", "/events?id=nobodys", "0"},
		{"an id that is no id", "/events?id=_nonsense", "0"},
		{"a publisher's id", "/events?id=mine", "1"},
		{"a template", "/events?topic=" + url.QueryEscape("orders/{id}"), "1"},
	} {
		body, err := io.ReadAll(s.do(t, "DELETE", tt.path, "").Body)
		if err != nil || string(body) != `{"deleted":`+tt.deleted+"}\n" {
			t.Errorf("%s: %s, %v; want %s", tt.why, body, err, tt.deleted)
		}
	}
	st := s.subscribe(t, "/events?topic=*&last_event_id=earliest")
	st.place(t)
	st.expect(t, "id: "+first+"\ndata: 1")
	st = s.subscribe(t, "/events/a", "Last-Event-ID", second)
	if place := st.place(t); place != second {
		t.Errorf("resumed at %s, not at the place of what was deleted, %s", place, second)
	}
	if body, err := io.ReadAll(s.do(t, "DELETE", "/events/a", "").Body); err != nil || string(body) != `{"deleted":1}`+"\n" {
		t.Errorf("a plain name: %s, %v", body, err)
	}
	wantProblem(t, "neither", s.do(t, "DELETE", "/events", ""), 400, "id")
	wantProblem(t, "both", s.do(t, "DELETE", "/events?id=x&topic=y", ""), 400, "not both")
	wantProblem(t, "a query that is half understood", s.do(t, "DELETE", "/events?topic=a&topic=x%zz", ""), 400, "query")
	wantProblem(t, "a broken template", s.do(t, "DELETE", "/events?topic="+url.QueryEscape("{"), ""), 400, "URI Template")
}

// A log without space, or with another failure, is reported as such; the cause goes to
// the hub's log, not to the client.
func TestLogErrors(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		says   string
	}{
		{eventlog.ErrNoSpace, 507, "space"},
		{eventlog.ErrUncertain, 503, "Idempotency-Key"},
		{eventlog.ErrFailed, 503, "try again later"},
		{errors.New("secret path"), 503, "try again later"},
	} {
		memory := eventlog.NewMemory(eventlog.Retention{})
		h, err := hub.New(failing{memory, tt.err}, hub.Options{})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		handler := httpapi.New(edge.New(h, edge.Options{Logger: slog.New(slog.DiscardHandler)}), httpapi.Options{})
		handler.ServeHTTP(w, httptest.NewRequest("POST", "/events/a", strings.NewReader("x")))
		wantProblem(t, tt.err.Error(), w.Result(), tt.status, tt.says)
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("the answer gives the cause away: %s", w.Body)
		}
		if err := errors.Join(h.Close(), memory.Close()); err != nil {
			t.Error(err)
		}
	}
}

// failing is a log whose disk fails.
type failing struct {
	eventlog.Log
	err error
}

func (f failing) Append(context.Context, ...eventlog.Record) ([]eventlog.Result, error) {
	return nil, f.err
}

// Clients may not publish to topics that another dialect reserves, singly or in a
// batch, whatever a token grants.
func TestReservedTopics(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{Reserved: func(topic string) bool { return strings.HasPrefix(topic, "/own/") }})
	if resp := s.do(t, "POST", "/events?topic=a&topic=/own/b", "x", "Content-Type", "text/plain"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("one event: %s", resp.Status)
	}
	resp := s.do(t, "POST", "/events", `{"topic":"/own/b"}`+"\n"+`{"topic":"a"}`, "Content-Type", "application/x-ndjson")
	answers, err := io.ReadAll(resp.Body)
	lines := strings.Split(strings.TrimSpace(string(answers)), "\n")
	if err != nil || len(lines) != 2 || !strings.Contains(lines[0], `"status":403`) || !strings.Contains(lines[1], `"id"`) {
		t.Errorf("a batch: %s, %q, %v", resp.Status, answers, err)
	}
}

// An id that not every client can send back is refused, wherever it is given. An
// Idempotency-Key may have any characters, because it is not sent back.
func TestIDsAreASCII(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	for _, tt := range []struct{ why, path, contentType, body string }{
		{"a form", "/events/news", "application/x-www-form-urlencoded", "data=x&id=caf%C3%A9"},
		{"multipart", "/events/news", "multipart/form-data; boundary=b", multi("data", "x", "id", "café")},
		{"JSON", "/events/news", "application/json", `{"data":"x","id":"café"}`},
		{"JSON, escaped", "/events/news", "application/json", `{"data":"x","id":"caf\u00e9"}`},
		{"the query", "/events/news?id=%E6%96%B0", "text/plain", "x"},
	} {
		wantProblem(t, tt.why, s.do(t, "POST", tt.path, tt.body, "Content-Type", tt.contentType), 400, "ASCII")
	}
	resp := s.do(t, "POST", "/events/news", `{"data":"x","id":"café"}`+"\n"+`{"data":"x","id":"cafe"}`, "Content-Type", "application/x-ndjson")
	lines, err := io.ReadAll(resp.Body)
	if first, rest, _ := strings.Cut(string(lines), "\n"); err != nil || !strings.Contains(first, "ASCII") || rest != `{"id":"cafe"}`+"\n" {
		t.Errorf("a batch: %s %v", lines, err)
	}
	if resp := s.do(t, "POST", "/events/news", "x", "Content-Type", "text/plain", "Idempotency-Key", "café"); resp.StatusCode != 201 {
		t.Errorf("an Idempotency-Key: %s", resp.Status)
	}
	if resp := s.do(t, "POST", "/events/news?id=!%20~", "x", "Content-Type", "text/plain"); resp.StatusCode != 201 {
		t.Errorf("all of ASCII that a header may have: %s", resp.Status)
	}
}
