package hub

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

// pendingSize is about how many bytes a record takes beside its data and its topics.
const pendingSize = 256

// pending returns about how many bytes records take until the log has them.
func pending(recs []eventlog.Record) (n int64) {
	for i := range recs {
		n += pendingSize + int64(len(recs[i].Data))
		for _, t := range recs[i].Topics {
			n += int64(len(t))
		}
	}
	return n
}

// Publish appends records to the log and returns one result for each. When it returns
// without an error, the records are as durable as the log makes them and will be
// delivered, except those whose Result.Err is set.
//
// If [Check] refuses any record, Publish returns a [topic.InvalidError]; if there is no memory
// for them, it returns [ErrOverBudget]. In both cases it has added none. Any other error
// is the log's: [eventlog.ErrUncertain] means that the outcome is unknown, and otherwise
// none was added.
//
// The caller may reuse the slice once Publish has returned, unless the error is
// [eventlog.ErrUncertain]. It must not modify the strings and byte slices of the records
// at any time.
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

// Delete removes the retained events that sel selects by any of their topics, and returns
// how many it removed. The zero Selectors removes none. Streams at the positions of
// removed events resume as before; one that has sent a part of a removed event ends with
// [ErrEventDeleted]. The errors are the context's and the log's.
func (h *Hub) Delete(ctx context.Context, sel topic.Selectors) (int, error) {
	n, err := h.log.Delete(ctx, eventlog.ID{}, eventlog.Query{
		Topics: sel.Exact(),
		Match:  func(e *eventlog.Event) bool { return sel.Match(e.Topics) },
	})
	h.feeds.Forget()
	return n, err
}

// DeleteID removes the event with one of the hub's ids, or all events with a publisher's
// id, and returns how many it removed: 0 if there is none. Streams can resume from the id
// as long as its position is retained. The errors are the context's and the log's.
func (h *Hub) DeleteID(ctx context.Context, id string) (int, error) {
	defer h.feeds.Forget()
	if at, err := parseID(id); err == nil {
		return h.deleteAt(ctx, at)
	}
	if strings.HasPrefix(id, eventlog.IDPrefix) {
		return 0, nil // no event has such an id
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

// Check returns a [topic.InvalidError] that says why r cannot be published, or nil.
func Check(r *eventlog.Record) error {
	if len(r.Topics) == 0 {
		return topic.Invalid("name a topic, as in /events/NAME or topic=NAME")
	}
	if len(r.Topics) > MaxTopics {
		return topic.Invalid("an event may have %d topics, not %d", MaxTopics, len(r.Topics))
	}
	for i, t := range r.Topics {
		if err := topic.CheckTopic("a topic", t); err != nil {
			return err
		}
		if t == "*" {
			return topic.Invalid("* selects every topic and is not a topic itself; name the one to publish to")
		}
		for _, other := range r.Topics[:i] {
			if t == other {
				return topic.Invalid("the topic %q is given twice", topic.Cut(t))
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
		return topic.Invalid("the field retry is a reconnection time in whole milliseconds, from 1 to %d", MaxRetry.Milliseconds())
	}
	if !utf8.Valid(r.Data) {
		return topic.Invalid("the field data is not valid UTF-8, which is all that an event stream can carry; send bytes as base64")
	}
	return nil
}

func checkType(t string) error {
	switch {
	case t == GapType:
		return topic.Invalid("the type %q is the hub's own: it reports events that are no longer retained; use another", GapType)
	case t == PositionType:
		return topic.Invalid("the type %q is the hub's own, by which it names a stream's position; use another", PositionType)
	case len(t) > MaxTypeBytes:
		return topic.Invalid("the type may be %d bytes long, not %d", MaxTypeBytes, len(t))
	case strings.ContainsAny(t, "\r\n\x00"):
		return topic.Invalid("the type must not contain CR, LF or NUL")
	case !utf8.ValidString(t):
		return topic.Invalid("the type must be valid UTF-8")
	}
	return nil
}

// CheckID returns a [topic.InvalidError] that says why id cannot be a publisher's id, or nil.
// An id must survive as a line of a stream and as a header field (Last-Event-ID).
func CheckID(id string) error {
	switch {
	case id == "":
		return topic.Invalid("the id must not be empty; leave it out and the hub gives one")
	case len(id) > MaxIDBytes:
		return topic.Invalid("the id may be %d bytes long, not %d", MaxIDBytes, len(id))
	case !utf8.ValidString(id):
		return topic.Invalid("the id must be valid UTF-8")
	case strings.TrimSpace(id) != id:
		return topic.Invalid("the id must not begin or end with a space, which a Last-Event-ID header would lose")
	case strings.ContainsFunc(id, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return topic.Invalid("the id must not contain control characters, which a Last-Event-ID header cannot carry")
	case id == Earliest:
		return topic.Invalid("the id must not be %q, which asks for everything retained", Earliest)
	case strings.HasPrefix(id, "#"), strings.HasPrefix(id, eventlog.IDPrefix):
		return topic.Invalid("the id must not begin with # or %s: ids that do are the hub's own", eventlog.IDPrefix)
	}
	if _, err := eventlog.ParseURN(id); err == nil {
		return topic.Invalid("the id is a UUID of version 8 that is the hub's own: use one of another version")
	}
	return nil
}
