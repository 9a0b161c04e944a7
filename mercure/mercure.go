package mercure

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/internal/form"
	"github.com/tidings-sse/tidings/topic"
)

// Path is the path of every Mercure hub.
const Path = "/.well-known/mercure"

// Options configures a [Handler]. The zero value works: it asks for no tokens.
type Options struct {
	// QueryToken accepts a token in the query parameter authorization, where proxies
	// may log it.
	QueryToken bool

	// Subscriptions serves the list of active subscriptions (draft-dunglas-mercure-07,
	// "Active Subscriptions"). The updates about them come from [Watch].
	Subscriptions bool
}

// A Handler serves [Path] and the paths below it. Make one with [New].
type Handler struct {
	http.Handler
	o    Options
	hub  *hub.Hub
	edge *edge.Edge
}

// New returns the handler of the protocol on e's hub. e should refuse what [Reserved]
// names to the other dialects (see [edge.Options]). Errors are problem+json (RFC 9457).
func New(e *edge.Edge, o Options) *Handler {
	m := &Handler{o: o, hub: e.Hub(), edge: e}
	m.Handler = edge.Bound(http.HandlerFunc(m.serve), e.WriteTimeout)
	return m
}

// Serves reports whether a URL path is [Path] or below it.
func Serves(path string) bool { return path == Path || strings.HasPrefix(path, Path+"/") }

func (m *Handler) serve(w http.ResponseWriter, r *http.Request) {
	r = m.withToken(r)
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case r.URL.Path != Path && (!m.o.Subscriptions || !strings.HasPrefix(r.URL.EscapedPath()+"/", subscriptionsPath+"/")):
		edge.NewProblem(http.StatusNotFound, "There is nothing here; subscribe and publish at "+Path+".").Write(w)
	case r.URL.Path != Path && reading:
		m.subscriptions(w, r)
	case reading:
		m.subscribe(w, r)
	case r.URL.Path == Path && r.Method == http.MethodPost:
		m.publish(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		edge.NewProblem(http.StatusMethodNotAllowed, "GET subscribes, POST publishes.").Write(w)
	}
}

// withToken copies a token from the query to the Authorization header, unless the
// request has one, which takes precedence.
func (m *Handler) withToken(r *http.Request) *http.Request {
	if !m.o.QueryToken || auth.Authorizes(r) {
		return r
	}
	q, _ := form.Parse(r.URL.RawQuery) // the route refuses a malformed query
	token := q.Get("authorization")
	if token == "" {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// subscribe serves a stream.
func (m *Handler) subscribe(w http.ResponseWriter, r *http.Request) {
	g, err := m.edge.Auth.Subscriber(r)
	if err != nil {
		m.edge.Refuse(w, r, err)
		return
	}
	q, err := edge.Query(r)
	if err != nil {
		m.edge.Refuse(w, r, err)
		return
	}
	sub := hub.Subscription{Grant: g.Subscribe, From: hub.From{LastEventID: lastEventID(r.Header, q)}}
	if sub.Selectors, err = selectors(q["topic"]); err != nil {
		m.edge.Refuse(w, r, err)
		return
	}
	o := hub.StreamOptions{IDs: urns}
	if o.Positions, err = edge.ParsePositions(q, hub.PositionFields); err != nil {
		m.edge.Refuse(w, r, err)
		return
	}
	m.edge.Stream(w, r, g, sub, o)
}

// urns writes the hub's ids as urn:uuid:… (RFC 9562 §4), because Mercure's ids are IRIs, and says "earliest" where that was asked
// for, as its specification demands.
var urns = &hub.Spelling{Of: eventlog.ID.URN, Earliest: true}

// selectors parses a subscriber's topics. It accepts as many as the hub allows in one
// subscription, because other Mercure hubs do, too.
func selectors(topics []string) (topic.Selectors, error) {
	templates := 0 // counted first, because compiling takes CPU time
	for _, t := range topics {
		if strings.ContainsAny(t, "{}") {
			templates++
		}
	}
	var reason string
	switch {
	case len(topics) == 0:
		reason = "name what to subscribe to, as in " + Path + "?topic=https://example.com/books/{id}"
	case len(topics) > hub.MaxSelectors || templates > hub.MaxTopics:
		reason = fmt.Sprintf("at most %d topics fit in one subscription, of which %d may be URI Templates; * and URI Templates select many at once", hub.MaxSelectors, hub.MaxTopics)
	default:
		return topic.Parse(topics...)
	}
	return topic.Selectors{}, &topic.InvalidError{Reason: reason}
}

// lastEventID returns the id to resume after, in any spelling that the protocol has
// had, or "". The id that a reconnecting client sends takes precedence over the page's
// own parameter.
func lastEventID(h http.Header, q url.Values) string {
	if id := edge.ReconnectID(h, q); id != "" {
		return id
	}
	return q.Get("last_event_id")
}

// Reserved reports whether a topic's path is [Path] or below it, on any host. Only the
// hub publishes there, also by way of the native API (see [edge.Options].Reserved).
func Reserved(topic string) bool {
	if !strings.Contains(topic, "mercure") && !strings.Contains(topic, "%") { // a percent-encoding could spell it
		return false
	}
	u, err := url.Parse(topic)
	return err == nil && Serves(path.Clean("/"+u.Path))
}

// A Link says where the updates of a resource are (draft-dunglas-mercure-07,
// "Discovery").
type Link struct {
	Hub         string // the hub's address
	LastEventID string // the newest event that the resource includes; "": unknown
	ContentType string // of the updates; "": as the resource's
	Self        string // the resource's topic; "": the URL of the request
}

// Set adds the Link headers by which a subscriber discovers the hub (RFC 8288 §3).
func (l Link) Set(h http.Header) {
	link := fmt.Sprintf(`<%s>; rel="mercure"`, uri(l.Hub))
	for _, param := range [][2]string{{"last-event-id", l.LastEventID}, {"content-type", l.ContentType}} {
		if param[1] != "" {
			link += fmt.Sprintf(`; %s="%s"`, param[0], quoted(param[1]))
		}
	}
	h.Add("Link", link)
	if l.Self != "" {
		h.Add("Link", fmt.Sprintf(`<%s>; rel="self"`, uri(l.Self)))
	}
}

// uri escapes what would end a URI-Reference early (RFC 8288 §3).
func uri(s string) string { return strings.NewReplacer("<", "%3C", ">", "%3E").Replace(printable(s)) }

// quoted escapes s for a quoted-string (RFC 9110 §5.6.4).
func quoted(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(printable(s)) }

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
