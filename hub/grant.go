package hub

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"unsafe"

	"github.com/tidings-sse/tidings/eventlog"
)

// Everything selects every topic. As a grant, it lets its holder see every
// private event.
func Everything() Selectors { return everything }

var (
	everything = Selectors{text: []string{"*"}, all: true}
	nothing    Selectors
)

// shared is s where one can be shared: most streams may see everything, or
// nothing, and thousands need not hold it each.
func (s Selectors) shared() *Selectors {
	switch {
	case s.all:
		return &everything
	case len(s.text) == 0:
		return &nothing
	}
	own := s // so that only this one is on the heap
	return &own
}

// secrecy is what guards an event: the topics of one that is private, nil for
// one that is public. The topic by which it was asked for may be another than
// the one that is granted.
func secrecy(e *eventlog.Event) (topics []string) {
	if e.Private {
		return e.Topics
	}
	return nil
}

// A guard is secrecy in memory of its own: parts of an event would keep all of it.
type guard []string

func guardOf(e *eventlog.Event) guard {
	g := slices.Clone(guard(secrecy(e)))
	for i, t := range g {
		g[i] = strings.Clone(t)
	}
	return g
}

// size returns how many bytes g takes.
func (g guard) size() (n int64) {
	for _, t := range g {
		n += int64(len(t)) + int64(unsafe.Sizeof(t))
	}
	return n
}

// sees reports whether a grant shows its holder what is guarded by topics.
func (s *Selectors) sees(topics []string) bool { return topics == nil || s.Match(topics) }

// shown is e without those topics of a private event that are not granted: who
// else got it is nobody's business.
func shown(e *eventlog.Event, grant *Selectors) *eventlog.Event {
	if !e.Private || grant.all {
		return e
	}
	seen := *e
	seen.Topics = nil
	for _, t := range e.Topics {
		if grant.matchTopic(t) {
			seen.Topics = append(seen.Topics, t)
		}
	}
	return &seen
}

// canonical is one text for all grants that are spelled alike.
func (s *Selectors) canonical() string {
	if s.all {
		return "*"
	}
	return listKey(s.text)
}

// glimpse is how many of a topic's newest events are looked at to find one that
// is public.
const glimpse = 1000

// TopicsSeen yields what the holder of a grant may know of the topics that sel selects:
// all of those that are granted, and of the others only the place of the newest public
// event, if there is one among the newest thousand. It reads in turn with those who
// catch up, and holds no slot while it yields. A few read at a time, since each may hold
// a copy of some megabytes of what the log has counted; so a yield does not wait for a client.
func (h *Hub) TopicsSeen(ctx context.Context, sel, grant Selectors) iter.Seq2[eventlog.Topic, error] {
	return func(yield func(eventlog.Topic, error) bool) {
		done, err := h.pages.list(ctx, &sel)
		if err != nil {
			yield(eventlog.Topic{}, err)
			return
		}
		defer done()
		pace, err := h.pages.begin(ctx, &sel)
		var found []eventlog.Topic
		give := func() bool {
			pace.end()
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
			if pace.over() || len(found) == batchSize {
				if !give() {
					return
				}
				if pace, err = h.pages.begin(ctx, &sel); err != nil {
					break
				}
			}
			if !sel.matchTopic(t.Name) {
				continue
			}
			if !grant.matchTopic(t.Name) {
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

func (h *Hub) newestPublic(ctx context.Context, topic string, pace *pace) (eventlog.ID, error) {
	looked := 0
	events, err := h.log.Newest(ctx, topic, 1, func(e *eventlog.Event) bool {
		if looked++; looked%32 == 0 {
			pace.keep()
		}
		return !e.Private || looked == glimpse
	})
	if err != nil || len(events) == 0 || events[0].Private {
		return eventlog.ID{}, err
	}
	return events[0].ID, nil
}

// Size returns roughly how many bytes the texts of s take, without what its templates
// compile to.
func (s *Selectors) Size() int {
	n := 0
	for _, text := range s.text {
		n += 16 + len(text)
	}
	return n
}
