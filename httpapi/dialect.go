package httpapi

import (
	"net/http"
	"net/url"
	"time"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/hub"
)

// Stream serves one subscriber until it goes or the hub ends it. Of o, it takes
// the form; the rest is its own.
func (x *API) Stream(w http.ResponseWriter, r *http.Request, g *auth.Grant, s hub.Subscription, o hub.StreamOptions) {
	x.api.stream(w, r, g, s, o)
}

// WriteTimeout is how long the client of an answer may take nothing of it, see
// [TimeWrites].
func (x *API) WriteTimeout() time.Duration { return x.api.WriteTimeout }

// Refuse answers with a problem for an error of this package, of hub or of
// auth.
func (x *API) Refuse(w http.ResponseWriter, r *http.Request, err error) { x.api.refuse(w, r, err) }

// Body reads a request's body within the limit. The caller calls done, also after an
// error, once it has answered: until then the body counts as held.
func (x *API) Body(w http.ResponseWriter, r *http.Request) (body []byte, mediaType string, done func(), err error) {
	mediaType, _ = parseMediaType(r.Header.Get("Content-Type"))
	held := x.api.hold()
	body, err = x.api.body(w, r, nil, &held)
	return body, mediaType, held.release, err
}

// Query parses a request's query. The error is one for [API.Refuse].
func Query(r *http.Request) (url.Values, error) { return parseQuery(r) }

// ReconnectID returns the last event ID with which a client comes back, or "":
// that of the Last-Event-ID header, else the one that a polyfill of EventSource
// has appended to the query.
func ReconnectID(h http.Header, q url.Values) string { return reconnectID(h, q) }

// MayPublish returns an error for [API.Refuse] if a grant lacks one of topics.
func MayPublish(g *auth.Grant, topics []string) error { return mayPublish(g, topics) }
