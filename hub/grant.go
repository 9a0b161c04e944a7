package hub

import "github.com/tidings-sse/tidings/eventlog"

// Everything selects every topic. As a grant, it lets its holder see every
// private event.
func Everything() Selectors { return Selectors{text: []string{"*"}, all: true} }

// secrecy is what guards an event: the topics of one that is private, nil for
// one that is public. The topic by which it was asked for may be another than
// the one that is granted.
func secrecy(e *eventlog.Event) (topics []string) {
	if e.Private {
		return e.Topics
	}
	return nil
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
