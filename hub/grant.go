package hub

import (
	"context"
	"errors"
	"iter"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/pace"
	"github.com/tidings-sse/tidings/topic"
)

// glimpse is how many of a topic's newest events are searched for a public one.
const glimpse = 1000

// TopicsSeen yields what the holder of a grant may know about the topics that sel
// selects: granted topics with their totals; any other topic only with the position of
// its newest public event, if that is among its newest 1000 events. An error is the last
// element: the context's or the log's.
//
// TopicsSeen takes turns with reads of the log, and holds no slot while it yields. Only a
// few run at a time, since each may hold a copy of some megabytes of the log's counts, so
// yield must not wait for a client.
func (h *Hub) TopicsSeen(ctx context.Context, sel, grant topic.Selectors) iter.Seq2[eventlog.Topic, error] {
	return func(yield func(eventlog.Topic, error) bool) {
		done, err := h.feeds.Slots.List(ctx, &sel)
		if err != nil {
			yield(eventlog.Topic{}, err)
			return
		}
		defer done()
		pace, err := h.feeds.Slots.Search(ctx, &sel)
		var found []eventlog.Topic
		give := func() bool {
			pace.End()
			pace = nil
			for _, t := range found {
				if !yield(t, nil) {
					return false
				}
			}
			found = found[:0]
			return true
		}
		for t, topicsErr := range h.log.Topics(ctx) {
			if err = errors.Join(err, topicsErr); err != nil {
				break
			}
			if pace.Over() || len(found) == batchSize {
				if !give() {
					return
				}
				if pace, err = h.feeds.Slots.Search(ctx, &sel); err != nil {
					break
				}
			}
			if !sel.MatchTopic(t.Name) {
				continue
			}
			if !grant.MatchTopic(t.Name) {
				t.Events, t.Bytes = 0, 0
				if t.Last, err = h.newestPublic(ctx, t.Name, pace); err != nil || t.Last.IsZero() {
					continue
				}
			}
			found = append(found, t)
		}
		if pace != nil && !give() {
			return
		}
		if err != nil {
			yield(eventlog.Topic{}, err)
		}
	}
}

func (h *Hub) newestPublic(ctx context.Context, topic string, pace *pace.Pace) (eventlog.ID, error) {
	looked := 0
	events, err := h.log.Newest(ctx, topic, 1, func(e *eventlog.Event) bool {
		if looked++; looked%32 == 0 {
			pace.Keep()
		}
		return !e.Private || looked == glimpse
	})
	if err != nil || len(events) == 0 || events[0].Private {
		return eventlog.ID{}, err
	}
	return events[0].ID, nil
}
