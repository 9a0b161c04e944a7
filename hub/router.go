package hub

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/topic"
)

// ErrTooManyTemplates reports a subscription with a URI Template that would have to be
// tried on every topic, when the hub has as many of those as it may.
var ErrTooManyTemplates = errors.New("hub: too many distinct URI Templates that begin with an expression are subscribed to")

// ErrTooManySelectors reports a subscription that does not fit into the memory that the
// hub has for what all subscriptions ask for: selectors, grants and peers.
var ErrTooManySelectors = errors.New("hub: what all subscriptions ask for takes too much memory")

const (
	// selectorSize is about how many bytes a selector or a type costs beside its text: a
	// string, a map entry, a feed in a list.
	selectorSize = 128

	// maxOpenCost is how many passes over a topic the templates that have to be tried on
	// every topic may make together, see [topic.Template.IsOpen].
	maxOpenCost = 4096
	// pumpWork is how many bytes of topics all passes together may look at for one event
	// before it is delivered; they take less than 100 µs. The pump does not deliver the
	// event to the feeds of templates that are then left, see [router.route].
	pumpWork = 64 << 10
	// tryWork is the cost of trying one template beside its passes, as bytes of pumpWork.
	tryWork = 32
)

// A router finds the feeds that an event concerns. The cost depends on how many feeds it
// finds, not on the number of topics or feeds. The hub's lock guards it.
type router struct {
	feeds map[feedKey]*feed
	exact map[string][]*feed // by topic
	all   []*feed            // feeds that select every topic

	// Templates are found by the literal that they begin with, and tried once on each new
	// topic.
	templates map[string]*template // by Text
	groups    map[groupKey]*group
	lengths   [2][]int       // lengths of the groups' prefixes, the longest first, by groupKey.index
	perLength [2]map[int]int // number of groups with each length
	matches   matches
	added     uint64  // templates ever added
	banned    *banned // the bans in force; their templates are in templates too
	openCost  int
	weights   *weights
	work      int // pumpWork
}

// A template is a pattern and the feeds that have it. Without feeds and without a ban it
// is gone, and its pattern is dropped.
type template struct {
	*topic.Template
	number uint64 // its number among all templates ever added
	feeds  []*feed
	bearer *feed         // the feed whose bytes include it; nil: no feed has it
	banned bool          // a ban has it: matching topics are withheld
	inList *list.Element // its element in group.templates
}

func (t *template) isGone() bool { return len(t.feeds) == 0 && !t.banned }

// A groupKey identifies the templates that begin with the same literal. Plain templates
// have groups of their own: for each literal there are only a few, however many
// subscriptions exist, so no mass of other templates can delay them.
type groupKey struct {
	prefix string
	plain  bool
}

// index is 0 for plain templates, which come first, and 1 for others.
func (k groupKey) index() int {
	if k.plain {
		return 0
	}
	return 1
}

// A group is the templates with the same key.
type group struct {
	key       groupKey
	templates list.List     // of *template, the oldest first
	feeds     map[*feed]int // how many of the group's templates each feed has
	banned    int           // how many of the templates are banned
}

// routeSize is about how many bytes the router keeps for a pattern beside the pattern
// itself.
const routeSize = int64(unsafe.Sizeof(template{})+unsafe.Sizeof(group{})) + 400

func routedSize(p *topic.Template) int64 { return p.Size() + routeSize }

func newRouter(b *budget.Budget, w *weights) router {
	return router{
		feeds:     map[feedKey]*feed{},
		exact:     map[string][]*feed{},
		templates: map[string]*template{},
		groups:    map[groupKey]*group{},
		perLength: [2]map[int]int{{}, {}},
		matches:   matches{share: b.Share(budget.Matches), byTopic: map[string]*list.Element{}},
		weights:   w,
		work:      pumpWork,
	}
}

// size returns about how many bytes a feed's selectors and types take.
func (f *feed) size() int64 {
	n := int(unsafe.Sizeof(*f)) + len(f.key.selectors) + len(f.key.types) + len(f.key.grant)
	for _, text := range f.sel.Texts() {
		n += len(text) + selectorSize
	}
	for name := range f.types {
		n += len(name) + selectorSize
	}
	return int64(n)
}

// weight returns size plus all templates, including those that other feeds have too.
func (f *feed) weight() int64 {
	n := f.size()
	for _, p := range f.sel.Templates() {
		n += routedSize(p)
	}
	return n
}

// add routes events to f. It returns [ErrTooManyTemplates] or [ErrTooManySelectors] if
// there is no room for it.
func (r *router) add(f *feed) error {
	openCost, size := r.openCost, f.size()
	for _, p := range f.sel.Templates() {
		if t := r.templates[p.Text()]; t == nil || len(t.feeds) == 0 { // a template that only a ban has is not counted
			size += routedSize(p)
			if p.IsOpen() {
				openCost += p.Cost
			}
		}
	}
	switch {
	case openCost > max(maxOpenCost, r.openCost):
		return ErrTooManyTemplates
	case !r.weights.take(size):
		return ErrTooManySelectors
	}
	r.openCost, f.counts = openCost, size
	r.feeds[f.key] = f
	if f.sel.All() {
		r.all = append(r.all, f)
		return nil
	}
	for _, p := range f.sel.Templates() {
		t := r.addTemplate(p)
		if t.bearer == nil {
			t.bearer = f
		}
		t.feeds = append(t.feeds, f)
		r.groups[groupOf(p)].feeds[f]++
	}
	f.sel.ShareTemplates(func(p *topic.Template) *topic.Template { return r.templates[p.Text()].Template })
	for _, topic := range f.sel.Texts() {
		r.exact[topic] = append(r.exact[topic], f)
	}
	return nil
}

func (r *router) remove(f *feed) {
	delete(r.feeds, f.key)
	defer func() { r.weights.give(f.counts) }() // less the templates that other feeds have taken over
	if f.sel.All() {
		r.all = without(r.all, f)
		return
	}
	for _, topic := range f.sel.Texts() {
		if r.exact[topic] = without(r.exact[topic], f); len(r.exact[topic]) == 0 {
			delete(r.exact, topic)
		}
	}
	for _, p := range f.sel.Templates() {
		g := r.groups[groupOf(p)]
		if g.feeds[f]--; g.feeds[f] == 0 {
			delete(g.feeds, f)
		}
		t := r.templates[p.Text()]
		if t.feeds = without(t.feeds, f); len(t.feeds) > 0 {
			if t.bearer == f {
				t.bearer = t.feeds[0]
				r.weights.move(&f.counts, &t.bearer.counts, routedSize(p))
			}
			continue
		}
		t.bearer = nil
		if t.IsOpen() {
			r.openCost -= t.Cost
		}
		r.removeTemplate(t)
	}
}

// ban replaces the bans in force. Their templates are routed like those of feeds, so that
// the cost of trying them is bounded and the result is cached. The memory of the
// templates themselves was bounded when the ban was made.
func (r *router) ban(next *banned) {
	before := r.banned.templates()
	r.banned = next
	for _, p := range before {
		r.templates[p.Text()].banned = false
		r.groups[groupOf(p)].banned--
	}
	for _, p := range next.templates() {
		r.addTemplate(p).banned = true
		r.groups[groupOf(p)].banned++
	}
	for _, p := range before {
		r.removeTemplate(r.templates[p.Text()])
	}
}

func groupOf(p *topic.Template) groupKey { return groupKey{p.Prefix, p.IsPlain()} }

// addTemplate returns the template of a pattern, which it adds if there is none.
func (r *router) addTemplate(p *topic.Template) *template {
	if t := r.templates[p.Text()]; t != nil {
		return t
	}
	r.added++
	key := groupOf(p)
	g := r.groups[key]
	if g == nil {
		g = &group{key: key, feeds: map[*feed]int{}}
		r.groups[key] = g
		r.addLength(key.index(), len(key.prefix))
	}
	t := &template{Template: p, number: r.added}
	t.inList = g.templates.PushBack(t)
	r.templates[p.Text()] = t
	r.weights.countTemplate(p, 1)
	return t
}

// removeTemplate removes t if it is gone.
func (r *router) removeTemplate(t *template) {
	if !t.isGone() {
		return
	}
	delete(r.templates, t.Text())
	r.weights.countTemplate(t.Template, -1)
	g := r.groups[groupOf(t.Template)]
	g.templates.Remove(t.inList)
	if g.templates.Len() == 0 {
		delete(r.groups, g.key)
		r.removeLength(g.key.index(), len(g.key.prefix))
	}
	t.Template, t.feeds, t.inList = nil, nil, nil // a cached match may refer to t for a while
	if len(r.templates) == 0 {
		r.matches.clear()
	}
}

func longestFirst(a, b int) int { return b - a }

func (r *router) addLength(index, n int) {
	if r.perLength[index][n]++; r.perLength[index][n] == 1 {
		at, _ := slices.BinarySearchFunc(r.lengths[index], n, longestFirst)
		r.lengths[index] = slices.Insert(r.lengths[index], at, n)
	}
}

func (r *router) removeLength(index, n int) {
	if r.perLength[index][n]--; r.perLength[index][n] == 0 {
		delete(r.perLength[index], n)
		at, _ := slices.BinarySearchFunc(r.lengths[index], n, longestFirst)
		r.lengths[index] = slices.Delete(r.lengths[index], at, at+1)
	}
}

// groupsOf calls yield with each group whose templates may match a topic: plain ones
// first, then longer prefixes before shorter ones.
func (r *router) groupsOf(topic string, yield func(*group)) {
	for index, lengths := range r.lengths {
		for _, n := range lengths {
			if n > len(topic) {
				continue
			}
			if g := r.groups[groupKey{topic[:n], index == 0}]; g != nil {
				yield(g)
			}
		}
	}
}

// route calls add with each feed that one of topics concerns, with some more than once.
// It calls skip with each feed that one of topics may concern, when finding out whether
// it does, or whether the topic is banned, takes longer than live delivery may wait; the
// streams of such a feed have to read the log. route returns the topics for which
// templates remain untried.
func (r *router) route(topics []string, add, skip func(*feed)) (late []string) {
	if r.banned.hasAll() {
		return nil
	}
	work, open := r.work, false
	var unsure []routed
	for _, topic := range topics {
		if r.banned.names(topic) {
			continue
		}
		to := routed{topic: topic}
		if len(r.templates) > 0 {
			to.matching, to.untried = r.match(topic, &work)
		}
		if r.banned != nil && slices.ContainsFunc(to.matching, isBanned) {
			continue
		}
		if len(to.untried) > 0 {
			late = append(late, topic)
			unsure = append(unsure, to)
		}
		if r.banned == nil || !slices.ContainsFunc(to.untried, mayBan) {
			open = true
			r.each(&to, add)
		}
	}
	if open {
		for _, f := range r.all {
			add(f)
		}
	}
	for _, to := range unsure { // skip does nothing for feeds to which the event was added
		r.each(&to, skip)
		for _, g := range to.untried {
			for f := range g.feeds {
				skip(f)
			}
		}
	}
	if !open && len(unsure) > 0 {
		for _, f := range r.all {
			skip(f)
		}
	}
	return late
}

// routed is what the router knows about a topic.
type routed struct {
	topic    string
	matching []*template
	untried  []*group // groups that may have more matching templates
}

func isBanned(t *template) bool { return t.banned }

func mayBan(g *group) bool { return g.banned > 0 }

// each calls f with the feeds that a topic is known to concern, except those that select
// every topic.
func (r *router) each(to *routed, f func(*feed)) {
	for _, of := range r.exact[to.topic] {
		f(of)
	}
	for _, t := range to.matching {
		for _, of := range t.feeds {
			f(of)
		}
	}
}

// match returns the templates that match a topic, and the groups that were not tried
// because work was used up.
func (r *router) match(topic string, work *int) (matching []*template, untried []*group) {
	m := r.matches.get(topic)
	if m.upTo == r.added {
		return m.templates, nil
	}
	r.groupsOf(topic, func(g *group) {
		found, ok := g.try(topic, m.upTo, work)
		if !ok {
			untried = append(untried, g)
		}
		matching = append(matching, found...)
	})
	if len(untried) > 0 {
		return append(matching, m.templates...), untried
	}
	r.matches.extend(m, matching, r.added)
	return m.templates, nil
}

// try returns the templates, of those added after a number, that match a topic. It
// reports whether work sufficed to try all of them.
func (g *group) try(topic string, after uint64, work *int) (matching []*template, ok bool) {
	for el := g.templates.Back(); el != nil; el = el.Prev() {
		t := el.Value.(*template)
		if t.number <= after {
			break
		}
		if *work -= workOf(t.Template, topic); *work < 0 {
			*work = 0 // end the search here, although templates of other groups may cost less
			return nil, false
		}
		if t.Match(topic) {
			matching = append(matching, t)
		}
	}
	return matching, true
}

// workOf returns the most it costs to try p on a topic, in bytes of pumpWork.
func workOf(p *topic.Template, topic string) int { return tryWork + p.Cost*len(topic) }

// A trial is the templates that have to be tried on a topic outside the lock.
type trial struct {
	topic       string
	after, upTo uint64
	templates   []*template
	patterns    []*topic.Template // their patterns, kept here because a template that is gone loses its own
}

func (r *router) trialOf(topic string) trial {
	t := trial{topic: topic, after: r.matches.get(topic).upTo, upTo: r.added}
	r.groupsOf(topic, func(g *group) {
		for el := g.templates.Back(); el != nil; el = el.Prev() {
			candidate := el.Value.(*template)
			if candidate.number <= t.after {
				break
			}
			t.templates, t.patterns = append(t.templates, candidate), append(t.patterns, candidate.Template)
		}
	})
	return t
}

// run tries the templates at a pace and keeps those that match. It needs no lock.
func (t *trial) run(ctx context.Context, pace *pace) {
	matching, work := t.templates[:0], 0
	for i, p := range t.patterns {
		if ctx.Err() != nil { // the hub is closing
			return
		}
		if work += workOf(p, t.topic); work > pumpWork {
			work = 0
			pace.keep()
		}
		if p.Match(t.topic) {
			matching = append(matching, t.templates[i])
		}
	}
	t.templates = slices.Clip(matching)
}

// tried caches the result of a trial.
func (r *router) tried(t trial) {
	if len(r.templates) == 0 { // removeTemplate would not clear the cache again
		return
	}
	if m := r.matches.get(t.topic); m.upTo == t.after { // otherwise the topic was matched meanwhile, or was evicted from the cache
		r.matches.extend(m, t.templates, t.upTo)
	}
}

// without removes v, which s must contain, and changes the order.
func without[T comparable](s []T, v T) []T {
	i := slices.Index(s, v)
	last := len(s) - 1
	s[i] = s[last]
	var zero T
	s[last] = zero
	return s[:last]
}
