package topic

import (
	"slices"
	"strconv"
	"strings"
)

// Selectors is what a subscription asks for: the union of exact topics, `*` (every topic)
// and URI Templates (RFC 6570). The zero value selects nothing.
type Selectors struct {
	text      []string // canonical: sorted, without duplicates; all but `*` are topics, too
	all       bool
	templates []*Template // without duplicates
}

// Parse parses selectors: `*`, a URI Template if the text has a brace, otherwise an exact
// topic. A template also selects the topic that is spelled like it. The error is an
// [InvalidError].
func Parse(texts ...string) (Selectors, error) {
	s := Selectors{text: slices.Compact(slices.Sorted(slices.Values(texts)))}
	known := map[string]struct{}{} // by Text; a search of the list would take quadratic time
	for i := range s.text {
		s.text[i] = strings.Clone(s.text[i]) // a substring would keep the whole URL in memory
		text := s.text[i]
		if err := CheckTopic("a selector", text); err != nil {
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
			if _, ok := known[p.text]; !ok {
				known[p.text] = struct{}{}
				s.templates = append(s.templates, p)
			}
		}
	}
	return s, nil
}

func (s *Selectors) hasTemplate(p *Template) bool {
	return slices.ContainsFunc(s.templates, func(q *Template) bool { return q.text == p.text })
}

// Covers reports whether s selects all that other does. It takes a template as covered
// only by `*` and by one that differs at most in the names of its variables. It calls
// look before each template that it tries.
func (s *Selectors) Covers(other *Selectors, look func()) bool {
	if s.all || other.all {
		return s.all
	}
	for _, p := range other.templates {
		if !s.hasTemplate(p) {
			return false
		}
	}
	for i, text := range other.text {
		if !strings.ContainsAny(text, "{}") && !s.MatchInTurns(other.text[i:i+1], look) {
			return false
		}
	}
	return true
}

// DropRedundant drops what the templates were compiled to if s selects every topic, which
// includes all that they select. It leaves the texts.
func (s *Selectors) DropRedundant() {
	if s.all {
		s.templates = nil
	}
}

// ShareTemplates replaces each template by the equal one that with returns, so that it is
// in memory only once.
func (s *Selectors) ShareTemplates(with func(*Template) *Template) {
	if len(s.templates) == 0 {
		return
	}
	s.templates = slices.Clone(s.templates) // copies of s have the same array
	for i, p := range s.templates {
		s.templates[i] = with(p)
	}
}

// Everything selects every topic. As a grant, it shows every private event.
func Everything() Selectors { return everything }

var (
	everything = Selectors{text: []string{"*"}, all: true}
	nothing    Selectors
)

// Shared returns s, or a shared copy if s selects everything or nothing: most streams
// have such a grant, and need not hold one each.
func (s Selectors) Shared() *Selectors {
	switch {
	case s.all:
		return &everything
	case len(s.text) == 0:
		return &nothing
	}
	own := s // a copy, so that s itself need not be on the heap
	return &own
}

// IsShared reports whether s is a copy that all share, see [Selectors.Shared].
func (s *Selectors) IsShared() bool { return s == &everything || s == &nothing }

// Texts returns the selectors, sorted and without duplicates. The slice must not be
// modified.
func (s *Selectors) Texts() []string { return s.text }

// All reports whether s selects every topic, by `*`.
func (s *Selectors) All() bool { return s.all }

// Templates returns the compiled URI Templates, each once. The slice must not be modified.
func (s *Selectors) Templates() []*Template { return s.templates }

// fewTopics is up to how many topics a linear search is faster than a binary one.
const fewTopics = 4

// Match reports whether s selects any of topics.
func (s *Selectors) Match(topics []string) bool {
	for _, t := range topics {
		if s.MatchTopic(t) {
			return true
		}
	}
	return false
}

// MatchTopic reports whether s selects a topic.
func (s *Selectors) MatchTopic(topic string) bool {
	if s.all || s.Names(topic) {
		return true
	}
	for _, p := range s.templates {
		if p.Match(topic) {
			return true
		}
	}
	return false
}

// Names reports whether s names a topic exactly.
func (s *Selectors) Names(topic string) bool {
	if len(s.text) <= fewTopics {
		return slices.Contains(s.text, topic)
	}
	_, ok := slices.BinarySearch(s.text, topic)
	return ok
}

// MatchInTurns does what Match does, and calls look before each template that it tries.
func (s *Selectors) MatchInTurns(topics []string, look func()) bool {
	for _, topic := range topics {
		if s.all || s.Names(topic) {
			return true
		}
		for _, p := range s.templates {
			if look(); p.Match(topic) {
				return true
			}
		}
	}
	return false
}

// Cost returns how many passes over a topic matching makes at most.
func (s *Selectors) Cost() (passes int) {
	for _, p := range s.templates {
		passes += p.Cost
	}
	return passes
}

// IsOpen reports whether s may select topics that it does not name.
func (s *Selectors) IsOpen() bool { return s.all || len(s.templates) > 0 }

// Exact returns the topics that s names if s selects nothing else, otherwise nil.
func (s *Selectors) Exact() []string {
	if s.IsOpen() {
		return nil
	}
	return s.text
}

// Key returns the same text for all Selectors with the same spelling.
func (s *Selectors) Key() string {
	if s.all {
		return "*"
	}
	return ListKey(s.text)
}

// ListKey joins texts so that no two different lists give the same string.
func ListKey(texts []string) string {
	var b []byte
	for _, t := range texts { // strconv.AppendQuote would copy the whole buffer for each of up to a thousand texts
		b = append(strconv.AppendInt(b, int64(len(t)), 10), ':')
		b = append(b, t...)
	}
	return string(b)
}

// Size returns about how many bytes the texts of s take, without what its templates
// compile to.
func (s *Selectors) Size() int {
	n := 0
	for _, text := range s.text {
		n += 16 + len(text)
	}
	return n
}
