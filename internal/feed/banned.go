package feed

import (
	"slices"

	"github.com/tidings-sse/tidings/topic"
)

// Banned is a set of banned topics. A set never changes: another one replaces it, see
// [Set.Ban]. nil is the empty set.
type Banned struct{ Selectors topic.Selectors }

// Open returns the topics that are not banned.
func (b *Banned) Open(topics []string) []string {
	if b == nil {
		return topics
	}
	first := slices.IndexFunc(topics, b.Has)
	if first < 0 {
		return topics
	}
	open := slices.Clone(topics[:first])
	for _, t := range topics[first+1:] {
		if !b.Has(t) {
			open = append(open, t)
		}
	}
	return open
}

// Has reports whether a topic is banned.
func (b *Banned) Has(topic string) bool { return b != nil && b.Selectors.MatchTopic(topic) }

// cost returns how many passes over a topic matching makes at most.
func (b *Banned) cost() int {
	if b == nil {
		return 0
	}
	return b.Selectors.Cost()
}

// selectors returns what is banned, or nil.
func (b *Banned) selectors() *topic.Selectors {
	if b == nil {
		return nil
	}
	return &b.Selectors
}
