package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/sse"
	"github.com/tidings-sse/tidings/topic"

	"github.com/tidings-sse/tidings/edge"
)

// get answers with a stream, or with the retained events if the client prefers NDJSON.
func (a *api) get(w http.ResponseWriter, r *http.Request) {
	g, err := a.Auth.Subscriber(r)
	if err != nil {
		a.Refuse(w, r, err)
		return
	}
	sub, o, err := parseSubscription(r)
	sub.Grant = g.Subscribe
	sub.OnPartial = func() { w.Header().Set("Tidings-Last", "partial") }
	switch {
	case err != nil:
		a.Problem(err).Write(w)
	case edge.PrefersNDJSON(r):
		if err := a.Banned(g, &sub); err != nil {
			a.Refuse(w, r, err)
			return
		}
		a.read(w, r, sub)
	case !sse.Accepts(r):
		edge.NewProblem(http.StatusNotAcceptable, "Ask for text/event-stream to subscribe, or for "+edge.NDJSON+" to read what is retained.").Write(w)
	default:
		a.Stream(w, r, g, sub, o)
	}
}

func parseSubscription(r *http.Request) (sub hub.Subscription, o hub.StreamOptions, err error) {
	q, err := edge.Query(r)
	if err != nil {
		return sub, o, err
	}
	topics := q["topic"]
	if t := pathTopic(r); t != "" {
		topics = append(topics, t)
	}
	if len(topics) == 0 {
		return sub, o, &topic.InvalidError{Reason: "name a topic, as in /events/NAME, /events?topic=NAME or /events?topic=* for all"}
	}
	if len(topics) > hub.MaxTopics {
		return sub, o, &topic.InvalidError{Reason: "at most " + strconv.Itoa(hub.MaxTopics) + " topics fit in one subscription; * and URI Templates select many at once"}
	}
	if sub.Selectors, err = topic.Parse(topics...); err != nil {
		return sub, o, err
	}
	switch {
	case !q.Has("envelope"):
	case slices.Equal(q["envelope"], []string{"json"}):
		o.Envelope = hub.InJSON
	case slices.Equal(q["envelope"], []string{"message"}):
		o.Envelope = hub.JSONMessage
	default:
		return sub, o, &topic.InvalidError{Reason: "the envelopes are envelope=json and envelope=message"}
	}
	if o.Positions, err = edge.ParsePositions(q, hub.PositionEvents); err != nil {
		return sub, o, err
	}
	sub.Types = q["type"]
	sub.From, err = parseFrom(r.Header, q)
	return sub, o, err
}

// parseFrom parses the position to begin at. The id that a reconnecting client sends
// takes precedence over the page's own fields, of which only one may be given.
func parseFrom(h http.Header, q url.Values) (hub.From, error) {
	var from hub.From
	given := 0
	for _, name := range []string{"last_event_id", "since", "last"} {
		for _, v := range q[name] {
			if given++; given > 1 {
				return from, &topic.InvalidError{Reason: "give one of last_event_id, since and last, once"}
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
	if id := edge.ReconnectID(h, q); id != "" {
		return hub.From{LastEventID: id}, nil
	}
	return from, nil
}

func parseLast(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, &topic.InvalidError{Reason: "the field last is how many events of each topic to begin with: a whole number from 1"}
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
			return since, &topic.InvalidError{Reason: "since is in Unix seconds, and this is no such time; divide milliseconds by 1000"}
		}
		since = time.Unix(s, 0)
	} else if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		since = now.Add(-d)
	} else {
		return since, &topic.InvalidError{Reason: "the field since is a time as in 2026-09-01T10:00:00Z, Unix seconds, or a duration as in 15m"}
	}
	if first := time.Unix(1, 0); since.Before(first) { // the zero time means no since
		since = first
	}
	return since, nil
}
