package httpapi

import (
	"net/http"
	"time"

	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"

	"github.com/tidings-sse/tidings/edge"
)

// presence lists open streams, or ends them with DELETE.
func (a *api) presence(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodDelete {
		a.kick(w, r)
		return
	}
	edge.OnlyGet(a.subscriptions)(w, r)
}

// kick ends streams. With for= it also keeps their clients away for that time: an
// EventSource that reconnects gets 204 and gives up (WHATWG HTML §9.2.3). For a topic,
// the hub withholds its events from all streams meanwhile.
func (a *api) kick(w http.ResponseWriter, r *http.Request) {
	n, err := a.endStreams(r)
	if err != nil {
		a.Refuse(w, r, err)
		return
	}
	edge.Answer(w, http.StatusOK, struct {
		Ended int `json:"ended"`
	}{n})
}

func (a *api) endStreams(r *http.Request) (n int, err error) {
	q, err := edge.Query(r)
	if err != nil {
		return 0, err
	}
	f, err := parseStreamFilter(q)
	if err != nil {
		return 0, err
	}
	given := 0
	for _, set := range []bool{q.Has("id"), q.Has("topic"), f.Subject != "", f.TokenID != ""} {
		if set {
			given++
		}
	}
	if given != 1 {
		return 0, &topic.InvalidError{Reason: "say whose streams to end by one of id, topic, subject and token_id"}
	}
	cause := hub.ErrKicked
	if q.Has("for") {
		cause = hub.ErrRevoked
		d, err := time.ParseDuration(q.Get("for"))
		if err != nil || d <= 0 {
			return 0, &topic.InvalidError{Reason: "the field for is how long to keep them away, as in 10m"}
		}
		if q.Has("topic") {
			return a.hub.Ban(f.Topics, d)
		}
		// The ban comes first, so that no client can reconnect in between.
		err = a.ban(f, time.Now().Add(d), func() { n = a.hub.End(f, cause) })
		return n, err
	}
	return a.hub.End(f, cause), nil
}

// ban refuses the tokens of a filter's streams until the given time, and calls end once
// it does.
func (a *api) ban(f hub.StreamFilter, until time.Time, end func()) error {
	if f.ID != (hub.StreamID{}) {
		peer, ok := a.hub.PeerOf(f.ID)
		if !ok {
			return edge.NewProblem(http.StatusNotFound, "There is no such stream.")
		}
		if f.TokenID = peer.TokenID; f.TokenID == "" {
			f.Subject = peer.Subject
		}
		if f.TokenID == "" && f.Subject == "" {
			return &topic.InvalidError{Reason: "this stream's token has neither an id nor a subject to know it by: leave for out, or name its topic"}
		}
	}
	return a.Auth.Revoke(f.Subject, f.TokenID, until, end)
}
