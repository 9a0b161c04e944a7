package feed

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

// A guard is the topics that guard an event: a copy of what secrecy returns. It shares no
// memory with the event, since a substring would keep the whole event.
type guard []string

// secrecy returns all topics of a private event, and nil for a public one. A grant for
// any of them shows the event, even if a subscription asked for it by another.
func secrecy(e *eventlog.Event) (topics []string) {
	if e.Private {
		return e.Topics
	}
	return nil
}

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

// sees reports whether a grant shows an event guarded by topics; nil means a public event.
func sees(grant *topic.Selectors, topics []string) bool { return topics == nil || grant.Match(topics) }

// Sees reports whether a grant shows an event.
func Sees(grant *topic.Selectors, e *eventlog.Event) bool { return sees(grant, secrecy(e)) }

// Shown returns e without those topics of a private event that are not granted, so that a
// subscriber does not learn about its other recipients.
func Shown(e *eventlog.Event, grant *topic.Selectors) *eventlog.Event {
	if !e.Private || grant.All() {
		return e
	}
	seen := *e
	seen.Topics = nil
	for _, t := range e.Topics {
		if grant.MatchTopic(t) {
			seen.Topics = append(seen.Topics, t)
		}
	}
	return &seen
}
