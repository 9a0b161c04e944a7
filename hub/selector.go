package hub

import (
	"regexp"
	"slices"
	"strings"

	"github.com/yosida95/uritemplate/v3"
)

// What a template may cost: matching is linear in the topic, times these.
const (
	maxTemplateBytes       = 1024
	maxTemplateExpressions = 8
	maxTemplateVariables   = 16 // in all
)

// Selectors is what a subscriber asks for: the union of exact topics, `*`
// (every topic) and URI Templates (RFC 6570). The zero value selects nothing.
type Selectors struct {
	text      []string // canonical: sorted, each once; all but `*` are topics, too
	all       bool
	templates []pattern
}

// A pattern is a URI Template as a matcher.
type pattern struct {
	text   string
	prefix string // what every topic that matches begins with
	re     *regexp.Regexp
}

// ParseSelectors reads selectors: `*`, a URI Template if the text has a brace,
// else an exact topic. A template also selects the topic that it spells.
func ParseSelectors(texts ...string) (Selectors, error) {
	s := Selectors{text: slices.Compact(slices.Sorted(slices.Values(texts)))}
	for i := range s.text {
		s.text[i] = strings.Clone(s.text[i]) // a part of an address would keep all of it
		text := s.text[i]
		if err := checkTopic("a selector", text); err != nil {
			return Selectors{}, err
		}
		if text == "*" {
			s.all = true
			continue
		}
		if strings.ContainsAny(text, "{}") {
			re, err := compileTemplate(text)
			if err != nil {
				return Selectors{}, err
			}
			s.templates = append(s.templates, pattern{text, text[:strings.IndexAny(text, "{}")], re})
		}
	}
	return s, nil
}

// compileTemplate returns an RE2 program, which matches in time linear in the
// topic whatever the template. Its size grows with the template's variables,
// hence the limits.
func compileTemplate(text string) (*regexp.Regexp, error) {
	expressions := strings.Count(text, "{")
	if len(text) > maxTemplateBytes || expressions > maxTemplateExpressions || expressions+strings.Count(text, ",") > maxTemplateVariables {
		return nil, invalid("the selector %q is too large: a URI Template may have %d bytes, %d expressions and %d variables",
			cut(text), maxTemplateBytes, maxTemplateExpressions, maxTemplateVariables)
	}
	t, err := uritemplate.New(text)
	if err != nil {
		return nil, invalid("the selector %q is not a URI Template (RFC 6570)", cut(text))
	}
	return t.Regexp(), nil
}

// fewTopics are found faster by comparing each than by halves.
const fewTopics = 4

// Match reports whether any of topics is selected.
func (s *Selectors) Match(topics []string) bool {
	for _, t := range topics {
		if s.matchTopic(t) {
			return true
		}
	}
	return false
}

func (s *Selectors) matchTopic(topic string) bool {
	if s.all {
		return true
	}
	if len(s.text) <= fewTopics {
		if slices.Contains(s.text, topic) {
			return true
		}
	} else if _, ok := slices.BinarySearch(s.text, topic); ok {
		return true
	}
	for _, p := range s.templates {
		if strings.HasPrefix(topic, p.prefix) && p.re.MatchString(topic) {
			return true
		}
	}
	return false
}

// hasPatterns reports whether topics that are not named are selected too.
func (s *Selectors) hasPatterns() bool { return s.all || len(s.templates) > 0 }

// topics returns the exact topics if they are all that is selected, else nil.
func (s *Selectors) topics() []string {
	if s.hasPatterns() {
		return nil
	}
	return s.text
}
