package edge

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/internal/form"
	"github.com/tidings-sse/tidings/sse"
	"github.com/tidings-sse/tidings/topic"
)

// NDJSON is the media type of JSON objects, one a line.
const NDJSON = "application/x-ndjson"

// Query parses the whole query or fails: serving half of a query could do something its
// caller did not ask for. The error is a [topic.InvalidError].
func Query(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	q, err := form.Parse(r.URL.RawQuery)
	if err != nil {
		return nil, &topic.InvalidError{Reason: "the query is malformed: " + err.Error()}
	}
	return q, nil
}

// appendedIDs are the query fields in which reconnecting clients append the last event
// ID. Polyfills of EventSource append lastEventId unless the page names another field;
// pages for Mercure name the others. If lastEventID occurs twice, the first is the
// page's own.
var appendedIDs = []string{"lastEventId", "Last-Event-Id", "Last-Event-ID", "lastEventID"}

// ReconnectID returns the last event ID of a reconnecting client, or "". The header
// takes precedence over the query, and a field's last value over earlier ones.
func ReconnectID(h http.Header, q url.Values) string {
	if id := h.Get("Last-Event-ID"); id != "" {
		return id
	}
	for _, name := range appendedIDs {
		if ids := q[name]; len(ids) > 0 && ids[len(ids)-1] != "" {
			return ids[len(ids)-1]
		}
	}
	return ""
}

// ParsePositions parses the query field position: "event" gives [hub.PositionEvents],
// "none" gives [hub.NoPositions], and without the field the result is byDefault. Any
// other value, or a repeated field, is a [topic.InvalidError].
func ParsePositions(q url.Values, byDefault hub.Positions) (hub.Positions, error) {
	switch {
	case !q.Has("position"):
		return byDefault, nil
	case slices.Equal(q["position"], []string{"event"}):
		return hub.PositionEvents, nil
	case slices.Equal(q["position"], []string{"none"}):
		return hub.NoPositions, nil
	}
	return byDefault, &topic.InvalidError{Reason: "the field position is position=event, for a stream whose position is an event of that type, or position=none, for one without; give it once"}
}

// PrefersNDJSON reports whether r prefers NDJSON to a stream. If its Accept header weighs
// both equally, it must name NDJSON and not the stream type.
func PrefersNDJSON(r *http.Request) bool {
	lines, named := sse.Accepted(r, NDJSON)
	stream, streamNamed := sse.Accepted(r, sse.MediaType)
	return lines > stream || lines == stream && lines > 0 && named && !streamNamed
}

// WantsStream reports whether r names text/event-stream in its Accept header, as an
// EventSource does.
func WantsStream(r *http.Request) bool {
	weight, named := sse.Accepted(r, sse.MediaType)
	return weight > 0 && named && !PrefersNDJSON(r)
}
