package httpapi

import (
	"bufio"
	"cmp"
	"net/http"
	"slices"

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
	q, err := parseQuery(r)
	if err != nil {
		a.problem(err).Write(w)
		return
	}
	selectors := q["topic"]
	if len(selectors) == 0 {
		selectors = []string{"*"}
	}
	sel, err := hub.ParseSelectors(selectors...)
	if err != nil {
		a.problem(err).Write(w)
		return
	}
	var found []eventlog.Topic
	for t, err := range a.hub.TopicsSeen(r.Context(), g.Subscribe) {
		if err != nil {
			a.problem(err).Write(w)
			return
		}
		if sel.Match([]string{t.Name}) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b eventlog.Topic) int { return cmp.Compare(a.Name, b.Name) })
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	out := bufio.NewWriter(w)
	for _, t := range found {
		encode(out, struct {
			Topic       string `json:"topic"`
			Events      int64  `json:"events,omitempty"` // always there are some, for who may know
			Bytes       int64  `json:"bytes,omitempty"`
			LastEventID string `json:"last_event_id"`
		}{t.Name, t.Events, t.Bytes, t.Last.String()})
	}
	_ = out.Flush() // the client may be gone
}
