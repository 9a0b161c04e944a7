package httpapi

import (
	"net/http"
	"net/url"
	"time"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/hub"
)

// Stream serves one subscriber until its client leaves or the hub ends the stream. It
// sends errors itself, as [API.Refuse] does. Of o it uses Envelope, Positions and
// Mercure, and sets the rest.
func (x *API) Stream(w http.ResponseWriter, r *http.Request, g *auth.Grant, s hub.Subscription, o hub.StreamOptions) {
	x.api.stream(w, r, g, s, o)
}

// WriteTimeout returns how long a client may take no byte of its answer, see
// [TimeWrites].
func (x *API) WriteTimeout() time.Duration { return x.api.WriteTimeout }

// Refuse answers with the problem (RFC 9457) for err, which may come from this package,
// hub or auth. A request for a stream whose grant is revoked gets 204 instead, after
// which an EventSource gives up (WHATWG HTML §9.2.3). Any other error is logged and
// answered with 503.
func (x *API) Refuse(w http.ResponseWriter, r *http.Request, err error) { x.api.refuse(w, r, err) }

// Body reads the whole request body, up to [Options].MaxBody bytes, and returns it with
// the media type of its Content-Type. The caller must call done once it has answered,
// even after an error; until then the body counts against the budget. Errors are for
// [API.Refuse]: 400 for a body that breaks off, 413, 415 for a Content-Encoding, 503
// when there is no memory.
func (x *API) Body(w http.ResponseWriter, r *http.Request) (body []byte, mediaType string, done func(), err error) {
	mediaType, _ = parseMediaType(r.Header.Get("Content-Type"))
	held := x.api.hold()
	body, err = x.api.body(w, r, nil, &held)
	return body, mediaType, held.release, err
}

// Query parses a request's whole query. The error is a [hub.InvalidError], for
// [API.Refuse].
func Query(r *http.Request) (url.Values, error) { return parseQuery(r) }

// ReconnectID returns the last event ID that a reconnecting client sends, or "". The
// Last-Event-ID header takes precedence over the fields that polyfills of EventSource
// append to the query.
func ReconnectID(h http.Header, q url.Values) string { return reconnectID(h, q) }

// MayPublish returns an error for [API.Refuse], a 403 [auth.Error], unless the grant
// covers each of topics.
func MayPublish(g *auth.Grant, topics []string) error { return mayPublish(g, topics) }
