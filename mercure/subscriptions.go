package mercure

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"
)

const (
	subscriptionsPath = Path + "/subscriptions"
	vocabulary        = "https://mercure.rocks/"
	mediaType         = "application/ld+json"
	listPage          = 256 // streams held at a time
)

// A subscription is one selector of one stream, as a document of the protocol.
type subscription struct {
	Context    string          `json:"@context,omitempty"`
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Subscriber string          `json:"subscriber"`
	Topic      string          `json:"topic"`
	Active     bool            `json:"active"`
	Payload    json.RawMessage `json:"payload,omitempty"`

	LastEventID string `json:"lastEventID,omitempty"` // only if the document is this subscription
}

// subscriptionOf returns a stream's subscription to a topic.
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

// escape percent-encodes all but unreserved characters, as {topic} in a URI Template
// does (RFC 6570 §3.2.2).
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// subscriberID returns a stream's id as a urn:uuid:.
func subscriberID(id hub.StreamID) string {
	h := hex.EncodeToString(id[:])
	return "urn:uuid:" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// parseSubscriberID parses the result of subscriberID.
func parseSubscriberID(s string) (id hub.StreamID, ok bool) {
	h := strings.ReplaceAll(strings.TrimPrefix(s, "urn:uuid:"), "-", "")
	b, err := hex.DecodeString(h)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	id = hub.StreamID(b)
	return id, subscriberID(id) == s // only the one spelling
}

// subscriptions serves the active subscriptions: all, those to a topic, or one. It
// writes them one by one and holds a page of streams at a time.
func (m *Handler) subscriptions(w http.ResponseWriter, r *http.Request) {
	g, err := m.edge.Auth.Subscriber(r)
	if err == nil && !g.MaySee(r.URL.EscapedPath()) {
		err = auth.Forbidden("The token does not grant to see subscriptions: its claim mercure.subscribe needs " + subscriptionsPath + "{/topic}{/subscriber}, or the path that was asked for.")
	}
	var l *list
	if err == nil {
		l, err = m.list(r)
	}
	if err != nil {
		m.edge.Refuse(w, r, err)
		return
	}
	defer l.close()
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "must-revalidate, private")
	h.Set("Last-Event-ID", l.lastEventID)
	h.Set("ETag", l.tag)
	if hasTag(r.Header.Values("If-None-Match"), l.tag) {
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified) // the client has it already (RFC 9110 §13.1.2)
		return
	}
	if r.Method != http.MethodHead {
		edge.ForgetHead(w, r)
		l.write(w)
	}
}

// hasTag reports whether an If-None-Match header has tag or *. It compares weakly
// (RFC 9110 §13.1.2).
func hasTag(values []string, tag string) bool {
	for one := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// A list is the active subscriptions that a path names.
type list struct {
	ctx         context.Context
	hub         *hub.Hub
	path        string
	filter      hub.StreamFilter
	one         bool            // the path names one subscription, which exists
	page        *hub.StreamPage // the next streams; the caller must close it
	lastEventID string          // the position to subscribe from for later events
	tag         string          // entity tag
	begun       time.Time       // see [hub.Hub.Rest]
}

// list returns the subscriptions that a path names, with their first page. If the path
// names one subscription that does not exist, the error is a 404.
func (m *Handler) list(r *http.Request) (*list, error) {
	bounds, err := m.hub.Bounds(r.Context())
	if err != nil {
		return nil, err
	}
	l := &list{ctx: r.Context(), hub: m.hub, path: strings.Clone(r.URL.EscapedPath()), lastEventID: bounds.Last.URN()}
	l.tag = `"` + l.hub.StreamsVersion() + "-" + bounds.Last.String() + `"` // taken before any stream is read
	missing := edge.NewProblem(http.StatusNotFound, "There is no such subscription; list them at "+subscriptionsPath+".")
	parts := strings.Split(strings.Trim(strings.TrimPrefix(l.path, subscriptionsPath), "/"), "/")
	for i := range parts {
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return nil, &topic.InvalidError{Reason: "the path is malformed: " + err.Error()}
		}
	}
	if l.filter.Selector = parts[0]; len(parts[0]) > topic.MaxBytes {
		return nil, missing
	}
	switch len(parts) {
	case 1:
	case 2:
		if l.filter.ID, l.one = parseSubscriberID(parts[1]); !l.one {
			return nil, missing
		}
	default:
		return nil, missing
	}
	if l.page, err = l.hub.Streams(l.ctx, l.filter, hub.StreamID{}, listPage); err != nil {
		return nil, err
	}
	if l.one && len(l.page.Streams) == 0 {
		l.close()
		return nil, missing
	}
	return l, nil
}

func (l *list) close() { l.page.Close() }

// write writes the document. If reading fails midway, it breaks the response off.
func (l *list) write(w http.ResponseWriter) {
	out := bufio.NewWriter(w)
	defer func() { _ = out.Flush() }() // the client may be gone
	if l.one {
		s := subscriptionOf(&l.page.Streams[0], l.filter.Selector, true)
		s.Context, s.LastEventID = vocabulary, l.lastEventID
		_ = encode(out, s)
		return
	}
	fmt.Fprintf(out, `{"@context":%q,"id":`, vocabulary)
	_ = encode(out, l.path)
	fmt.Fprintf(out, `,"type":"Subscriptions","lastEventID":%q,"subscriptions":[`, l.lastEventID)
	l.begun = time.Now()
	for first := true; ; {
		for i := range l.page.Streams {
			if err := l.writeStream(out, &l.page.Streams[i], &first); err != nil {
				return
			}
		}
		if !l.page.More {
			_, _ = out.WriteString("]}\n")
			return
		}
		after := l.page.Streams[len(l.page.Streams)-1].ID
		l.close()
		page, err := l.hub.Streams(l.ctx, l.filter, after, listPage)
		if err != nil {
			panic(http.ErrAbortHandler) // the status has been sent; only a broken body can signal the error
		}
		l.page = page
	}
}

// writeStream writes the subscriptions of a stream.
func (l *list) writeStream(out *bufio.Writer, i *hub.StreamInfo, first *bool) error {
	topics := i.Selectors
	if l.filter.Selector != "" {
		topics = []string{l.filter.Selector}
	}
	for _, topic := range topics {
		if !*first {
			_ = out.WriteByte(',') // bufio keeps the error
		}
		*first = false
		if err := encode(out, subscriptionOf(i, topic, true)); err != nil {
			return err
		}
		l.begun = l.hub.Rest(l.begun)
	}
	return nil
}

func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v) // a token's payload was valid JSON when it was parsed
}

// event returns the data of the update about a subscription.
func event(s subscription) []byte {
	s.Context = vocabulary
	data, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("a token's payload that was JSON is not any more: %v", err))
	}
	return data
}
