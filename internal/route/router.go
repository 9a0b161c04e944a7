package route

import (
	"container/list"
	"errors"
	"iter"
	"slices"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/topic"
)

// ErrTooManyTemplates reports a subscription with a URI Template that would have to be
// tried on every topic, when there are as many of those as there may be.
var ErrTooManyTemplates = errors.New("hub: too many distinct URI Templates that begin with an expression are subscribed to")

// ErrNoMemory reports a subscription for which the [Account] has no room.
var ErrNoMemory = errors.New("route: no room for the subscription")

const (
	// maxOpenCost is how many passes over a topic the templates that have to be tried on
	// every topic may make together, see [topic.Template.IsOpen].
	maxOpenCost = 4096
	// DefaultWork is how many bytes of topics all passes together may look at for one
	// event before it is delivered; they take less than 100 µs. The router skips the
	// subscriptions of templates that are then left, see [Router.Route].
	DefaultWork = 64 << 10
	// tryWork is the cost of trying one template beside its passes, as bytes of work.
	tryWork = 32
)

// An Account counts the bytes of subscriptions.
type Account interface {
	// Take counts n bytes of one subscription, and reports whether there is room.
	Take(n int64) bool
	// Give gives back n bytes that were counted for one subscription.
	Give(n int64)
	// Move moves n counted bytes from one subscription to another.
	Move(from, to *int64, n int64)
	// CountTemplate notes that n more templates like p are held; n may be negative.
	CountTemplate(p *topic.Template, n int64)
}

// A Subscription is what a router knows of one subscription, which belongs to an F.
type Subscription[F any] struct {
	Of        F
	Selectors *topic.Selectors // Add drops those of its templates that are redundant, and shares the others
	Bytes     int64            // what it holds, apart from its templates

	counted int64 // bytes counted for it, and for the templates that it is the bearer of
}

// Counted returns how many bytes are counted for the subscription: its own, and those of
// the templates that it has alone, or was the first to have.
func (s *Subscription[F]) Counted() int64 { return s.counted }

// Weight returns how many bytes the subscription would count for if it had all its
// templates alone.
func (s *Subscription[F]) Weight() int64 {
	n := s.Bytes
	for _, p := range s.Selectors.Templates() {
		n += routedSize(p)
	}
	return n
}

// A Router finds subscriptions by topics. [New] makes one.
type Router[F any] struct {
	Work int // how many bytes of topics may be looked at for one event; [DefaultWork] unless set

	account Account
	exact   map[string][]*Subscription[F] // by topic
	all     []*Subscription[F]            // those that select every topic

	templates map[string]*template[F] // by Text
	groups    map[groupKey]*group[F]
	lengths   [2][]int       // lengths of the groups' prefixes, the longest first, by groupKey.index
	perLength [2]map[int]int // number of groups with each length
	matches   matches[F]
	added     uint64           // templates ever added
	banned    *topic.Selectors // what is banned; its templates are in templates too
	openCost  int
}

// A template is a compiled template and the subscriptions that have it. Without
// subscriptions and without a ban it is gone, and what it was compiled to is dropped.
type template[F any] struct {
	*topic.Template
	number uint64 // its number among all templates ever added
	subs   []*Subscription[F]
	bearer *Subscription[F] // the one whose bytes include it; nil: none has it
	banned bool             // a ban has it: matching topics are withheld
	inList *list.Element    // its element in group.templates
}

func (t *template[F]) isGone() bool { return len(t.subs) == 0 && !t.banned }

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
type group[F any] struct {
	key       groupKey
	templates list.List                // of *template[F], the oldest first
	subs      map[*Subscription[F]]int // how many of the group's templates each has
	banned    int                      // how many of the templates are banned
}

// routeSize is about how many bytes the router keeps for a template beside the template
// itself.
const routeSize = int64(unsafe.Sizeof(template[int]{})+unsafe.Sizeof(group[int]{})) + 400

func routedSize(p *topic.Template) int64 { return p.Size() + routeSize }

// New returns a router that caches matches in a share of the budget.
func New[F any](cached *budget.Share, a Account) *Router[F] {
	return &Router[F]{
		Work:      DefaultWork,
		account:   a,
		exact:     map[string][]*Subscription[F]{},
		templates: map[string]*template[F]{},
		groups:    map[groupKey]*group[F]{},
		perLength: [2]map[int]int{{}, {}},
		matches:   matches[F]{share: cached, byTopic: map[string]*list.Element{}},
	}
}

// Size returns how many subscriptions to all topics, exact topics and templates the
// router holds.
func (r *Router[F]) Size() int { return len(r.all) + len(r.exact) + len(r.templates) }

// Add routes events to s. The error is [ErrTooManyTemplates] or [ErrNoMemory].
func (r *Router[F]) Add(s *Subscription[F]) error {
	s.Selectors.DropRedundant()
	openCost, size := r.openCost, s.Bytes
	for _, p := range s.Selectors.Templates() {
		if t := r.templates[p.Text()]; t == nil || len(t.subs) == 0 { // a template that only a ban has is not counted
			size += routedSize(p)
			if p.IsOpen() {
				openCost += p.Cost
			}
		}
	}
	switch {
	case openCost > max(maxOpenCost, r.openCost):
		return ErrTooManyTemplates
	case !r.account.Take(size):
		return ErrNoMemory
	}
	r.openCost, s.counted = openCost, size
	if s.Selectors.All() {
		r.all = append(r.all, s)
		return nil
	}
	for _, p := range s.Selectors.Templates() {
		t := r.addTemplate(p)
		if t.bearer == nil {
			t.bearer = s
		}
		t.subs = append(t.subs, s)
		r.groups[groupOf(p)].subs[s]++
	}
	s.Selectors.ShareTemplates(func(p *topic.Template) *topic.Template { return r.templates[p.Text()].Template })
	for _, name := range s.Selectors.Texts() {
		r.exact[name] = append(r.exact[name], s)
	}
	return nil
}

// Remove undoes Add.
func (r *Router[F]) Remove(s *Subscription[F]) {
	defer func() { r.account.Give(s.counted) }() // less the templates that others have taken over
	if s.Selectors.All() {
		r.all = without(r.all, s)
		return
	}
	for _, name := range s.Selectors.Texts() {
		if r.exact[name] = without(r.exact[name], s); len(r.exact[name]) == 0 {
			delete(r.exact, name)
		}
	}
	for _, p := range s.Selectors.Templates() {
		g := r.groups[groupOf(p)]
		if g.subs[s]--; g.subs[s] == 0 {
			delete(g.subs, s)
		}
		t := r.templates[p.Text()]
		if t.subs = without(t.subs, s); len(t.subs) > 0 {
			if t.bearer == s {
				t.bearer = t.subs[0]
				r.account.Move(&s.counted, &t.bearer.counted, routedSize(p))
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

// Ban replaces what is banned; nil means nothing. The templates of bans are routed like
// those of subscriptions, so that the cost of trying them is bounded and the result is
// cached. The caller bounds the memory that they take.
func (r *Router[F]) Ban(next *topic.Selectors) {
	before := bannedTemplates(r.banned)
	r.banned = next
	for _, p := range before {
		r.templates[p.Text()].banned = false
		r.groups[groupOf(p)].banned--
	}
	for _, p := range bannedTemplates(next) {
		r.addTemplate(p).banned = true
		r.groups[groupOf(p)].banned++
	}
	for _, p := range before {
		r.removeTemplate(r.templates[p.Text()])
	}
}

func bannedTemplates(s *topic.Selectors) []*topic.Template {
	if s == nil {
		return nil
	}
	return s.Templates()
}

func groupOf(p *topic.Template) groupKey { return groupKey{p.Prefix, p.IsPlain()} }

// addTemplate returns the entry of a template, which it adds if there is none.
func (r *Router[F]) addTemplate(p *topic.Template) *template[F] {
	if t := r.templates[p.Text()]; t != nil {
		return t
	}
	r.added++
	key := groupOf(p)
	g := r.groups[key]
	if g == nil {
		g = &group[F]{key: key, subs: map[*Subscription[F]]int{}}
		r.groups[key] = g
		r.addLength(key.index(), len(key.prefix))
	}
	t := &template[F]{Template: p, number: r.added}
	t.inList = g.templates.PushBack(t)
	r.templates[p.Text()] = t
	r.account.CountTemplate(p, 1)
	return t
}

// removeTemplate removes t if it is gone.
func (r *Router[F]) removeTemplate(t *template[F]) {
	if !t.isGone() {
		return
	}
	delete(r.templates, t.Text())
	r.account.CountTemplate(t.Template, -1)
	g := r.groups[groupOf(t.Template)]
	g.templates.Remove(t.inList)
	if g.templates.Len() == 0 {
		delete(r.groups, g.key)
		r.removeLength(g.key.index(), len(g.key.prefix))
	}
	t.Template, t.subs, t.inList = nil, nil, nil // a cached match may refer to t for a while
	if len(r.templates) == 0 {
		r.matches.clear()
	}
}

func longestFirst(a, b int) int { return b - a }

func (r *Router[F]) addLength(index, n int) {
	if r.perLength[index][n]++; r.perLength[index][n] == 1 {
		at, _ := slices.BinarySearchFunc(r.lengths[index], n, longestFirst)
		r.lengths[index] = slices.Insert(r.lengths[index], at, n)
	}
}

func (r *Router[F]) removeLength(index, n int) {
	if r.perLength[index][n]--; r.perLength[index][n] == 0 {
		delete(r.perLength[index], n)
		at, _ := slices.BinarySearchFunc(r.lengths[index], n, longestFirst)
		r.lengths[index] = slices.Delete(r.lengths[index], at, at+1)
	}
}

// groupsOf calls yield with each group whose templates may match a topic: plain ones
// first, then longer prefixes before shorter ones.
func (r *Router[F]) groupsOf(name string, yield func(*group[F])) {
	for index, lengths := range r.lengths {
		for _, n := range lengths {
			if n > len(name) {
				continue
			}
			if g := r.groups[groupKey{name[:n], index == 0}]; g != nil {
				yield(g)
			}
		}
	}
}

// Route calls add with what each subscription that one of topics concerns belongs to, with
// some more than once. It calls skip with each that one of topics may concern, when
// finding out whether it does, or whether the topic is banned, takes longer than live
// delivery may wait. Route returns the topics for which templates remain untried, see
// [Router.Trial].
func (r *Router[F]) Route(topics []string, add, skip func(F)) (late []string) {
	if r.banned != nil && r.banned.All() {
		return nil
	}
	work, open := r.Work, false
	var unsure []routed[F]
	for _, name := range topics {
		if r.banned != nil && r.banned.Names(name) {
			continue
		}
		to := routed[F]{topic: name}
		if len(r.templates) > 0 {
			to.matching, to.untried = r.match(name, &work)
		}
		if r.banned != nil && slices.ContainsFunc(to.matching, isBanned) {
			continue
		}
		if len(to.untried) > 0 {
			late = append(late, name)
			unsure = append(unsure, to)
		}
		if r.banned == nil || !slices.ContainsFunc(to.untried, mayBan) {
			open = true
			r.each(&to, add)
		}
	}
	if open {
		for _, s := range r.all {
			add(s.Of)
		}
	}
	for _, to := range unsure { // skip does nothing for those to which the event was added
		r.each(&to, skip)
		for _, g := range to.untried {
			for s := range g.subs {
				skip(s.Of)
			}
		}
	}
	if !open && len(unsure) > 0 {
		for _, s := range r.all {
			skip(s.Of)
		}
	}
	return late
}

// routed is what the router knows about a topic.
type routed[F any] struct {
	topic    string
	matching []*template[F]
	untried  []*group[F] // groups that may have more matching templates
}

func isBanned[F any](t *template[F]) bool { return t.banned }

func mayBan[F any](g *group[F]) bool { return g.banned > 0 }

// each calls f for the subscriptions that a topic is known to concern, except those that
// select every topic.
func (r *Router[F]) each(to *routed[F], f func(F)) {
	for _, s := range r.exact[to.topic] {
		f(s.Of)
	}
	for _, t := range to.matching {
		for _, s := range t.subs {
			f(s.Of)
		}
	}
}

// match returns the templates that match a topic, and the groups that were not tried
// because work was used up.
func (r *Router[F]) match(name string, work *int) (matching []*template[F], untried []*group[F]) {
	m := r.matches.get(name)
	if m.upTo == r.added {
		return m.templates, nil
	}
	r.groupsOf(name, func(g *group[F]) {
		found, ok := g.try(name, m.upTo, work)
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
func (g *group[F]) try(name string, after uint64, work *int) (matching []*template[F], ok bool) {
	for t := range g.since(after) {
		if *work -= workOf(t.Template, name); *work < 0 {
			*work = 0 // end the search here, although templates of other groups may cost less
			return nil, false
		}
		if t.Match(name) {
			matching = append(matching, t)
		}
	}
	return matching, true
}

// since yields the templates that were added after a number, the latest first.
func (g *group[F]) since(after uint64) iter.Seq[*template[F]] {
	return func(yield func(*template[F]) bool) {
		for el := g.templates.Back(); el != nil; el = el.Prev() {
			if t := el.Value.(*template[F]); t.number <= after || !yield(t) {
				return
			}
		}
	}
}

// workOf returns the most it costs to try p on a topic, in bytes.
func workOf(p *topic.Template, name string) int { return tryWork + p.Cost*len(name) }

// without removes v, which s must contain, and changes the order.
func without[T comparable](s []T, v T) []T {
	i := slices.Index(s, v)
	last := len(s) - 1
	s[i] = s[last]
	var zero T
	s[last] = zero
	return s[:last]
}
