package hub

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/internal/pace"
)

// From says where a subscription begins. At most one field may be set. The zero value
// begins with what is published from now on.
type From struct {
	LastEventID string    // begin after the event with this id, the hub's or a publisher's; or Earliest
	Since       time.Time // begin with the first event appended at this time or later
	Last        int       // begin with the newest Last events of each matching topic, at most MaxLast in all
}

// A GapReason says why events that were asked for are missing.
type GapReason string

const (
	Trimmed    GapReason = "trimmed" // retention has dropped them; delivery continues with the oldest retained event
	OtherEpoch GapReason = "epoch"   // the id is from another log; delivery begins with this log's oldest retained event
	Unknown    GapReason = "unknown" // no event has that id; delivery is live
)

// A Gap is the data of an event of [GapType], encoded as JSON.
type Gap struct {
	Requested    string    `json:"requested"`     // the id or time (RFC 3339) asked for, cut at 128 bytes
	ResumedAfter string    `json:"resumed_after"` // the position after which delivery continues, in the stream's spelling of ids
	Reason       GapReason `json:"reason"`
}

// gap returns the event that reports a gap on streams of a form. Its id is the position
// to continue from, so that the next reconnect does not ask for the same again.
func (h *Hub) gap(as form, requested string, resumedAfter eventlog.ID, reason GapReason) *eventlog.Event {
	h.counters.gap(reason)
	data, err := json.Marshal(Gap{cutBytes(requested, 128), as.place(resumedAfter), reason})
	if err != nil {
		panic(err) // cannot fail: three strings
	}
	return &eventlog.Event{
		Record: eventlog.Record{Type: GapType, Data: data},
		ID:     resumedAfter,
		Time:   time.Now(),
	}
}

// A begin is where a subscription begins.
type begin struct {
	start  eventlog.ID     // the position just before the first event
	gap    *eventlog.Event // sent first; nil: there is no gap
	newest                 // sent first, for From.Last
	place  eventlog.ID     // the position to read the log from after that
	end    eventlog.ID     // the end of the log when it was looked up
}

// find looks up the position that s.From names. Without From it is the end of the log,
// which the hub may not have routed yet.
func (h *Hub) find(ctx context.Context, f *feed.Feed, s Subscription) (b begin, err error) {
	from := s.From
	bounds, err := h.log.Bounds(ctx)
	if err != nil {
		return b, err
	}
	b.place = bounds.Last
	switch {
	case from.Last > 0:
		b.newest, err = h.newest(ctx, f, s, bounds.Last)
		if len(b.pending) > 0 {
			b.start = b.pending[0].Prev()
		}
	case !from.Since.IsZero():
		b, err = h.findTime(ctx, f.Form().(form), from.Since)
	case from.LastEventID == Earliest:
		b.place = bounds.Origin
	case from.LastEventID != "":
		b, err = h.findID(ctx, f.Form().(form), from.LastEventID, bounds)
	}
	if b.start.IsZero() {
		b.start = b.place
	}
	b.end = bounds.Last
	return b, err
}

func (h *Hub) findTime(ctx context.Context, as form, t time.Time) (begin, error) {
	place, err := h.log.At(ctx, t)
	var trimmed *eventlog.TrimmedError
	if errors.As(err, &trimmed) {
		return h.beginWithGap(as, t.UTC().Format(time.RFC3339Nano), trimmed.Origin, Trimmed), nil
	}
	return begin{place: place}, err
}

func (h *Hub) findID(ctx context.Context, as form, requested string, b eventlog.Bounds) (begin, error) {
	id, err := parseID(requested)
	if err != nil && !strings.HasPrefix(requested, eventlog.IDPrefix) {
		id, err = h.log.ByPublisherID(ctx, requested)
		if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
			return begin{}, err
		}
	}
	switch {
	case err != nil: // no event has this id
		return h.beginWithGap(as, requested, b.Last, Unknown), nil
	case id.Epoch != b.Origin.Epoch:
		return h.beginWithGap(as, requested, b.Origin, OtherEpoch), nil
	case id.Compare(b.Origin) < 0:
		return h.beginWithGap(as, requested, b.Origin, Trimmed), nil
	case id.Compare(b.Last) > 0: // this log has not assigned it yet
		return h.beginWithGap(as, requested, b.Last, Unknown), nil
	}
	return begin{place: id}, nil
}

// Event returns the retained event with the given id, the hub's or a publisher's. If
// several have the publisher's id, it returns the oldest retained one. The error is
// [eventlog.ErrNotFound], the context's or the log's.
func (h *Hub) Event(ctx context.Context, id string) (*eventlog.Event, error) {
	bounds, err := h.log.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	at, err := parseID(id)
	q := eventlog.Query{UpTo: at}
	if err != nil && !strings.HasPrefix(id, eventlog.IDPrefix) {
		q = byPublisherID(id) // the oldest may have been deleted, so the query accepts later ones
		at, err = h.log.ByPublisherID(ctx, id)
		if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
			return nil, err
		}
	}
	if err != nil || at.Epoch != bounds.Origin.Epoch || at.Compare(bounds.Origin) <= 0 || at.Compare(bounds.Last) > 0 {
		return nil, eventlog.ErrNotFound
	}
	q.Limit = 1
	for e, err := range h.log.Read(ctx, at.Prev(), q) {
		return e, err
	}
	return nil, eventlog.ErrNotFound // it was deleted
}

// byPublisherID returns a query for all events to which publishers gave an id.
func byPublisherID(id string) eventlog.Query {
	return eventlog.Query{PublisherID: id, Match: func(e *eventlog.Event) bool { return e.PublisherID == id }}
}

// parseID parses one of the hub's own ids, in either spelling.
func parseID(s string) (eventlog.ID, error) {
	if id, err := eventlog.ParseURN(s); err == nil {
		return id, nil
	}
	return eventlog.ParseID(s)
}

func (h *Hub) beginWithGap(as form, requested string, resumedAfter eventlog.ID, reason GapReason) begin {
	return begin{gap: h.gap(as, requested, resumedAfter, reason), place: resumedAfter}
}

// newest holds the newest events of some topics, in log order.
type newest struct {
	pending []eventlog.ID     // the positions of all events
	listed  int64             // bytes of pending, as taken from the budget's share for lists
	events  []*eventlog.Event // all events, or nil if they are many or large
	bytes   int64             // their total size, counted until it exceeds a page
	lists   *budget.Share
}

// Limits on the search for [From].Last: how many events it looks at, how long it takes in
// all, and how long it waits for its turn.
const (
	maxLastLooks = 100_000
	maxLastTime  = 500 * time.Millisecond
	maxLastWait  = 5 * time.Second
)

// A search looks for the newest events of topics, within limits.
type search struct {
	pace *pace.Pace
	stop context.CancelFunc
	done bool // it has reached a limit
}

// look counts one event or topic, and reports whether the search has reached a limit.
func (s *search) look() bool {
	s.pace.Over()
	if s.done = s.done || s.pace.IsSpent(maxLastLooks, maxLastTime); s.done {
		s.stop()
	}
	return s.done
}

// newest returns, for each topic that the subscription selects, the newest events that
// its grant shows, up to end; later events are live. The caller must give back the bytes
// counted in listed.
func (h *Hub) newest(ctx context.Context, f *feed.Feed, sub Subscription, end eventlog.ID) (newest, error) {
	waiting, cancel := context.WithTimeout(ctx, maxLastWait)
	defer cancel()
	pace, err := h.feeds.Slots.Search(waiting, f.Selectors())
	switch {
	case err != nil && ctx.Err() == nil:
		return newest{}, ErrBusy
	case err != nil:
		return newest{}, err
	}
	defer pace.End()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s := &search{pace: pace, stop: stop}
	all := newest{lists: h.budget.Share(budget.Lists)}
	if err := h.searchNewest(ctx, s, &all, f, sub, end); err != nil {
		all.lists.Give(all.listed)
		return newest{}, err
	}
	if s.done && sub.OnPartial != nil {
		sub.OnPartial()
	}
	all.sort()
	return all, nil
}

// searchNewest adds to all what it finds within the limits.
func (h *Hub) searchNewest(ctx context.Context, s *search, all *newest, f *feed.Feed, sub Subscription, end eventlog.ID) error {
	wants := func(e *eventlog.Event) bool {
		return e.ID.Compare(end) <= 0 && f.WantsType(e.Type) && feed.Sees(&sub.Grant, e)
	}
	n := min(sub.From.Last, MaxLast)
	banned := h.feeds.Banned()
	add := func(topic string) error {
		if banned.Has(topic) {
			return nil
		}
		left := n
		var over error
		_, err := h.log.Newest(ctx, topic, 1, func(e *eventlog.Event) bool { // called for the newest event first
			if s.look() || !wants(e) {
				return false
			}
			over = all.add(e)
			left--
			return left == 0 || over != nil
		})
		if s.done { // the search stopped the read itself
			err = nil
		}
		if err == nil {
			err = over
		}
		return err
	}
	for _, topic := range f.Selectors().Texts() {
		if err := add(topic); err != nil {
			return err
		}
	}
	if f.Selectors().IsOpen() {
		for topic, err := range h.log.Topics(ctx) {
			if s.pace.Keep(); s.done || s.pace.IsSpent(math.MaxInt, maxLastTime) {
				s.done = true
				break
			}
			if err == nil && f.Selectors().MatchTopic(topic.Name) {
				err = add(topic.Name)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// forget drops the list and uncounts it.
func (l *newest) forget() {
	if l.listed > 0 {
		l.lists.Give(l.listed)
	}
	l.pending, l.events, l.listed = nil, nil, 0
}

const idBytes = int64(unsafe.Sizeof(eventlog.ID{}))

// add adds an event. Once the events take more than a page, it keeps only their
// positions.
func (l *newest) add(e *eventlog.Event) error {
	if len(l.pending) == cap(l.pending) {
		if len(l.pending) >= 4*MaxLast { // bounds memory when many topics match
			l.sort()
		}
		more := int64(max(len(l.pending), 16)) * idBytes
		if !l.lists.Take(more) {
			return ErrOverBudget
		}
		l.listed += more
		l.pending = append(make([]eventlog.ID, 0, l.listed/idBytes), l.pending...)
	}
	l.pending = append(l.pending, e.ID)
	if l.bytes += e.Footprint(); l.bytes > feed.PageBytes {
		l.events = nil
	} else {
		l.events = append(l.events, e)
	}
	return nil
}

// sort puts the events in log order without duplicates, and keeps the newest MaxLast.
func (l *newest) sort() {
	slices.SortFunc(l.pending, eventlog.ID.Compare)
	ids := slices.Compact(l.pending)
	l.pending = slices.Clone(ids[max(0, len(ids)-MaxLast):]) // without spare capacity
	kept := int64(cap(l.pending)) * idBytes
	l.lists.Give(l.listed - kept)
	l.listed = kept
	slices.SortFunc(l.events, func(a, b *eventlog.Event) int { return a.ID.Compare(b.ID) })
	l.events = slices.CompactFunc(l.events, func(a, b *eventlog.Event) bool { return a.ID == b.ID })
}

// cutBytes returns at most the first n bytes of s, without splitting a UTF-8 character.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
