package hub

import (
	"strings"
	"sync"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
)

const (
	// heavyWeight is how many bytes all subscriptions may hold beyond what is light.
	heavyWeight = 256 << 20
	// lightWeight is how many bytes a feed, a stream, a token's payload or a grant may
	// take that do not count towards heavyWeight: that costs little more than a stream
	// does.
	lightWeight = 4 << 10

	// streamSize is roughly what a stream takes, whatever it asks for: itself, and its
	// places among the hub's streams, in its feed, and where it is parked.
	streamSize = int64(unsafe.Sizeof(Stream{})) + 400
	// timerSize is what the end of its token takes.
	timerSize = 250
	// keptSize is what a text that several streams share takes beside it.
	keptSize = 200
)

// weights counts what open streams hold because of what their requests asked for, in a
// share of the budget.
type weights struct {
	share *budget.Share
	limit int64 // heavyWeight

	mu    sync.Mutex
	heavy int64 // bytes beyond what is light

	agents   keeps[string, struct{}]
	bearers  keeps[bearer, struct{}]
	payloads keeps[string, struct{}]
	grants   keeps[string, *Selectors]
	patterns map[*pattern]int // of grants: how many have each
}

func newWeights(b *budget.Budget) *weights {
	return &weights{share: b.Share(budget.Subscriptions), limit: heavyWeight, patterns: map[*pattern]int{}}
}

// heavyPart returns how many of n bytes count as heavy.
func heavyPart(n int64) int64 { return max(0, n-lightWeight) }

// take counts n bytes of one subscription, and reports whether there may be so many.
func (w *weights) take(n int64) bool {
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

// give gives back what was taken at once.
func (w *weights) give(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.giveLocked(n)
}

func (w *weights) giveLocked(n int64) {
	w.heavy -= heavyPart(n)
	w.share.Give(n)
}

// move counts n of the bytes of one subscription with another one.
func (w *weights) move(from, to *int64, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heavy -= heavyPart(*from) + heavyPart(*to)
	*from -= n
	*to += n
	w.heavy += heavyPart(*from) + heavyPart(*to)
}

// keeps holds what several streams have alike, once for all of them.
type keeps[K comparable, V any] map[K]*kept[K, V]

// A kept is one such thing.
type kept[K comparable, V any] struct {
	key   K
	value V
	bytes int64
	refs  int
}

// keep returns what is kept for a key, for one stream more. What is new takes so many
// bytes of the share; keep returns nil if there is no room. w.mu is held.
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

// drop lets go of it for one stream, and reports whether that was the last. w.mu is held.
func (k *keeps[K, V]) drop(w *weights, e *kept[K, V]) bool {
	if e == nil {
		return false
	}
	if e.refs--; e.refs > 0 {
		return false
	}
	w.giveLocked(e.bytes)
	if delete(*k, e.key); len(*k) == 0 {
		*k = nil // a map does not shrink
	}
	return true
}

// A bearer is whose token a stream came by.
type bearer struct {
	subject, tokenID string
	ticket           uint64
}

var nobody bearer

// Weight returns about how many bytes a hub keeps of the subscription for one who reads what
// is retained.
func (s *Subscription) Weight() int64 {
	n := 2 * int64(s.Selectors.Size()) // once as a key
	for _, t := range s.Types {
		n += 2*int64(len(t)) + selectorSize
	}
	for _, p := range s.Selectors.templates {
		n += p.size()
	}
	return n
}

// A weight is what one stream holds beside its feed. What others hold alike it shares
// with them.
type weight struct {
	own     int64
	agent   *kept[string, struct{}]
	bearer  *kept[bearer, struct{}] // nil: nobody
	payload *kept[string, struct{}]
	grant   *kept[string, *Selectors]
}

// weigh counts a stream of a peer, with a grant, that takes so many bytes of its own. It
// returns [ErrTooManySelectors] if there is no room.
func (w *weights) weigh(own int64, p Peer, grant *Selectors) (weight, error) {
	st := weight{own: own}
	text := func(s string) func() (string, struct{}) {
		return func() (string, struct{}) { return strings.Clone(s), struct{}{} } // a part of a head would keep all of it
	}
	agent := cutBytes(p.UserAgent, maxUserAgent)
	holder := bearer{p.Subject, p.TokenID, p.Ticket}
	var canonical string
	if grant != &everything && grant != &nothing {
		canonical = grant.canonical()
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

// keepGrant counts the templates of all grants once, too. w.mu is held.
func (w *weights) keepGrant(canonical string, grant *Selectors) (*kept[string, *Selectors], bool) {
	known := w.grants[canonical] != nil
	size := int64(unsafe.Sizeof(*grant)) + int64(len(canonical)+grant.Size()+8*len(grant.templates))
	e := w.grants.keep(w, canonical, size, func() (string, *Selectors) { return canonical, grant })
	if e == nil || known {
		return e, e != nil
	}
	for i, p := range grant.templates {
		if w.patterns[p] == 0 && !w.share.Take(p.size()) {
			w.dropPatterns(grant.templates[:i])
			w.grants.drop(w, e)
			return nil, false
		}
		w.patterns[p]++
	}
	return e, true
}

func (w *weights) dropPatterns(templates []*pattern) {
	for _, p := range templates {
		if w.patterns[p]--; w.patterns[p] == 0 {
			delete(w.patterns, p)
			w.share.Give(p.size())
		}
	}
}

// part lets go of what a stream holds, which others may still look at.
func (w *weights) part(st *weight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lighten(st)
}

// lighten is part with w.mu held.
func (w *weights) lighten(st *weight) {
	w.giveLocked(st.own)
	w.agents.drop(w, st.agent)
	w.bearers.drop(w, st.bearer)
	w.payloads.drop(w, st.payload)
	if w.grants.drop(w, st.grant) {
		w.dropPatterns(st.grant.value.templates)
	}
}

// bytes is what the stream holds, with all that it shares.
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
		for _, p := range st.grant.value.templates {
			n += p.size()
		}
	}
	return n
}

// holder is whose token the stream came by.
func (st *weight) holder() *bearer {
	if st.bearer == nil {
		return &nobody
	}
	return &st.bearer.key
}
