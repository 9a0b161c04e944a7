package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
)

const (
	defaultPage = 100
	maxPage     = 1000 // streams in one answer
)

// subscription is one open stream, as a line of the list.
type subscription struct {
	ID          string          `json:"id"`
	Selectors   []string        `json:"selectors"`
	Types       []string        `json:"types,omitempty"`
	Envelope    string          `json:"envelope,omitempty"`
	Subject     string          `json:"subject,omitempty"`
	TokenID     string          `json:"token_id,omitempty"`
	Remote      string          `json:"remote"`
	UserAgent   string          `json:"user_agent"`
	OpenedAt    time.Time       `json:"opened_at"`
	State       hub.StreamState `json:"state"`
	Place       string          `json:"place"`
	BehindBytes int             `json:"behind_bytes"`
	Bytes       int64           `json:"bytes"` // that are held for what it asked for
	Outcome     hub.Outcome     `json:"outcome,omitempty"`
}

// subscriptions lists open streams, a page at a time, and says what became of
// an event on them.
func (a *api) subscriptions(w http.ResponseWriter, r *http.Request) {
	answer, err := a.listSubscriptions(r)
	if err != nil {
		a.problem(err).Write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	encode(w, answer)
}

type subscriptionsPage struct {
	Total         int             `json:"total"`
	Event         json.RawMessage `json:"event,omitempty"`
	Subscriptions []subscription  `json:"subscriptions"`
	Next          string          `json:"next,omitempty"` // the page's end, if it is not the last
}

func (a *api) listSubscriptions(r *http.Request) (answer subscriptionsPage, err error) {
	q, err := parseQuery(r)
	if err != nil {
		return answer, err
	}
	f, err := parseStreamFilter(q)
	if err != nil {
		return answer, err
	}
	after, limit, err := parsePage(q)
	if err != nil {
		return answer, err
	}
	if id := q.Get("event"); id != "" {
		f.Event, err = a.hub.Event(r.Context(), id)
		if errors.Is(err, eventlog.ErrNotFound) {
			return answer, NewProblem(http.StatusNotFound, "No event with this id is retained.")
		} else if err != nil {
			return answer, err
		}
		answer.Event = hub.AppendEnvelope(nil, f.Event, true)
	}
	page, total := a.hub.Streams(f, after, limit)
	answer.Total, answer.Subscriptions = total, make([]subscription, 0, len(page))
	for _, s := range page {
		answer.Subscriptions = append(answer.Subscriptions, subscription{
			ID:          s.ID.String(),
			Selectors:   s.Selectors,
			Types:       s.Types,
			Envelope:    s.Envelope.String(),
			Subject:     s.Subject,
			TokenID:     s.TokenID,
			Remote:      s.Remote,
			UserAgent:   s.UserAgent,
			OpenedAt:    s.Opened.UTC(),
			State:       s.State,
			Place:       s.Place.String(),
			BehindBytes: s.Behind,
			Bytes:       s.Bytes,
			Outcome:     s.Outcome,
		})
	}
	if len(page) == limit {
		answer.Next = page[limit-1].ID.String()
	}
	return answer, nil
}

// parseStreamFilter reads which streams are meant: id, topic, subject and
// token_id.
func parseStreamFilter(q url.Values) (f hub.StreamFilter, err error) {
	if topics := q["topic"]; len(topics) > 0 {
		if f.Topics, err = hub.ParseSelectors(topics...); err != nil {
			return f, err
		}
	}
	f.Subject, f.TokenID = q.Get("subject"), q.Get("token_id")
	if q.Has("id") {
		var ok bool
		if f.ID, ok = hub.ParseStreamID(q.Get("id")); !ok {
			return f, &hub.InvalidError{Reason: "the field id is a stream's, as GET /subscriptions lists it"}
		}
	}
	return f, nil
}

func parsePage(q url.Values) (after hub.StreamID, limit int, err error) {
	limit = defaultPage
	if v := q.Get("limit"); v != "" {
		if limit, err = strconv.Atoi(v); err != nil || limit < 1 || limit > maxPage {
			return after, 0, &hub.InvalidError{Reason: "the field limit is how many streams to list at a time, from 1 to " + strconv.Itoa(maxPage)}
		}
	}
	if v := q.Get("after"); v != "" {
		var ok bool
		if after, ok = hub.ParseStreamID(v); !ok {
			return after, 0, &hub.InvalidError{Reason: "the field after is the next of the page before"}
		}
	}
	return after, limit, nil
}
