package mercure

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
)

const (
	subscriptionsPath = Path + "/subscriptions"
	vocabulary        = "https://mercure.rocks/"
	mediaType         = "application/ld+json"
	listPage          = 1000
	subscriptionSize  = 200      // roughly the bytes of one in a document, beside its texts
	maxDocument       = 32 << 20 // bytes of a document, likewise
)

// A subscription is one selector of one stream, as the protocol has it.
type subscription struct {
	Context    string          `json:"@context,omitempty"`
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Subscriber string          `json:"subscriber"`
	Topic      string          `json:"topic"`
	Active     bool            `json:"active"`
	Payload    json.RawMessage `json:"payload,omitempty"`

	LastEventID string `json:"lastEventID,omitempty"` // of a document that is one
}

// subscriptionOf returns the one that a stream has to a topic.
func subscriptionOf(i *hub.StreamInfo, topic string, active bool) subscription {
	subscriber := subscriberID(i.ID)
	return subscription{
		ID:         subscriptionsPath + "/" + escape(topic) + "/" + escape(subscriber),
		Type:       "Subscription",
		Subscriber: subscriber,
		Topic:      topic,
		Active:     active,
		Payload:    json.RawMessage(i.Payload),
	}
}

// escape encodes all but unreserved characters, as {topic} in a URI Template
// does (RFC 6570 §3.2.2).
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// subscriberID is a stream's id as a urn:uuid:.
func subscriberID(id hub.StreamID) string {
	h := hex.EncodeToString(id[:])
	return "urn:uuid:" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// subscriptions serves who is there: all, those to a topic, or one.
func (m *Handler) subscriptions(w http.ResponseWriter, r *http.Request) {
	g, err := m.o.Auth.Subscriber(r)
	if err == nil && !g.MaySee(r.URL.EscapedPath()) {
		err = auth.Forbidden("The token does not grant to see subscriptions: its claim mercure.subscribe needs " + subscriptionsPath + "{/topic}{/subscriber}, or the path that was asked for.")
	}
	if err != nil {
		m.api.Refuse(w, r, err)
		return
	}
	document, lastEventID, err := m.document(r)
	if err != nil {
		m.api.Refuse(w, r, err)
		return
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(document); err != nil {
		panic(fmt.Sprintf("a token's payload that was JSON is not any more: %v", err))
	}
	sum := sha256.Sum256(body.Bytes())
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "must-revalidate, private")
	h.Set("Last-Event-ID", lastEventID)
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body.Bytes())) // 304 to who has it already (RFC 9110 §13)
}

// document is what a path is, and the place to subscribe from for what comes
// after it.
func (m *Handler) document(r *http.Request) (document any, lastEventID string, err error) {
	bounds, err := m.hub.Bounds(r.Context())
	if err != nil {
		return nil, "", err
	}
	lastEventID = bounds.Last.URN()
	parts := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.EscapedPath(), subscriptionsPath), "/"), "/")
	for i := range parts {
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return nil, "", &hub.InvalidError{Reason: "the path is malformed: " + err.Error()}
		}
	}
	missing := httpapi.NewProblem(http.StatusNotFound, "There is no such subscription; list them at "+subscriptionsPath+".")
	if len(parts) > 2 {
		return nil, "", missing
	}
	topic, subscriber := parts[0], ""
	if len(parts) == 2 {
		subscriber = parts[1]
	}
	found, err := m.list(topic, subscriber)
	if err != nil {
		return nil, "", err
	}
	if len(parts) < 2 {
		return struct {
			Context       string         `json:"@context"`
			ID            string         `json:"id"`
			Type          string         `json:"type"`
			LastEventID   string         `json:"lastEventID"`
			Subscriptions []subscription `json:"subscriptions"`
		}{vocabulary, r.URL.EscapedPath(), "Subscriptions", lastEventID, found}, lastEventID, nil
	}
	if len(found) == 0 {
		return nil, "", missing
	}
	found[0].Context, found[0].LastEventID = vocabulary, lastEventID
	return found[0], lastEventID, nil
}

// list returns the subscriptions of open streams to a topic, or to any if it is
// "", of a subscriber or of any.
func (m *Handler) list(topic, subscriber string) ([]subscription, error) {
	found, size := []subscription{}, 0
	for after := (hub.StreamID{}); ; {
		page, _ := m.hub.Streams(hub.StreamFilter{}, after, listPage)
		for i := range page {
			if subscriber != "" && subscriber != subscriberID(page[i].ID) {
				continue
			}
			for _, t := range page[i].Selectors {
				if topic != "" && topic != t {
					continue
				}
				s := subscriptionOf(&page[i], t, true)
				if size += subscriptionSize + len(s.ID) + len(t) + len(s.Payload); size > maxDocument {
					return nil, httpapi.NewProblem(http.StatusServiceUnavailable, "There are too many subscriptions to list at once; ask for those to one topic, at "+subscriptionsPath+"/TOPIC.")
				}
				found = append(found, s)
			}
		}
		if len(page) < listPage {
			return found, nil
		}
		after = page[listPage-1].ID
	}
}

// event is what tells of a subscription, as an update's data.
func event(s subscription) []byte {
	s.Context = vocabulary
	data, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("a token's payload that was JSON is not any more: %v", err))
	}
	return data
}
