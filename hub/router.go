package hub

import (
	"container/list"
	"errors"
	"slices"

	"github.com/tidings-sse/tidings/budget"
)

// ErrTooManyTemplates reports a subscription that would be one URI Template too
// many for the hub.
var ErrTooManyTemplates = errors.New("hub: too many distinct URI Templates are subscribed to")

// ErrTooManySelectors reports a subscription whose selectors would take more
// memory than the hub has for those of all subscriptions.
var ErrTooManySelectors = errors.New("hub: the selectors of all subscriptions take too much memory")

const (
	// selectorBudget is how many bytes the selectors of all feeds may hold beyond
	// what is free, also where memory has no limit.
	selectorBudget = 256 << 20
	// freeSelectors is how many bytes of selectors each feed has free: they cost no
	// more than a stream does.
	freeSelectors = 4 << 10
	// selectorSize is what a selector or a type costs beside its text: a string,
	// its place in a map, a feed in a list.
	selectorSize = 128

	// maxTemplates is how many distinct URI Templates may be subscribed to at
	// a time: each one costs something at every new topic.
	maxTemplates = 10_000
)

// A router finds the feeds that an event concerns. What that costs depends on
// how many those are: not on the number of topics, nor of feeds. The hub's
// lock guards it.
type router struct {
	feeds map[feedKey]*feed
	exact map[string][]*feed // by topic
	all   []*feed            // those that select every topic

	// Templates are found by what they begin with, and tried once for each
	// new topic: what matched is cached by topic, the least recently used
	// going first.
	templates map[string]*template
	prefixes  map[string][]*template // by literal prefix
	lengths   map[int]int            // of those prefixes, and how many templates have each
	matches   map[string]*list.Element
	recent    list.List     // of *match
	held      *budget.Share // by matches
	added     uint64        // templates so far

	subscriptions *budget.Share // of which the selectors of all feeds take some
	heavy, limit  int           // bytes of them beyond what is free, and how many there may be
}

// A template is one URI Template and the feeds that have it. Without feeds it
// is gone, and whoever still holds it lets go of it.
type template struct {
	pattern
	number uint64 // which one it is of those that were ever added
	feeds  []*feed
}

// A match is what the templates up to a number say of one topic.
type match struct {
	topic     string
	templates []*template
	upTo      uint64
}

// templateSize is what one more template costs a match.
const templateSize = 8

func (m *match) size() int64 { return int64(200 + len(m.topic) + templateSize*len(m.templates)) }

func newRouter(b *budget.Budget) router {
	return router{
		feeds:     map[feedKey]*feed{},
		exact:     map[string][]*feed{},
		templates: map[string]*template{},
		prefixes:  map[string][]*template{},
		lengths:   map[int]int{},
		matches:   map[string]*list.Element{},
		held:      b.Share(budget.Matches),
		limit:     selectorBudget,

		subscriptions: b.Share(budget.Subscriptions),
	}
}

// size returns how many bytes a feed's selectors and types take.
func (f *feed) size() int {
	n := len(f.key.selectors) + len(f.key.types) + len(f.key.grant)
	for _, text := range f.sel.text {
		n += len(text) + selectorSize
	}
	for name := range f.types {
		n += len(name) + selectorSize
	}
	return n
}

// add routes events to f. It fails if f has more templates, or larger selectors,
// than there may be.
func (r *router) add(f *feed) error {
	if f.sel.all {
		f.sel.templates = nil // they add nothing
	}
	fresh := 0
	for _, s := range f.sel.templates {
		if r.templates[s.text] == nil {
			fresh++
		}
	}
	if len(r.templates)+fresh > maxTemplates {
		return ErrTooManyTemplates
	}
	size := f.size()
	heavy := max(0, size-freeSelectors)
	if r.heavy+heavy > r.limit || !r.subscriptions.Take(int64(size)) {
		return ErrTooManySelectors
	}
	r.heavy += heavy
	r.feeds[f.key] = f
	if f.sel.all {
		r.all = append(r.all, f)
		return nil
	}
	for _, topic := range f.sel.text {
		r.exact[topic] = append(r.exact[topic], f)
	}
	f.sel.templates = slices.Clone(f.sel.templates) // the caller's list stays as it is
	for i, s := range f.sel.templates {
		t := r.templates[s.text]
		if t == nil {
			t = &template{pattern: s}
			r.addTemplate(t)
		}
		f.sel.templates[i] = t.pattern // a compiled template takes some 10 KB: feeds share it
		t.feeds = append(t.feeds, f)
	}
	return nil
}

func (r *router) remove(f *feed) {
	delete(r.feeds, f.key)
	size := f.size()
	r.subscriptions.Give(int64(size))
	r.heavy -= max(0, size-freeSelectors)
	if f.sel.all {
		r.all = without(r.all, f)
		return
	}
	for _, topic := range f.sel.text {
		if r.exact[topic] = without(r.exact[topic], f); len(r.exact[topic]) == 0 {
			delete(r.exact, topic)
		}
	}
	for _, s := range f.sel.templates {
		t := r.templates[s.text]
		if t.feeds = without(t.feeds, f); len(t.feeds) == 0 {
			r.removeTemplate(t)
		}
	}
}

func (r *router) addTemplate(t *template) {
	r.added++
	t.number = r.added
	r.templates[t.text] = t
	r.prefixes[t.prefix] = append(r.prefixes[t.prefix], t)
	r.lengths[len(t.prefix)]++
}

func (r *router) removeTemplate(t *template) {
	delete(r.templates, t.text)
	if r.prefixes[t.prefix] = without(r.prefixes[t.prefix], t); len(r.prefixes[t.prefix]) == 0 {
		delete(r.prefixes, t.prefix)
	}
	if r.lengths[len(t.prefix)]--; r.lengths[len(t.prefix)] == 0 {
		delete(r.lengths, len(t.prefix))
	}
}

// route calls add with each feed that one of topics concerns, some of them
// more than once.
func (r *router) route(topics []string, add func(*feed)) {
	if len(topics) == 0 { // all are banned
		return
	}
	for _, f := range r.all {
		add(f)
	}
	for _, topic := range topics {
		for _, f := range r.exact[topic] {
			add(f)
		}
		if len(r.templates) == 0 {
			continue
		}
		for _, t := range r.match(topic).templates {
			for _, f := range t.feeds {
				add(f)
			}
		}
	}
}

// match returns what the templates say of a topic, without those that are gone.
func (r *router) match(topic string) *match {
	m := r.cached(topic)
	if m == nil {
		m = r.cache(topic)
	}
	before := len(m.templates)
	m.templates = slices.DeleteFunc(m.templates, func(t *template) bool { return len(t.feeds) == 0 })
	r.held.Give(int64(templateSize * (before - len(m.templates))))
	if m.upTo < r.added {
		r.extend(m, try(topic, r.candidates(topic, m.upTo)), r.added)
	}
	return m
}

func (r *router) cached(topic string) *match {
	el := r.matches[topic]
	if el == nil {
		return nil
	}
	r.recent.MoveToFront(el)
	return el.Value.(*match)
}

func (r *router) cache(topic string) *match {
	m := &match{topic: topic}
	r.matches[topic] = r.recent.PushFront(m)
	for r.held.Add(m.size()); r.held.Full() && r.recent.Len() > 1; {
		oldest := r.recent.Remove(r.recent.Back()).(*match)
		delete(r.matches, oldest.topic)
		r.held.Give(oldest.size())
	}
	return m
}

func (r *router) extend(m *match, templates []*template, upTo uint64) {
	m.templates = append(m.templates, templates...)
	m.upTo = upTo
	r.held.Add(int64(templateSize * len(templates)))
}

// candidates returns the templates after a number that may match a topic, by
// what it begins with.
func (r *router) candidates(topic string, after uint64) (found []*template) {
	for n := range r.lengths {
		if n > len(topic) {
			continue
		}
		for _, t := range r.prefixes[topic[:n]] {
			if t.number > after {
				found = append(found, t)
			}
		}
	}
	return found
}

// try returns those of templates that match. It needs no lock, which is the
// point: ten thousand of them on a long topic take their time.
func try(topic string, templates []*template) []*template {
	return slices.DeleteFunc(templates, func(t *template) bool { return !t.re.MatchString(topic) })
}

// An untried topic has templates that nobody has tried on it yet.
type untried struct {
	topic       string
	candidates  []*template
	after, upTo uint64
}

// untried returns what has to be tried before topics can be routed.
func (r *router) untried(topics []string) (found []untried) {
	for _, topic := range topics {
		after := uint64(0)
		if m := r.cached(topic); m != nil {
			after = m.upTo
		}
		if after < r.added && len(r.templates) > 0 {
			found = append(found, untried{topic, r.candidates(topic, after), after, r.added})
		}
	}
	return found
}

// tried takes in what came of it.
func (r *router) tried(u untried, matching []*template) {
	m := r.cached(u.topic)
	if m == nil && u.after == 0 {
		m = r.cache(u.topic)
	}
	if m != nil && m.upTo == u.after { // else another topic took its place in the cache
		r.extend(m, matching, u.upTo)
	}
}

// without returns s without v, which is in it. The order changes.
func without[T comparable](s []T, v T) []T {
	i := slices.Index(s, v)
	last := len(s) - 1
	s[i] = s[last]
	var zero T
	s[last] = zero
	return s[:last]
}
