package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/internal/form"
	"github.com/tidings-sse/tidings/sse"
)

// get answers with a stream, or, where NDJSON is asked for, with what is
// retained.
func (a *api) get(w http.ResponseWriter, r *http.Request) {
	g, err := a.Auth.Subscriber(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	sub, o, err := parseSubscription(r)
	sub.Grant = g.Subscribe
	sub.OnPartial = func() { w.Header().Set("Tidings-Last", "partial") }
	switch {
	case err != nil:
		a.problem(err).Write(w)
	case wantsNDJSON(r):
		if err := a.banned(g, &sub); err != nil {
			a.refuse(w, r, err)
			return
		}
		a.read(w, r, sub)
	case !sse.Accepts(r):
		NewProblem(http.StatusNotAcceptable, "Ask for text/event-stream to subscribe, or for application/x-ndjson to read what is retained.").Write(w)
	default:
		a.stream(w, r, g, sub, o)
	}
}

// ParsePositions reads the query's field position, without which streams are as
// byDefault says. Its error is a [hub.InvalidError].
func ParsePositions(q url.Values, byDefault hub.Positions) (hub.Positions, error) {
	switch {
	case !q.Has("position"):
		return byDefault, nil
	case slices.Equal(q["position"], []string{"event"}):
		return hub.PositionEvents, nil
	case slices.Equal(q["position"], []string{"none"}):
		return hub.NoPositions, nil
	}
	return byDefault, &hub.InvalidError{Reason: "the field position is position=event, for a stream whose position is an event of that type, or position=none, for one without; give it once"}
}

// wantsNDJSON reports whether r prefers NDJSON to a stream. Where its Accept header
// likes both alike, it has to name NDJSON, and no stream.
func wantsNDJSON(r *http.Request) bool {
	lines, named := sse.Accepted(r, ndjson)
	stream, streamNamed := sse.Accepted(r, sse.MediaType)
	return lines > stream || lines == stream && lines > 0 && named && !streamNamed
}

// wantsStream reports whether r asks for a stream by its name, as an
// EventSource does.
func wantsStream(r *http.Request) bool {
	weight, named := sse.Accepted(r, sse.MediaType)
	return weight > 0 && named && !wantsNDJSON(r)
}

func parseSubscription(r *http.Request) (sub hub.Subscription, o hub.StreamOptions, err error) {
	q, err := parseQuery(r)
	if err != nil {
		return sub, o, err
	}
	topics := q["topic"]
	if t := pathTopic(r); t != "" {
		topics = append(topics, t)
	}
	if len(topics) == 0 {
		return sub, o, &hub.InvalidError{Reason: "name a topic, as in /events/NAME, /events?topic=NAME or /events?topic=* for all"}
	}
	if len(topics) > hub.MaxTopics {
		return sub, o, &hub.InvalidError{Reason: "at most " + strconv.Itoa(hub.MaxTopics) + " topics fit in one subscription; * and URI Templates select many at once"}
	}
	if sub.Selectors, err = hub.ParseSelectors(topics...); err != nil {
		return sub, o, err
	}
	switch {
	case !q.Has("envelope"):
	case slices.Equal(q["envelope"], []string{"json"}):
		o.Envelope = hub.InJSON
	case slices.Equal(q["envelope"], []string{"message"}):
		o.Envelope = hub.JSONMessage
	default:
		return sub, o, &hub.InvalidError{Reason: "the envelopes are envelope=json and envelope=message"}
	}
	if o.Positions, err = ParsePositions(q, hub.PositionEvents); err != nil {
		return sub, o, err
	}
	sub.Types = q["type"]
	sub.From, err = parseFrom(r.Header, q)
	return sub, o, err
}

// parseQuery reads the query whole, or not at all: half of what a caller meant
// is not what it meant.
func parseQuery(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	q, err := form.Parse(r.URL.RawQuery)
	if err != nil {
		return nil, &hub.InvalidError{Reason: "the query is malformed: " + err.Error()}
	}
	return q, nil
}

// parseFrom reads the place to begin at. What a client sends when it reconnects
// beats how the page's URL began; of the page's own fields there may be one.
func parseFrom(h http.Header, q url.Values) (hub.From, error) {
	var from hub.From
	given := 0
	for _, name := range []string{"last_event_id", "since", "last"} {
		for _, v := range q[name] {
			if given++; given > 1 {
				return from, &hub.InvalidError{Reason: "give one of last_event_id, since and last, once"}
			}
			var err error
			switch name {
			case "since":
				from.Since, err = parseSince(v, time.Now())
			case "last":
				from.Last, err = parseLast(v)
			default:
				from.LastEventID = v
			}
			if err != nil {
				return from, err
			}
		}
	}
	if id := reconnectID(h, q); id != "" {
		return hub.From{LastEventID: id}, nil
	}
	return from, nil
}

// appendedIDs are the fields in which clients append the last event ID to the
// query when they reconnect. Polyfills of EventSource append lastEventId, unless
// the page names another field for it: pages of Mercure's name the others. Where
// there are two, lastEventID is the page's own.
var appendedIDs = []string{"lastEventId", "Last-Event-Id", "Last-Event-ID", "lastEventID"}

// reconnectID returns the last event ID that a client sends when it reconnects,
// or "". The header beats the query, and the end of the query its beginning.
func reconnectID(h http.Header, q url.Values) string {
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

func parseLast(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, &hub.InvalidError{Reason: "the field last is how many events of each topic to begin with: a whole number from 1"}
	}
	return n, nil
}

// parseSince reads RFC 3339, Unix seconds, or a duration before now.
func parseSince(v string, now time.Time) (time.Time, error) {
	const lastSecond = 253402300799 // of the year 9999
	var since time.Time
	// A + in a query is a space, and time zones have one.
	if t, err := time.Parse(time.RFC3339Nano, strings.ReplaceAll(v, " ", "+")); err == nil {
		since = t
	} else if s, err := strconv.ParseInt(v, 10, 64); err == nil && s >= 0 {
		if s > lastSecond {
			return since, &hub.InvalidError{Reason: "since is in Unix seconds, and this is no such time; divide milliseconds by 1000"}
		}
		since = time.Unix(s, 0)
	} else if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		since = now.Add(-d)
	} else {
		return since, &hub.InvalidError{Reason: "the field since is a time as in 2026-09-01T10:00:00Z, Unix seconds, or a duration as in 15m"}
	}
	if first := time.Unix(1, 0); since.Before(first) { // and so is not taken for none
		since = first
	}
	return since, nil
}

// comeBack answers a request that cannot be served now, see §"Promises". A
// client that asks for what is published from now on gets a position all the
// same, so that it misses nothing until it comes back; one that asks for another
// place asks for that again.
func (a *api) comeBack(w http.ResponseWriter, r *http.Request, s hub.Subscription, o hub.StreamOptions, retry time.Duration, detail string) {
	if !wantsStream(r) {
		w.Header().Set("Retry-After", strconv.Itoa(int((retry+time.Second-1)/time.Second)))
		NewProblem(http.StatusServiceUnavailable, detail).Write(w)
		return
	}
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // RFC 9112 §9.6; HTTP/2 would end the whole connection
	}
	out, err := sse.Accept(w, r, nil)
	if err != nil {
		return // answered
	}
	defer func() { _ = out.Close() }()
	var place eventlog.ID
	if bounds, err := a.hub.Bounds(r.Context()); err == nil && s.From == (hub.From{}) {
		place = bounds.Last
	}
	_, _ = out.Write(o.Again(retry, place)) // a client that it does not reach comes back anyway

	if r.ProtoMajor > 1 || a.room(r) { // else publishers need its descriptor
		letRead(r)
	}
	breakOff(r)
}
