package hub

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidings-sse/tidings/eventlog"
)

// Earliest, as a last event ID, asks for everything retained.
const Earliest = "earliest"

// MaxLast is how many events [From].Last gives at most, over all topics.
const MaxLast = 10_000

// From says where a subscription begins. At most one field is set; the zero
// value begins with what is published from now on.
type From struct {
	LastEventID string    // just after the event with this id, the hub's or a publisher's; or Earliest
	Since       time.Time // with the first event of that time or later
	Last        int       // with the newest Last events of each matching topic, MaxLast in all
}

// A GapReason says why events that were asked for are not there.
type GapReason string

const (
	Trimmed    GapReason = "trimmed" // retention has dropped them: delivery goes on with the oldest retained
	OtherEpoch GapReason = "epoch"   // the id is from another log: delivery begins with this one's first
	Unknown    GapReason = "unknown" // no event here has that id: delivery is live
)

// A Gap is the data of an event of [GapType], as JSON.
type Gap struct {
	Requested    string    `json:"requested"`     // the id or time asked for, cut at 128 bytes
	ResumedAfter string    `json:"resumed_after"` // the place that delivery goes on from
	Reason       GapReason `json:"reason"`
}

// newGap returns the event that tells of a gap. Its id is the place to go on
// from, so that the next reconnect does not ask for the same again.
func newGap(requested string, resumedAfter eventlog.ID, reason GapReason) *eventlog.Event {
	data, err := json.Marshal(Gap{cutBytes(requested, 128), resumedAfter.String(), reason})
	if err != nil {
		panic(err) // three strings
	}
	return &eventlog.Event{
		Record: eventlog.Record{Type: GapType, Data: data},
		ID:     resumedAfter,
		Time:   time.Now(),
	}
}

// find sets the place that from names, and what is pending before it. Live
// begins at the log's end, which the hub may not have read to yet.
func (s *Subscriber) find(ctx context.Context, from From) error {
	b, err := s.hub.log.Bounds(ctx)
	if err != nil {
		return err
	}
	s.place = b.Last
	switch {
	case from.Last > 0:
		err = s.findLast(ctx, from.Last)
	case !from.Since.IsZero():
		err = s.findTime(ctx, from.Since)
	case from.LastEventID == Earliest:
		s.place = b.Origin
	case from.LastEventID != "":
		err = s.findID(ctx, from.LastEventID, b)
	}
	if s.start.IsZero() {
		s.start = s.place
	}
	return err
}

func (s *Subscriber) findTime(ctx context.Context, t time.Time) error {
	place, err := s.hub.log.At(ctx, t)
	var trimmed *eventlog.ErrTrimmed
	if errors.As(err, &trimmed) {
		s.beginWithGap(t.UTC().Format(time.RFC3339Nano), trimmed.Origin, Trimmed)
		return nil
	}
	s.place = place
	return err
}

func (s *Subscriber) findID(ctx context.Context, requested string, b eventlog.Bounds) error {
	id, err := eventlog.ParseID(requested)
	if err != nil && !strings.HasPrefix(requested, eventlog.IDPrefix) {
		id, err = s.hub.log.ByPublisherID(ctx, requested)
		if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
			return err
		}
	}
	switch {
	case err != nil: // no event here has it
		s.beginWithGap(requested, b.Last, Unknown)
	case id.Epoch != b.Origin.Epoch:
		s.beginWithGap(requested, b.Origin, OtherEpoch)
	case id.Compare(b.Origin) < 0:
		s.beginWithGap(requested, b.Origin, Trimmed)
	case id.Compare(b.Last) > 0: // never given by this log
		s.beginWithGap(requested, b.Last, Unknown)
	default:
		s.place = id
	}
	return nil
}

func (s *Subscriber) beginWithGap(requested string, resumedAfter eventlog.ID, reason GapReason) {
	s.gap = true
	s.place = resumedAfter
	s.pending = []*eventlog.Event{newGap(requested, resumedAfter, reason)}
}

// findLast collects the newest events, up to the end as it was; what
// comes after it is live.
func (s *Subscriber) findLast(ctx context.Context, n int) error {
	n = min(n, MaxLast)
	wants := func(e *eventlog.Event) bool { return e.ID.Compare(s.place) <= 0 && s.wantsType(e.Type) }
	for _, topic := range s.sel.text {
		if err := s.addNewest(ctx, topic, n, wants); err != nil {
			return err
		}
	}
	if s.sel.hasPatterns() {
		for topic, err := range s.hub.log.Topics(ctx) {
			if err != nil {
				return err
			}
			if !s.sel.matchTopic(topic.Name) {
				continue
			}
			if err := s.addNewest(ctx, topic.Name, n, wants); err != nil {
				return err
			}
		}
	}
	s.pending = newestInOrder(s.pending)
	if len(s.pending) > 0 {
		s.start = s.pending[0].ID.Prev()
	}
	return nil
}

func (s *Subscriber) addNewest(ctx context.Context, topic string, n int, match func(*eventlog.Event) bool) error {
	events, err := s.hub.log.Newest(ctx, topic, n, match)
	s.pending = append(s.pending, events...)
	if len(s.pending) > 4*MaxLast { // many topics must not cost many times the limit
		s.pending = newestInOrder(s.pending)
	}
	return err
}

// newestInOrder puts events in log order, each once, and keeps MaxLast.
func newestInOrder(events []*eventlog.Event) []*eventlog.Event {
	slices.SortFunc(events, func(a, b *eventlog.Event) int { return a.ID.Compare(b.ID) })
	events = slices.CompactFunc(events, func(a, b *eventlog.Event) bool { return a.ID == b.ID })
	return slices.Clip(events[max(0, len(events)-MaxLast):])
}

// cutBytes cuts s to at most n bytes without splitting a character.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
