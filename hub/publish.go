package hub

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
)

const (
	// MaxTopics is how many topics one event may have, and how many URI Templates
	// one subscription.
	MaxTopics = 100
	// MaxSelectors is how many selectors one subscription may have.
	MaxSelectors = 1000
	// MaxTypes is how many event types one subscription may name.
	MaxTypes = 100
	// MaxSubscriptionBytes is how long its selectors and types may be in all.
	MaxSubscriptionBytes = 64 << 10
	// MaxTopicBytes is how long a topic or a selector may be.
	MaxTopicBytes = 4 << 10
	// MaxIDBytes is how long a publisher's id or an idempotency key may be.
	MaxIDBytes = 255
	// MaxTypeBytes is how long an event's type may be.
	MaxTypeBytes = 255
	// MaxRetry is the longest reconnection time that a publisher may set: a
	// subscriber that obeys a longer one is as good as lost.
	MaxRetry = 24 * time.Hour

	// GapType is the type of the hub's own event that tells of events that
	// are not retained. Nobody else may publish it.
	GapType = "gap"
)

// An InvalidError says, in a sentence for the caller, what is wrong with a
// record or a subscription.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return e.Reason }

func invalid(format string, args ...any) error {
	return &InvalidError{fmt.Sprintf(format, args...)}
}

// pendingSize is what a record takes beside its data and its topics.
const pendingSize = 256

// pending is how many bytes records take on their way to the log.
func pending(recs []eventlog.Record) (n int64) {
	for i := range recs {
		n += pendingSize + int64(len(recs[i].Data))
		for _, t := range recs[i].Topics {
			n += int64(len(t))
		}
	}
	return n
}

// Publish adds records to the log; when it returns without an error they are
// as durable as the log makes them, and will be delivered. Any that [Check]
// refuses makes the call fail with an [InvalidError] before any is added, and so does
// a lack of memory, with [ErrOverBudget]. The slice
// is the caller's again then, unless the error is [eventlog.ErrUncertain]; what its
// records refer to is not to be changed.
func (h *Hub) Publish(ctx context.Context, recs ...eventlog.Record) ([]eventlog.Result, error) {
	for i := range recs {
		if err := Check(&recs[i]); err != nil {
			return nil, err
		}
	}
	publishes, size := h.budget.Share(budget.Publishes), pending(recs)
	if !publishes.Take(size) {
		return nil, ErrOverBudget
	}
	defer publishes.Give(size)
	results, err := h.log.Append(ctx, recs...)
	if err == nil {
		h.counters.countPublished(recs, results)
	}
	return results, err
}

// Delete removes what is retained of the topics that sel selects, and returns
// how many events that were. Streams that are at their places resume as ever.
func (h *Hub) Delete(ctx context.Context, sel Selectors) (int, error) {
	n, err := h.log.Delete(ctx, eventlog.ID{}, eventlog.Query{
		Topics: sel.topics(),
		Match:  func(e *eventlog.Event) bool { return sel.Match(e.Topics) },
	})
	h.pages.forget()
	return n, err
}

// DeleteID removes the event with an id of the hub's, or all with one that
// publishers gave, and returns how many that were. Streams resume from either as
// long as their places are retained.
func (h *Hub) DeleteID(ctx context.Context, id string) (int, error) {
	defer h.pages.forget()
	if at, err := parseID(id); err == nil {
		return h.deleteAt(ctx, at)
	}
	if strings.HasPrefix(id, eventlog.IDPrefix) {
		return 0, nil // nothing has such an id
	}
	return h.log.Delete(ctx, eventlog.ID{}, byPublisherID(id))
}

func (h *Hub) deleteAt(ctx context.Context, at eventlog.ID) (int, error) {
	b, err := h.log.Bounds(ctx)
	if err != nil || at.Epoch != b.Origin.Epoch || at.Compare(b.Origin) <= 0 || at.Compare(b.Last) > 0 {
		return 0, err
	}
	return h.log.Delete(ctx, at.Prev(), eventlog.Query{UpTo: at})
}

// Check reports, as an [InvalidError], what keeps r from being published.
func Check(r *eventlog.Record) error {
	if len(r.Topics) == 0 {
		return invalid("name a topic, as in /events/NAME or topic=NAME")
	}
	if len(r.Topics) > MaxTopics {
		return invalid("an event may have %d topics, not %d", MaxTopics, len(r.Topics))
	}
	for i, t := range r.Topics {
		if err := checkTopic("a topic", t); err != nil {
			return err
		}
		if t == "*" {
			return invalid("* selects every topic and is not a topic itself; name the one to publish to")
		}
		for _, other := range r.Topics[:i] {
			if t == other {
				return invalid("the topic %q is given twice", cut(t))
			}
		}
	}
	if err := checkType(r.Type); err != nil {
		return err
	}
	if r.PublisherID != "" {
		if err := CheckID(r.PublisherID); err != nil {
			return err
		}
	}
	if r.Retry < 0 || r.Retry > MaxRetry || r.Retry%time.Millisecond != 0 {
		return invalid("the field retry is a reconnection time in whole milliseconds, from 1 to %d", MaxRetry.Milliseconds())
	}
	if !utf8.Valid(r.Data) {
		return invalid("the field data is not valid UTF-8, which is all that an event stream can carry; send bytes as base64")
	}
	return nil
}

func checkTopic(what, t string) error {
	switch {
	case t == "":
		return invalid("%s must not be empty", what)
	case len(t) > MaxTopicBytes:
		return invalid("%s may be %d bytes long, not %d", what, MaxTopicBytes, len(t))
	case !utf8.ValidString(t):
		return invalid("%s must be valid UTF-8", what)
	}
	return nil
}

func checkType(t string) error {
	switch {
	case t == GapType:
		return invalid("the type %q is the hub's own, by which it tells of events no longer retained; use another", GapType)
	case t == PositionType:
		return invalid("the type %q is the hub's own, by which it names a stream's position; use another", PositionType)
	case len(t) > MaxTypeBytes:
		return invalid("the type may be %d bytes long, not %d", MaxTypeBytes, len(t))
	case strings.ContainsAny(t, "\r\n\x00"):
		return invalid("the type must not contain CR, LF or NUL")
	case !utf8.ValidString(t):
		return invalid("the type must be valid UTF-8")
	}
	return nil
}

// CheckID reports, as an [InvalidError], what keeps id from being a
// publisher's: it has to survive as a line of the stream and as a header.
func CheckID(id string) error {
	switch {
	case id == "":
		return invalid("the id must not be empty; leave it out and the hub gives one")
	case len(id) > MaxIDBytes:
		return invalid("the id may be %d bytes long, not %d", MaxIDBytes, len(id))
	case !utf8.ValidString(id):
		return invalid("the id must be valid UTF-8")
	case strings.TrimSpace(id) != id:
		return invalid("the id must not begin or end with a space, which a Last-Event-ID header would lose")
	case strings.ContainsFunc(id, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return invalid("the id must not contain control characters, which a Last-Event-ID header cannot carry")
	case id == Earliest:
		return invalid("the id must not be %q, which asks for everything retained", Earliest)
	case strings.HasPrefix(id, "#"), strings.HasPrefix(id, eventlog.IDPrefix):
		return invalid("the id must not begin with # or %s: ids that do are the hub's own", eventlog.IDPrefix)
	}
	if _, err := eventlog.ParseURN(id); err == nil {
		return invalid("the id is a UUID of version 8 that is the hub's own: use one of another version")
	}
	return nil
}

// cut shortens a caller's text for an error message.
func cut(s string) string {
	if len(s) <= 128 {
		return s
	}
	return strings.ToValidUTF8(s[:128], "") + "…"
}
