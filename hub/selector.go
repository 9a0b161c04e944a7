package hub

import (
	"slices"
	"strings"
)

// Selectors is what a subscription asks for: the union of exact topics, `*` (every topic)
// and URI Templates (RFC 6570). The zero value selects nothing.
type Selectors struct {
	text      []string // canonical: sorted, without duplicates; all but `*` are topics, too
	all       bool
	templates []*pattern // without duplicates
}

// ParseSelectors parses selectors: `*`, a URI Template if the text has a brace, otherwise
// an exact topic. A template also selects the topic that is spelled like it. The error is
// an [InvalidError].
func ParseSelectors(texts ...string) (Selectors, error) {
	s := Selectors{text: slices.Compact(slices.Sorted(slices.Values(texts)))}
	for i := range s.text {
		s.text[i] = strings.Clone(s.text[i]) // a substring would keep the whole URL in memory
		text := s.text[i]
		if err := checkTopic("a selector", text); err != nil {
			return Selectors{}, err
		}
		if text == "*" {
			s.all = true
			continue
		}
		if strings.ContainsAny(text, "{}") {
			p, err := parseTemplate(text)
			if err != nil {
				return Selectors{}, err
			}
			if !slices.Contains(s.templates, p) {
				s.templates = append(s.templates, p)
			}
		}
	}
	return s, nil
}

// fewTopics is up to how many topics a linear search is faster than a binary one.
const fewTopics = 4

// Match reports whether s selects any of topics.
func (s *Selectors) Match(topics []string) bool {
	for _, t := range topics {
		if s.matchTopic(t) {
			return true
		}
	}
	return false
}

func (s *Selectors) matchTopic(topic string) bool {
	if s.all || s.names(topic) {
		return true
	}
	for _, p := range s.templates {
		if p.match(topic) {
			return true
		}
	}
	return false
}

func (s *Selectors) names(topic string) bool {
	if len(s.text) <= fewTopics {
		return slices.Contains(s.text, topic)
	}
	_, ok := slices.BinarySearch(s.text, topic)
	return ok
}

// matchInTurns does what Match does, and calls look before each template that it tries.
func (s *Selectors) matchInTurns(topics []string, look func()) bool {
	for _, topic := range topics {
		if s.all || s.names(topic) {
			return true
		}
		for _, p := range s.templates {
			if look(); p.match(topic) {
				return true
			}
		}
	}
	return false
}

// cost returns how many passes over a topic matching makes at most.
func (s *Selectors) cost() (passes int) {
	for _, p := range s.templates {
		passes += p.cost
	}
	return passes
}

// hasPatterns reports whether s may select topics that it does not name.
func (s *Selectors) hasPatterns() bool { return s.all || len(s.templates) > 0 }

// topics returns the exact topics if s selects nothing else, otherwise nil.
func (s *Selectors) topics() []string {
	if s.hasPatterns() {
		return nil
	}
	return s.text
}
