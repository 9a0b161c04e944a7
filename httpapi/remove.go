package httpapi

import (
	"net/http"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/topic"
)

// remove deletes events for good, as an operator does on a privacy request.
func (a *api) remove(w http.ResponseWriter, r *http.Request) {
	n, err := a.delete(r)
	if err != nil {
		a.Problem(err).Write(w)
		return
	}
	edge.Answer(w, http.StatusOK, struct {
		Deleted int `json:"deleted"`
	}{n})
}

func (a *api) delete(r *http.Request) (n int, err error) {
	q, err := edge.Query(r)
	if err != nil {
		return 0, err
	}
	ids, topics := q["id"], q["topic"]
	if t := pathTopic(r); t != "" {
		topics = append(topics, t)
	}
	switch {
	case len(ids) > 0 && len(topics) > 0:
		return 0, &topic.InvalidError{Reason: "name events by id, or topics, not both"}
	case len(topics) > 0:
		sel, err := topic.Parse(topics...)
		if err != nil {
			return 0, err
		}
		return a.hub.Delete(r.Context(), sel)
	case len(ids) == 0:
		return 0, &topic.InvalidError{Reason: "name what to delete, as in /events?id=ID or /events?topic=NAME"}
	}
	for _, id := range ids {
		deleted, err := a.hub.DeleteID(r.Context(), id)
		if n += deleted; err != nil {
			return n, err
		}
	}
	return n, nil
}
