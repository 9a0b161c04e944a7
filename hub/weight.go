package hub

import (
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/topic"
)

const (
	// heavyWeight is how many bytes all subscriptions together may hold beyond the light
	// part of each.
	heavyWeight = 256 << 20
	// lightWeight is how many bytes of a feed, a stream, a token's payload or a grant do
	// not count towards heavyWeight: they cost little more than a stream itself does.
	lightWeight = 4 << 10

	// streamSize is about how many bytes a stream takes, whatever it asks for: itself,
	// and its entries in the registry, in its feed, and where it is parked.
	streamSize = int64(unsafe.Sizeof(Stream{})) + 400
	// timerSize is about how many bytes the timer for its token's expiry takes.
	timerSize = 250
	// keptSize is about how many bytes a shared text takes beside the text itself.
	keptSize = 200
)

// weights counts, in a share of the budget, what open streams hold because of their
// requests. It is the account of the router.
type weights struct {
	share *budget.Share
	limit int64 // heavyWeight

	mu    sync.Mutex
	heavy int64 // bytes beyond lightWeight

	agents    keeps[string, struct{}]
	bearers   keeps[bearer, struct{}]
	payloads  keeps[string, struct{}]
	grants    keeps[string, *topic.Selectors]
	templates map[string]*granted // templates of grants, by Text

	templateCount, templateBytes atomic.Int64 // of grants, subscriptions and bans
}

// A granted is a template that grants have.
type granted struct {
	*topic.Template
	grants int // how many
}

// CountTemplate counts n more tables that hold p; n may be negative.
func (w *weights) CountTemplate(p *topic.Template, n int64) {
	w.templateCount.Add(n)
	w.templateBytes.Add(n * p.Size())
}

func newWeights(b *budget.Budget) *weights {
	return &weights{share: b.Share(budget.Subscriptions), limit: heavyWeight, templates: map[string]*granted{}}
}

// heavyPart returns how many of the n bytes of one subscription count as heavy.
func heavyPart(n int64) int64 { return max(0, n-lightWeight) }

// Take counts n bytes of one subscription, and reports whether there is room for them.
func (w *weights) Take(n int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.takeLocked(n)
}

func (w *weights) takeLocked(n int64) bool {
	heavy := heavyPart(n)
	if heavy > 0 && w.heavy+heavy > w.limit || !w.share.Take(n) {
		return false
	}
	w.heavy += heavy
	return true
}

// Give gives back n bytes, which must have been taken in one call.
func (w *weights) Give(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.giveLocked(n)
}

func (w *weights) giveLocked(n int64) {
	w.heavy -= heavyPart(n)
	w.share.Give(n)
}

// Move moves n counted bytes from one subscription to another.
func (w *weights) Move(from, to *int64, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heavy -= heavyPart(*from) + heavyPart(*to)
	*from -= n
	*to += n
	w.heavy += heavyPart(*from) + heavyPart(*to)
}

// keeps holds values that several streams share, each once.
type keeps[K comparable, V any] map[K]*kept[K, V]

// A kept is one shared value.
type kept[K comparable, V any] struct {
	key   K
	value V
	bytes int64
	refs  int
}

// keep returns the shared value for a key, with one more reference. A new value takes the
// given bytes and keptSize from the share; keep returns nil if there is no room. w.mu is
// held.
func (k *keeps[K, V]) keep(w *weights, key K, bytes int64, make func() (K, V)) *kept[K, V] {
	if e := (*k)[key]; e != nil {
		e.refs++
		return e
	}
	bytes += keptSize
	if !w.takeLocked(bytes) {
		return nil
	}
	e := &kept[K, V]{bytes: bytes, refs: 1}
	e.key, e.value = make()
	if *k == nil {
		*k = keeps[K, V]{}
	}
	(*k)[e.key] = e
	return e
}

// drop releases one reference, and reports whether that was the last. w.mu is held.
func (k *keeps[K, V]) drop(w *weights, e *kept[K, V]) bool {
	if e == nil {
		return false
	}
	if e.refs--; e.refs > 0 {
		return false
	}
	w.giveLocked(e.bytes)
	if delete(*k, e.key); len(*k) == 0 {
		*k = nil // release its memory: a Go map does not shrink
	}
	return true
}

// A bearer identifies the token that a stream came with.
type bearer struct {
	subject, tokenID string
	ticket           uint64
}

var nobody bearer

// Weight returns about how many bytes a hub holds for the subscription while a client
// reads what is retained.
func (s *Subscription) Weight() int64 {
	n := 2 * int64(s.Selectors.Size()) // once as a key
	for _, t := range s.Types {
		n += 2*int64(len(t)) + feed.SelectorSize
	}
	for _, p := range s.Selectors.Templates() {
		n += p.Size()
	}
	return n
}

// A weight is what one stream holds beside its feed. It shares with other streams what
// they have in common.
type weight struct {
	own     int64
	agent   *kept[string, struct{}]
	bearer  *kept[bearer, struct{}] // nil: no token
	payload *kept[string, struct{}]
	grant   *kept[string, *topic.Selectors]
}

// weigh counts a stream with the given peer and grant that takes own bytes itself. It
// returns [ErrTooManySelectors] if there is no room.
func (w *weights) weigh(own int64, p Peer, grant *topic.Selectors) (weight, error) {
	st := weight{own: own}
	text := func(s string) func() (string, struct{}) {
		return func() (string, struct{}) { return strings.Clone(s), struct{}{} } // a substring would keep the whole request head in memory
	}
	agent := cutBytes(p.UserAgent, maxUserAgent)
	holder := bearer{p.Subject, p.TokenID, p.Ticket}
	var canonical string
	if !grant.IsShared() {
		canonical = grant.Key()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	ok := w.takeLocked(own)
	if !ok {
		return weight{}, ErrTooManySelectors
	}
	if agent != "" {
		st.agent = w.agents.keep(w, agent, int64(len(agent)), text(agent))
		ok = st.agent != nil
	}
	if ok && holder != nobody {
		size := len(p.Subject) + len(p.TokenID) + int(unsafe.Sizeof(holder))
		st.bearer = w.bearers.keep(w, holder, int64(size), func() (bearer, struct{}) { return holder, struct{}{} })
		ok = st.bearer != nil
	}
	if ok && p.Payload != "" {
		st.payload = w.payloads.keep(w, p.Payload, int64(len(p.Payload)), text(p.Payload))
		ok = st.payload != nil
	}
	if ok && canonical != "" {
		st.grant, ok = w.keepGrant(canonical, grant)
	}
	if !ok {
		w.lighten(&st)
		return weight{}, ErrTooManySelectors
	}
	return st, nil
}

// keepGrant shares a grant, and shares its templates with other grants. w.mu is held.
func (w *weights) keepGrant(canonical string, grant *topic.Selectors) (*kept[string, *topic.Selectors], bool) {
	known := w.grants[canonical] != nil
	size := int64(unsafe.Sizeof(*grant)) + int64(len(canonical)+grant.Size()+8*len(grant.Templates()))
	e := w.grants.keep(w, canonical, size, func() (string, *topic.Selectors) { return canonical, grant })
	if e == nil || known {
		return e, e != nil
	}
	for i, p := range grant.Templates() {
		g := w.templates[p.Text()]
		if g == nil {
			if !w.share.Take(p.Size()) {
				w.dropTemplates(grant.Templates()[:i])
				w.grants.drop(w, e)
				return nil, false
			}
			g = &granted{Template: p}
			w.templates[p.Text()] = g
			w.CountTemplate(p, 1)
		}
		g.grants++
	}
	grant.ShareTemplates(func(p *topic.Template) *topic.Template { return w.templates[p.Text()].Template })
	return e, true
}

func (w *weights) dropTemplates(templates []*topic.Template) {
	for _, p := range templates {
		g := w.templates[p.Text()]
		if g.grants--; g.grants == 0 {
			delete(w.templates, p.Text())
			w.share.Give(p.Size())
			w.CountTemplate(p, -1)
		}
	}
}

// part uncounts what a stream holds. The values stay readable, because others may still
// look at them.
func (w *weights) part(st *weight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lighten(st)
}

// lighten does what part does. w.mu is held.
func (w *weights) lighten(st *weight) {
	w.giveLocked(st.own)
	w.agents.drop(w, st.agent)
	w.bearers.drop(w, st.bearer)
	w.payloads.drop(w, st.payload)
	if w.grants.drop(w, st.grant) {
		w.dropTemplates(st.grant.value.Templates())
	}
}

// bytes returns how many bytes the stream holds, including all that it shares.
func (st *weight) bytes() int64 {
	n := st.own
	if st.agent != nil {
		n += st.agent.bytes
	}
	if st.bearer != nil {
		n += st.bearer.bytes
	}
	if st.payload != nil {
		n += st.payload.bytes
	}
	if st.grant != nil {
		n += st.grant.bytes
		for _, p := range st.grant.value.Templates() {
			n += p.Size()
		}
	}
	return n
}

// holder returns the bearer that the stream came with.
func (st *weight) holder() *bearer {
	if st.bearer == nil {
		return &nobody
	}
	return &st.bearer.key
}
