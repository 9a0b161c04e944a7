package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"

	"github.com/tidings-sse/tidings/edge"
)

const (
	defaultPage = 100
	maxPage     = 1000 // streams in one answer
)

// subscription is one open stream in the list.
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
	Bytes       int64           `json:"bytes"` // held for its subscription
	Outcome     hub.Outcome     `json:"outcome,omitempty"`
}

// subscriptions lists open streams, one page at a time, with the outcome of an event on
// each if asked. It encodes one stream at a time.
func (a *api) subscriptions(w http.ResponseWriter, r *http.Request) {
	l, err := a.listSubscriptions(r)
	if err != nil {
		a.Problem(err).Write(w)
		return
	}
	defer l.close()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	edge.ForgetHead(w, r)
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `{"total":%d`, l.total)
	if l.event != nil {
		_, _ = out.WriteString(`,"event":`) // a bufio.Writer keeps its error until Flush
		_, _ = out.Write(hub.AppendEnvelope(nil, l.event, true))
	}
	_, _ = out.WriteString(`,"subscriptions":[`)
	for i := range l.page.Streams {
		if i > 0 {
			_ = out.WriteByte(',')
		}
		edge.Encode(out, newSubscription(&l.page.Streams[i]))
	}
	_ = out.WriteByte(']')
	if l.page.More {
		fmt.Fprintf(out, `,"next":%q`, l.page.Streams[len(l.page.Streams)-1].ID)
	}
	_, _ = out.WriteString("}\n")
	_ = out.Flush() // the client may be gone
}

func newSubscription(s *hub.StreamInfo) subscription {
	return subscription{
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
	}
}

// A subscriptionList is a page of open streams. The caller must close it.
type subscriptionList struct {
	total int
	event *eventlog.Event // nil: none was asked for
	page  *hub.StreamPage

	bytes int64 // taken from share for the event and its encoding
	share *budget.Share
}

func (l *subscriptionList) close() {
	if l.page != nil {
		l.page.Close()
	}
	l.share.Give(l.bytes)
}

func (a *api) listSubscriptions(r *http.Request) (*subscriptionList, error) {
	q, err := edge.Query(r)
	if err != nil {
		return nil, err
	}
	f, err := parseStreamFilter(q)
	if err != nil {
		return nil, err
	}
	after, limit, err := parsePage(q)
	if err != nil {
		return nil, err
	}
	l := &subscriptionList{share: a.Budget.Share(budget.Lists)}
	if id := q.Get("event"); id != "" {
		if l.event, err = a.hub.Event(r.Context(), id); errors.Is(err, eventlog.ErrNotFound) {
			return nil, edge.NewProblem(http.StatusNotFound, "No event with this id is retained.")
		} else if err != nil {
			return nil, err
		}
		if n := 3 * l.event.Footprint(); l.share.Take(n) {
			l.bytes = n
		} else {
			return nil, hub.ErrOverBudget
		}
		f.Event = l.event
	}
	if l.total, err = a.hub.CountStreams(r.Context(), f); err == nil {
		l.page, err = a.hub.Streams(r.Context(), f, after, limit)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// parseStreamFilter parses the fields that select streams: id, topic, subject and
// token_id.
func parseStreamFilter(q url.Values) (f hub.StreamFilter, err error) {
	if topics := q["topic"]; len(topics) > 0 {
		if f.Topics, err = topic.Parse(topics...); err != nil {
			return f, err
		}
	}
	f.Subject, f.TokenID = q.Get("subject"), q.Get("token_id")
	if q.Has("id") {
		var ok bool
		if f.ID, ok = hub.ParseStreamID(q.Get("id")); !ok {
			return f, &topic.InvalidError{Reason: "the field id is a stream's, as GET /subscriptions lists it"}
		}
	}
	return f, nil
}

func parsePage(q url.Values) (after hub.StreamID, limit int, err error) {
	limit = defaultPage
	if v := q.Get("limit"); v != "" {
		if limit, err = strconv.Atoi(v); err != nil || limit < 1 || limit > maxPage {
			return after, 0, &topic.InvalidError{Reason: "the field limit is how many streams to list at a time, from 1 to " + strconv.Itoa(maxPage)}
		}
	}
	if v := q.Get("after"); v != "" {
		var ok bool
		if after, ok = hub.ParseStreamID(v); !ok {
			return after, 0, &topic.InvalidError{Reason: "the field after is the next of the page before"}
		}
	}
	return after, limit, nil
}
