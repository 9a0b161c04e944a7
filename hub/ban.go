package hub

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// ErrTooManyBans reports a ban by which more would be banned than a hub keeps.
var ErrTooManyBans = errors.New("hub: too many topics are banned")

// What may be banned at a time. Live delivery tries templates within its bounds, see
// [router.ban]; each event that is read from the log, and each topic that a new
// subscription names, is tried on all of them.
const (
	maxBanned          = 1000    // selectors
	maxBannedTemplates = 100     // of them
	maxBannedCost      = 512     // passes over a topic that these make together, see [pattern.cost]
	maxBannedBytes     = 1 << 20 // of text
)

// banned is the set of selectors that are banned. A set never changes: a ban that
// begins or ends puts another in its place, and nil is none.
type banned struct {
	until map[string]time.Time // by selector
	sel   Selectors            // all of them
	since eventlog.ID          // the hub's head when the oldest of them began
}

// bans holds the set that counts now.
type bans struct {
	now atomic.Pointer[banned] // stored with the hub's lock held

	mu    sync.Mutex  // guards what follows, and is held while a set takes the place of another
	timer *time.Timer // for the ban that ends next; nil: there was none
	over  bool        // the hub is closed
}

// Ban takes the topics that sel selects out of all subscriptions for a time. An
// event reaches a stream, a [Subscriber] or a reader of [Hub.Retained] only by
// those of its topics that are not banned. Ban ends the streams that
// [Hub.Banned] is true of for good ([ErrRevoked]), and returns how many those are. Others stay open and
// pass the events that are withheld from them: they do not get them later. A
// subscription that begins after the ban, at a place before such an event, does.
//
// A selector that is banned already is banned for the new time instead; d of 0 ends
// its ban. The error is [ErrTooManyBans].
func (h *Hub) Ban(sel Selectors, d time.Duration) (ended int, err error) {
	b, err := h.changeBans(func(now time.Time, current *banned) (*banned, error) {
		next, err := current.with(sel, now.Add(d), h.headNow())
		return next.at(now), err
	})
	if err != nil || b == nil { // nothing is banned
		return 0, err
	}
	return h.End(StreamFilter{banned: b}, ErrRevoked), nil
}

// Banned reports whether bans cover all of a subscription's selectors. A URI
// Template is covered by `*`, and by one that differs in the names of its
// variables alone.
func (h *Hub) Banned(sel Selectors) bool { return h.bans.now.Load().cover(&sel, func() {}) }

// changeBans puts the set that change returns in the place of the current one, and
// returns it. It drops what was prepared before: windows and pages hold events that
// are withheld now, or lack some that no longer are.
func (h *Hub) changeBans(change func(now time.Time, current *banned) (*banned, error)) (*banned, error) {
	h.bans.mu.Lock()
	defer h.bans.mu.Unlock()
	now := time.Now()
	next, err := change(now, h.bans.now.Load().at(now))
	if err != nil || h.bans.over {
		return nil, err
	}
	h.mu.Lock()
	h.bans.now.Store(next)
	h.router.ban(next)
	for _, f := range h.router.feeds {
		f.restart(h.headNow())
	}
	h.mu.Unlock()
	h.pages.forget()
	h.bans.schedule(next, h.liftBans)
	return next, nil
}

// liftBans drops those that are over.
func (h *Hub) liftBans() {
	_, _ = h.changeBans(func(_ time.Time, current *banned) (*banned, error) { return current, nil })
}

// schedule calls lift when the next ban ends. b.mu is held.
func (b *bans) schedule(s *banned, lift func()) {
	if b.timer != nil {
		b.timer.Stop()
	}
	if s != nil {
		b.timer = time.AfterFunc(time.Until(slices.MinFunc(slices.Collect(maps.Values(s.until)), time.Time.Compare)), lift)
	}
}

func (b *bans) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	b.schedule(nil, nil)
}

// with is s and a ban of sel.
func (s *banned) with(sel Selectors, until time.Time, head eventlog.ID) (*banned, error) {
	next := banned{until: map[string]time.Time{}, since: head}
	if s != nil {
		next.until, next.since = maps.Clone(s.until), s.since
	}
	for _, text := range sel.text {
		next.until[text] = until
	}
	return next.compiled()
}

// at is s without what is over at a time.
func (s *banned) at(now time.Time) *banned {
	if s == nil {
		return nil
	}
	next := banned{until: maps.Clone(s.until), since: s.since}
	maps.DeleteFunc(next.until, func(_ string, until time.Time) bool { return !until.After(now) })
	if len(next.until) == len(s.until) {
		return s
	}
	left, err := next.compiled()
	if err != nil {
		panic(err) // it is part of what was good
	}
	return left
}

// compiled returns s with the selectors that it names, or nil if those are none.
func (s banned) compiled() (*banned, error) {
	if len(s.until) == 0 {
		return nil, nil
	}
	size := 0
	for text := range s.until {
		size += len(text)
	}
	if len(s.until) > maxBanned || size > maxBannedBytes {
		return nil, ErrTooManyBans
	}
	var err error
	if s.sel, err = ParseSelectors(slices.Collect(maps.Keys(s.until))...); err != nil {
		return nil, err
	}
	if len(s.sel.templates) > maxBannedTemplates || s.sel.cost() > maxBannedCost {
		return nil, ErrTooManyBans
	}
	return &s, nil
}

// open returns those of an event's topics that are not banned.
func (s *banned) open(topics []string) []string {
	if s == nil {
		return topics
	}
	first := slices.IndexFunc(topics, s.has)
	if first < 0 {
		return topics
	}
	open := slices.Clone(topics[:first])
	for _, t := range topics[first+1:] {
		if !s.has(t) {
			open = append(open, t)
		}
	}
	return open
}

// hasAll reports whether every topic is banned.
func (s *banned) hasAll() bool { return s != nil && s.sel.all }

// names reports whether a topic is banned by its name.
func (s *banned) names(topic string) bool {
	if s == nil {
		return false
	}
	_, ok := s.until[topic]
	return ok
}

// cost is how many passes over a topic it takes at most to find that it is not banned.
func (s *banned) cost() int {
	if s == nil {
		return 0
	}
	return s.sel.cost()
}

// templates returns those that are banned.
func (s *banned) templates() []*pattern {
	if s == nil {
		return nil
	}
	return s.sel.templates
}

// has reports whether a topic is banned.
func (s *banned) has(topic string) bool { return s != nil && s.sel.matchTopic(topic) }

// cover reports whether all that sel selects is banned. It calls look before each
// template that it tries.
func (s *banned) cover(sel *Selectors, look func()) bool {
	switch {
	case s == nil:
		return false
	case s.sel.all:
		return true
	case sel.all:
		return false
	}
	for _, p := range sel.templates {
		if !slices.Contains(s.sel.templates, p) {
			return false
		}
	}
	for i, text := range sel.text {
		if !strings.ContainsAny(text, "{}") && !s.sel.matchInTurns(sel.text[i:i+1], look) {
			return false
		}
	}
	return true
}
