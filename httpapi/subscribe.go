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

// get answers with a stream, or with the retained events if the client prefers NDJSON.
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

// ParsePositions parses the query field position: "event" gives [hub.PositionEvents],
// "none" gives [hub.NoPositions], and without the field the result is byDefault. Any
// other value, or a repeated field, is a [hub.InvalidError].
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

// wantsNDJSON reports whether r prefers NDJSON to a stream. If its Accept header weighs
// both equally, it must name NDJSON and not the stream type.
func wantsNDJSON(r *http.Request) bool {
	lines, named := sse.Accepted(r, ndjson)
	stream, streamNamed := sse.Accepted(r, sse.MediaType)
	return lines > stream || lines == stream && lines > 0 && named && !streamNamed
}

// wantsStream reports whether r names text/event-stream in its Accept header, as an
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

// parseQuery parses the whole query or fails: serving half of a query could do
// something its caller did not ask for.
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

// parseFrom parses the position to begin at. The id that a reconnecting client sends
// takes precedence over the page's own fields, of which only one may be given.
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

// appendedIDs are the query fields in which reconnecting clients append the last event
// ID. Polyfills of EventSource append lastEventId unless the page names another field;
// pages for Mercure name the others. If lastEventID occurs twice, the first is the
// page's own.
var appendedIDs = []string{"lastEventId", "Last-Event-Id", "Last-Event-ID", "lastEventID"}

// reconnectID returns the last event ID of a reconnecting client, or "". The header
// takes precedence over the query, and a field's last value over earlier ones.
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

// parseSince parses RFC 3339, Unix seconds, or a duration that counts back from now.
func parseSince(v string, now time.Time) (time.Time, error) {
	const lastSecond = 253402300799 // of the year 9999
	var since time.Time
	// A query's + decodes to a space, and time zones contain a +.
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
	if first := time.Unix(1, 0); since.Before(first) { // the zero time means no since
		since = first
	}
	return since, nil
}

// comeBack answers a request that the hub cannot serve now, see §"Promises". If the
// client asked for new events only, the answer carries the log's end as a position, so
// that it misses nothing until it reconnects. A client that asked for another position
// asks for that again.
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
	_, _ = out.Write(o.Again(retry, place)) // a client that misses it reconnects anyway

	if r.ProtoMajor > 1 || a.room(r) { // otherwise publishers need the descriptor at once
		letRead(r)
	}
	breakOff(r)
}
