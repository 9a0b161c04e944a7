package hub

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/topic"
)

// Limits on what may be banned at a time. Live delivery tries templates within limits of
// its own, see [route.Router.Ban], but each event that is read from the log, and each topic
// that a new subscription names, is tried on all of them.
const (
	maxBanned          = 1000    // selectors
	maxBannedTemplates = 100     // URI Templates among them
	maxBannedCost      = 512     // passes over a topic that all templates make together, see [topic.Template.Cost]
	maxBannedBytes     = 1 << 20 // text of all selectors
)

// banned is a set of banned selectors. A set never changes: when a ban begins or ends, a
// new set replaces it. nil is the empty set.
type banned struct {
	until       map[string]time.Time // when each ban ends, by selector
	feed.Banned                      // all selectors of until
	since       eventlog.ID          // position of the newest routed event when the set was last empty and a ban began
}

// bans holds the set in force.
type bans struct {
	now atomic.Pointer[banned] // nil: none

	mu    sync.Mutex  // guards what follows; held while one set replaces another
	timer *time.Timer // fires when the next ban ends; nil: there was no ban
	over  bool        // the hub has been closed
}

// Ban withholds the topics that sel selects from all subscriptions for the duration d. An
// event reaches a stream, [Hub.Subscribe] or [Hub.Retained] only by those of its topics
// that are not banned. Subscriptions pass the events that are withheld and do not receive
// them later; one that begins after the ban, at a position before such an event, does.
//
// Ban ends for good, with [ErrRevoked], the streams whose selectors are all covered (see
// [Hub.Banned]), and returns how many it ended.
//
// If a selector is banned already, its ban now ends after d; a d of 0 ends it at once.
// The error is [ErrTooManyBans], and then nothing has changed.
func (h *Hub) Ban(sel topic.Selectors, d time.Duration) (ended int, err error) {
	b, err := h.changeBans(func(now time.Time, current *banned) (*banned, error) {
		next, err := current.with(sel, now.Add(d), h.feeds.Head())
		return next.at(now), err
	})
	if err != nil || b == nil { // nothing is banned
		return 0, err
	}
	return h.End(StreamFilter{banned: b}, ErrRevoked), nil
}

// Banned reports whether bans cover all selectors of a subscription. A URI Template is
// covered only by `*` and by a template that differs at most in the names of its
// variables.
func (h *Hub) Banned(sel topic.Selectors) bool { return h.bans.now.Load().cover(&sel, func() {}) }

// changeBans replaces the set in force by the one that change returns, and returns that.
func (h *Hub) changeBans(change func(now time.Time, current *banned) (*banned, error)) (*banned, error) {
	h.bans.mu.Lock()
	defer h.bans.mu.Unlock()
	now := time.Now()
	next, err := change(now, h.bans.now.Load().at(now))
	if err != nil || h.bans.over {
		return nil, err
	}
	h.bans.now.Store(next)
	if next == nil {
		h.feeds.Ban(nil)
	} else {
		h.feeds.Ban(&next.Banned)
	}
	h.bans.schedule(next, h.liftBans)
	return next, nil
}

// liftBans drops the bans that have ended.
func (h *Hub) liftBans() {
	_, _ = h.changeBans(func(_ time.Time, current *banned) (*banned, error) { return current, nil })
}

// schedule arranges a call of lift when the next ban ends. b.mu is held.
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

// with returns s with a ban of sel added.
func (s *banned) with(sel topic.Selectors, until time.Time, head eventlog.ID) (*banned, error) {
	next := banned{until: map[string]time.Time{}, since: head}
	if s != nil {
		next.until, next.since = maps.Clone(s.until), s.since
	}
	for _, text := range sel.Texts() {
		next.until[text] = until
	}
	return next.compiled()
}

// at returns s without the bans that have ended by now.
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
		panic(err) // cannot fail: it is a subset of a valid set
	}
	return left
}

// compiled returns s with sel parsed from its selectors, or nil if there are none.
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
	if s.Selectors, err = topic.Parse(slices.Collect(maps.Keys(s.until))...); err != nil {
		return nil, err
	}
	if len(s.Selectors.Templates()) > maxBannedTemplates || s.Selectors.Cost() > maxBannedCost {
		return nil, ErrTooManyBans
	}
	return &s, nil
}

// cover reports whether the bans cover all selectors of sel. It calls look before each
// template that it tries.
func (s *banned) cover(sel *topic.Selectors, look func()) bool {
	return s != nil && s.Selectors.Covers(sel, look)
}
