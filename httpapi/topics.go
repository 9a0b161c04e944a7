package httpapi

import (
	"bufio"
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"unsafe"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"

	"github.com/tidings-sse/tidings/edge"
)

// topics answers with a page of the retained topics, or of those that the query
// selects, one JSON object a line, sorted by name. It counts only what the caller may
// see. The Link header names the next page (RFC 8288).
func (a *api) topics(w http.ResponseWriter, r *http.Request) {
	g, err := a.Auth.Subscriber(r)
	if err != nil {
		a.Refuse(w, r, err)
		return
	}
	q, err := edge.Query(r)
	var found *topicsPage
	if err == nil {
		found, err = a.findTopics(r, q, g)
	}
	if err != nil {
		a.Problem(err).Write(w)
		return
	}
	defer found.share.Give(found.bytes)
	streams, err := a.streamsOf(r.Context(), g, found.topics)
	if err != nil { // the client has gone
		return
	}
	w.Header().Set("Content-Type", edge.NDJSON)
	w.Header().Set("Cache-Control", "no-store")
	if next := found.next(q); next != "" {
		w.Header().Set("Link", "<"+r.URL.Path+"?"+next+`>; rel="next"`) // RFC 8288
	}
	edge.ForgetHead(w, r)
	out := bufio.NewWriter(w)
	for i, t := range found.topics {
		var n *int
		if g.Admin {
			n = &streams[i]
		}
		edge.Encode(out, struct {
			Topic       string `json:"topic"`
			Events      int64  `json:"events,omitempty"` // 0 only if the caller may not see the figures
			Bytes       int64  `json:"bytes,omitempty"`
			LastEventID string `json:"last_event_id"`
			Streams     *int   `json:"streams,omitempty"` // for operators
		}{t.Name, t.Events, t.Bytes, t.Last.String(), n})
	}
	_ = out.Flush() // the client may be gone
}

// streamsOf returns how many streams get the events of each of topics, for an operator;
// for others it returns nil. Only one request at a time builds the hub's audience, and
// drops it before its client is waited for, because with many streams it takes much
// memory.
func (a *api) streamsOf(ctx context.Context, g *auth.Grant, topics []eventlog.Topic) ([]int, error) {
	if !g.Admin {
		return nil, nil
	}
	select {
	case a.audience <- struct{}{}:
		defer func() { <-a.audience }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	audience, streams := a.hub.Audience(), make([]int, len(topics)) // both take turns with reads of the log
	for i, t := range topics {
		streams[i] = audience(t.Name)
	}
	return streams, nil
}

// findTopics returns the page of topics that a query asks for, sorted by name. The
// caller must give back its bytes.
func (a *api) findTopics(r *http.Request, q url.Values, g *auth.Grant) (*topicsPage, error) {
	selectors := q["topic"]
	if len(selectors) == 0 {
		selectors = []string{"*"}
	}
	sel, err := topic.Parse(selectors...)
	if err != nil {
		return nil, err
	}
	l, err := parseTopicsPage(q)
	if err != nil {
		return nil, err
	}
	l.share = a.Budget.Share(budget.Lists)
	for t, err := range a.hub.TopicsSeen(r.Context(), sel, g.Subscribe) {
		if err == nil {
			err = l.add(t)
		}
		if err != nil {
			l.share.Give(l.bytes)
			return nil, err
		}
	}
	l.cut()
	slices.SortFunc(l.topics, byName)
	return l, nil
}

// The limits of a page of topics. Its last topic may exceed maxTopicsBytes.
const (
	maxTopics      = 1000
	maxTopicsBytes = 256 << 10 // of names and figures
	topicBytes     = int64(unsafe.Sizeof(eventlog.Topic{}))
)

// topicsPage is a page of topics: the first ones by name after a given name, or those
// with the newest events.
type topicsPage struct {
	topics []eventlog.Topic
	limit  int
	after  string
	less   func(a, b eventlog.Topic) int // the order in which topics fill the page
	more   bool                          // topics were left out that belong on later pages
	bytes  int64                         // taken from share
	share  *budget.Share
}

func byName(a, b eventlog.Topic) int { return cmp.Compare(a.Name, b.Name) }

func parseTopicsPage(q url.Values) (*topicsPage, error) {
	l := &topicsPage{limit: maxTopics, after: q.Get("after"), less: byName}
	if !q.Has("limit") {
		return l, nil
	}
	var err error
	if l.limit, err = strconv.Atoi(q.Get("limit")); err != nil || l.limit < 1 || l.limit > maxTopics {
		return nil, &topic.InvalidError{Reason: "the field limit is how many topics to list: a whole number from 1 to " + strconv.Itoa(maxTopics)}
	}
	if !q.Has("after") {
		l.less = func(a, b eventlog.Topic) int { return b.Last.Compare(a.Last) }
	}
	return l, nil
}

// add adds a topic. Once the page holds twice what fits, it drops the rest.
func (l *topicsPage) add(t eventlog.Topic) error {
	if t.Name <= l.after {
		return nil
	}
	n := topicBytes + int64(len(t.Name))
	if !l.share.Take(n) {
		return hub.ErrOverBudget
	}
	l.topics = append(l.topics, t)
	if l.bytes += n; len(l.topics) >= 2*l.limit || l.bytes >= 2*maxTopicsBytes {
		l.cut()
	}
	return nil
}

// cut drops what does not fit the page, and keeps at least one topic.
func (l *topicsPage) cut() {
	slices.SortFunc(l.topics, l.less)
	n, bytes := 0, int64(0)
	for ; n < min(len(l.topics), l.limit) && (n == 0 || bytes < maxTopicsBytes); n++ {
		bytes += topicBytes + int64(len(l.topics[n].Name))
	}
	l.more = l.more || n < len(l.topics)
	clear(l.topics[n:])
	l.topics = l.topics[:n]
	l.share.Give(l.bytes - bytes)
	l.bytes = bytes
}

// next returns the query for the next page, or "" if there is none.
func (l *topicsPage) next(q url.Values) string {
	if !l.more || q.Has("limit") && !q.Has("after") {
		return ""
	}
	following := url.Values{"after": {l.topics[len(l.topics)-1].Name}}
	for _, name := range []string{"topic", "limit"} {
		if q.Has(name) {
			following[name] = q[name]
		}
	}
	return following.Encode()
}
