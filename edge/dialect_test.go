package edge_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/sse"
	"github.com/tidings-sse/tidings/topic"
)

// A shout is a dialect of its own: GET /shout/TOPIC subscribes, and PUT /shout/TOPIC
// publishes its body in capitals.
type shout struct{ *edge.Edge }

func (s shout) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.serve(w, r, strings.TrimPrefix(r.URL.Path, "/shout/")); err != nil {
		s.Refuse(w, r, err)
	}
}

func (s shout) serve(w http.ResponseWriter, r *http.Request, name string) error {
	if r.Method == http.MethodGet {
		g, err := s.Auth.Subscriber(r)
		if err != nil {
			return err
		}
		sub := hub.Subscription{Grant: g.Subscribe, From: hub.From{LastEventID: edge.ReconnectID(r.Header, nil)}}
		if sub.Selectors, err = topic.Parse(name); err != nil {
			return err
		}
		s.Stream(w, r, g, sub, hub.StreamOptions{Positions: hub.PositionEvents})
		return nil
	}
	g, err := s.Auth.Publisher(r)
	if err != nil {
		return err
	}
	held := s.Hold()
	defer held.Release()
	body, err := s.Body(w, r, nil, &held)
	if err != nil {
		return err
	}
	if err := s.MayPublish(g, []string{name}); err != nil {
		return err
	}
	_, err = s.Hub().Publish(r.Context(), eventlog.Record{Topics: []string{name}, Data: []byte(strings.ToUpper(string(body)))})
	return err
}

// TestThirdDialect adds a dialect without touching the others, and uses it with a client.
func TestThirdDialect(t *testing.T) {
	log := eventlog.NewMemory(eventlog.Retention{})
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := edge.New(h, edge.Options{MaxBody: 100, Reserved: func(topic string) bool { return topic == "own" }})
	server := httptest.NewServer(edge.Bound(shout{e}, e.WriteTimeout))
	defer func() {
		e.Close()
		_ = h.Close()
		server.Close()
		_ = log.Close()
	}()
	put := func(topic, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/shout/"+topic, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Content-Type"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/shout/news", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Last-Event-ID", hub.Earliest)
	words := []string{"hello", "again"}
	if got := put("news", words[0]); got != "200 " {
		t.Fatalf("publishing is answered with %s", got)
	}
	for event, err := range new(sse.Client).Events(req) {
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.ToUpper(words[0]); event.Data != want {
			t.Errorf("it receives %q, want %q", event.Data, want)
		}
		if words = words[1:]; len(words) == 0 {
			break
		}
		put("news", words[0]) // live
	}
	for topic, want := range map[string]string{"news": "413 application/problem+json", "own": "403 application/problem+json"} {
		body := "x"
		if topic == "news" {
			body = strings.Repeat(body, 101)
		}
		if got := put(topic, body); got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
}
