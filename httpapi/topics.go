package httpapi

import (
	"bufio"
	"cmp"
	"net/http"
	"slices"
	"strconv"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
)

// topics answers with what is retained of each topic, or of those that the
// query selects, one JSON object a line, by name: as far as the caller may see
// it.
func (a *api) topics(w http.ResponseWriter, r *http.Request) {
	g, err := a.Auth.Subscriber(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	found, err := a.findTopics(r, g)
	if err != nil {
		a.problem(err).Write(w)
		return
	}
	streams := func(string) *int { return nil }
	if g.Admin {
		audience := a.hub.Audience()
		streams = func(topic string) *int { n := audience.Of(topic); return &n }
	}
	w.Header().Set("Content-Type", ndjson)
	w.Header().Set("Cache-Control", "no-store")
	out := bufio.NewWriter(w)
	for _, t := range found {
		encode(out, struct {
			Topic       string `json:"topic"`
			Events      int64  `json:"events,omitempty"` // always there are some, for who may know
			Bytes       int64  `json:"bytes,omitempty"`
			LastEventID string `json:"last_event_id"`
			Streams     *int   `json:"streams,omitempty"` // for operators
		}{t.Name, t.Events, t.Bytes, t.Last.String(), streams(t.Name)})
	}
	_ = out.Flush() // the client may be gone
}

// findTopics returns the topics that the query asks for, by name; with a limit,
// those with the newest events.
func (a *api) findTopics(r *http.Request, g *auth.Grant) (found []eventlog.Topic, err error) {
	q, err := parseQuery(r)
	if err != nil {
		return nil, err
	}
	selectors := q["topic"]
	if len(selectors) == 0 {
		selectors = []string{"*"}
	}
	sel, err := hub.ParseSelectors(selectors...)
	if err != nil {
		return nil, err
	}
	limit := 0
	if q.Has("limit") {
		if limit, err = strconv.Atoi(q.Get("limit")); err != nil || limit < 1 {
			return nil, &hub.InvalidError{Reason: "the field limit is how many topics to list: a whole number from 1"}
		}
	}
	for t, err := range a.hub.TopicsSeen(r.Context(), g.Subscribe) {
		if err != nil {
			return nil, err
		}
		if sel.Match([]string{t.Name}) {
			found = append(found, t)
		}
	}
	if limit > 0 && limit < len(found) {
		slices.SortFunc(found, func(a, b eventlog.Topic) int { return b.Last.Compare(a.Last) })
		found = found[:limit]
	}
	slices.SortFunc(found, func(a, b eventlog.Topic) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}
