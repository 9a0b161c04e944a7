package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"

	"github.com/tidings-sse/tidings/sse"
)

// Remote is a client of a hub's HTTP API: see docs/http.md.
type Remote struct {
	URL   string // such as http://localhost:3000
	Token string // sent as a bearer token, unless empty
}

func (r *Remote) do(req *http.Request) (*http.Response, error) {
	r.authorize(req)
	resp, err := http.DefaultClient.Do(req)
	if err == nil && resp.StatusCode/100 != 2 {
		defer func() { _ = resp.Body.Close() }()
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return nil, fmt.Errorf("the hub answered %s: %s", resp.Status, said)
	}
	return resp, err
}

func (r *Remote) authorize(req *http.Request) {
	if r.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.Token)
	}
}

// Publish publishes an event whose data is JSON.
func (r *Remote) Publish(ctx context.Context, e Event) error {
	body, err := json.Marshal(struct {
		Topics []string        `json:"topics"`
		Type   string          `json:"type,omitempty"`
		ID     string          `json:"id,omitempty"`
		Data   json.RawMessage `json:"data"`
	}{e.Topics, e.Type, e.ID, e.Data})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/events", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Retained returns the newest retained events of each matching topic, and the position to
// continue from.
func (r *Remote) Retained(ctx context.Context, topic string, last int) (events []Event, place string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprint(r.address(topic), "&last=", last), nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := r.do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	for decoder := json.NewDecoder(resp.Body); ; {
		var event struct {
			Topics         []string
			Type, ID, Data string
		}
		switch err := decoder.Decode(&event); err {
		case nil:
			events = append(events, Event{event.Topics, event.Type, event.ID, []byte(event.Data)})
		case io.EOF:
			return events, resp.Header.Get("Last-Event-ID"), nil
		default:
			return nil, "", err
		}
	}
}

// Follow yields the events of a topic after a position, until ctx ends.
func (r *Remote) Follow(ctx context.Context, topic, place string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.address(topic), nil)
		if err != nil {
			yield(Event{}, err)
			return
		}
		r.authorize(req)
		client := sse.Client{LastEventID: place}
		for event, err := range client.Events(req) {
			if !yield(Event{[]string{topic}, event.Type, event.ID, []byte(event.Data)}, err) {
				return
			}
		}
	}
}

func (r *Remote) address(topic string) string {
	return r.URL + "/events?topic=" + url.QueryEscape(topic)
}
