package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
)

type subscriptions struct {
	Total         int
	Event         struct{ ID, Data string }
	Subscriptions []struct {
		ID, Remote, State, Place, Outcome string
		Selectors                         []string
		Types                             []string
		UserAgent                         string `json:"user_agent"`
	}
	Next string
}

// getJSON requests path and decodes the answer.
func getJSON[T any](t *testing.T, s *server, path string) (v T) {
	t.Helper()
	resp := s.do(t, "GET", path, "")
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	return v
}

func TestSubscriptions(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	if none := getJSON[subscriptions](t, s, "/subscriptions"); none.Total != 0 || none.Subscriptions == nil {
		t.Errorf("with nobody there: %+v", none)
	}
	news := s.subscribe(t, "/events/news?type=a", "User-Agent", "a test")
	news.place(t)
	s.subscribe(t, "/events?topic=other").place(t)
	got := getJSON[subscriptions](t, s, "/subscriptions?topic=news")
	if got.Total != 1 || got.Subscriptions[0].UserAgent != "a test" || got.Subscriptions[0].Types[0] != "a" ||
		got.Subscriptions[0].Selectors[0] != "news" || !strings.HasPrefix(got.Subscriptions[0].Remote, "127.0.0.1:") {
		t.Errorf("listed as %+v", got)
	}
	if byID := getJSON[subscriptions](t, s, "/subscriptions?id="+got.Subscriptions[0].ID); byID.Total != 1 {
		t.Errorf("by its id: %+v", byID)
	}
	for path, says := range map[string]string{
		"?id=mine":          "a stream's",
		"?limit=0":          "from 1 to",
		"?limit=1001":       "from 1 to",
		"?after=1":          "the page before",
		"?topic=":           "empty",
		"?topic={":          "URI Template",
		"?subject=a%zz":     "malformed",
		"?limit=ten&id=few": "a stream's",
	} {
		wantProblem(t, path, s.do(t, "GET", "/subscriptions"+path, ""), http.StatusBadRequest, says)
	}
	wantProblem(t, "no such event", s.do(t, "GET", "/subscriptions?event=mine", ""), http.StatusNotFound, "retained")
}

func TestSubscriptionsInPages(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	for i := range 5 {
		s.subscribe(t, fmt.Sprintf("/events/t%d", i)).place(t)
	}
	seen := map[string]bool{}
	for path := "/subscriptions?limit=2"; ; {
		page := getJSON[subscriptions](t, s, path)
		for _, sub := range page.Subscriptions {
			seen[sub.ID] = true
		}
		if page.Total != 5 || len(page.Subscriptions) > 2 {
			t.Fatalf("a page is %+v", page)
		}
		if page.Next == "" {
			break
		}
		path = "/subscriptions?limit=2&after=" + page.Next
	}
	if len(seen) != 5 {
		t.Errorf("saw %d of 5 streams", len(seen))
	}
}

func TestWhatBecameOfAnEvent(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	news := s.subscribe(t, "/events/news")
	news.place(t)
	s.subscribe(t, "/events/other").place(t)
	id := s.publish(t, "news", "hello")
	news.expect(t, "id: "+id+"\ndata: hello")
	// The hub knows that the event was written once the stream goes on to the next.
	var got subscriptions
	for range 1000 {
		got = getJSON[subscriptions](t, s, "/subscriptions?event="+id)
		if got.Subscriptions[0].Outcome != "lagging" && got.Subscriptions[1].Outcome != "lagging" {
			break
		}
	}
	if got.Event.ID != id || got.Event.Data != "hello" {
		t.Errorf("the event is %+v", got.Event)
	}
	for _, sub := range got.Subscriptions {
		want := map[string]string{"news": "delivered", "other": "not_subscribed"}[sub.Selectors[0]]
		if sub.Outcome != want {
			t.Errorf("on %s, the outcome is %s", sub.Selectors, sub.Outcome)
		}
	}
}

func TestStats(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	news := s.subscribe(t, "/events/news")
	news.place(t)
	id := s.publish(t, "news", "hello")
	news.expect(t, "id: "+id+"\ndata: hello")
	var got map[string]any
	figures := func(name string) map[string]any { return got[name].(map[string]any) }
	for range 1000 { // the hub counts an event after writing it, when its reader may have it already
		if got = getJSON[map[string]any](t, s, "/stats"); figures("delivered")["events"] != 0.0 {
			break
		}
	}
	if got["version"] != "v1" || got["draining"] != false || figures("published")["bytes"] != 5.0 || figures("streams")["open"] != 1.0 ||
		figures("delivered")["events"] != 1.0 || figures("log")["last_event_id"] != id || figures("memory")["bytes"].(float64) < 1e6 {
		t.Errorf("the figures are %v", got)
	}
}

func TestMetrics(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	news := s.subscribe(t, "/events/news")
	news.place(t)
	news.expect(t, "id: "+s.publish(t, "news", "hello")+"\ndata: hello")
	var body []byte
	for range 1000 { // as above
		var err error
		if body, err = io.ReadAll(s.do(t, "GET", "/metrics", "").Body); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(body), "\ntidings_deliveries_total 0") {
			break
		}
	}
	for _, line := range []string{
		"tidings_connects_total 1",
		"tidings_events_published_total 1",
		"tidings_deliveries_total 1",
		`tidings_disconnects_total{reason="kicked"} 0`,
		`tidings_publish_to_write_seconds_bucket{le="67.108864"} `,
		"tidings_log_events 1",
		"tidings_memory_limit_bytes 0",
		`tidings_memory_bytes{use="windows"} 0`,
		`tidings_memory_refused_total{use="publishes"} 0`,
		"go_goroutines ",
	} {
		if !strings.Contains(string(body), "\n"+line) {
			t.Errorf("no %q in\n%s", line, body)
		}
	}
}
