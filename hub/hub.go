package hub

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/internal/route"
	"github.com/tidings-sse/tidings/topic"
)

// Options configures a [Hub]. The zero value works: see each field for its default.
type Options struct {
	Logger *slog.Logger   // the hub's log lines; nil means slog.Default()
	Budget *budget.Budget // counts what clients make the hub hold; nil means budget.New(0), which has no limit on the whole
}

// A Hub publishes to one log and delivers its events. [New] makes one; the zero value
// does not work. Several goroutines may call its methods at once.
type Hub struct {
	log     eventlog.Log
	logger  *slog.Logger
	budget  *budget.Budget
	feeds   *feed.Set
	weights *weights
	bans    bans
	drain   drain

	clock    clockWatch
	registry registry
	changes  atomic.Uint64                 // openings and closings of streams, counted after each
	watch    func(i StreamInfo, open bool) // set by Watch; nil: nothing is called
	counters counters
}

// New returns a hub on log and starts its goroutines, which [Hub.Close] ends. The hub
// delivers live what is appended after this call, and reads the rest on request. The
// caller keeps ownership of the log and must close it after the hub. The error is that of
// the log's Bounds.
func New(log eventlog.Log, o Options) (*Hub, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Budget == nil {
		o.Budget = budget.New(0)
	}
	h := &Hub{
		log:     log,
		logger:  o.Logger,
		budget:  o.Budget,
		weights: newWeights(o.Budget),
		drain:   drain{begun: make(chan struct{}), gone: make(chan struct{})},
	}
	h.counters.started = time.Now()
	h.clock.now = func() time.Time { return time.Now().Round(0) }
	var err error
	h.feeds, err = feed.New(log, feed.Options{Budget: o.Budget, Account: h.weights, Logger: o.Logger, Ended: h.wakeStreams})
	if err != nil {
		return nil, err
	}
	h.clock.done = h.feeds.Done()
	return h, nil
}

// Close ends the streams and subscriptions with [ErrClosed] and waits for the hub's own
// goroutines. It does not wait until callers have closed their streams; for that, drain
// first. It may be called more than once, and always returns nil.
func (h *Hub) Close() error {
	h.bans.close()
	h.feeds.Close()
	h.drain.ends.Wait()
	h.clock.close()
	return nil
}

// Budget returns the account of what clients make the hub hold. It is never nil.
func (h *Hub) Budget() *budget.Budget { return h.budget }

// Live reports whether an event was routed within the last 100 ms.
func (h *Hub) Live() bool { return h.feeds.Live().Recent(time.Now()) }

// Rest limits background work that has no slot to half the time while events are being
// published. Call it often, first with the time when the work began and then with the
// time that the last call returned. After 500 µs of work it sleeps for as long as the
// work took, but at most 10 ms, since a slow peer may have been the reason.
func (h *Hub) Rest(begun time.Time) (again time.Time) { return h.feeds.Live().RestAfter(begun) }

// Err returns nil while the hub delivers, then why it stopped: [ErrClosed], or the log's
// error.
func (h *Hub) Err() error { return h.feeds.Err() }

// Done returns a channel that is closed when the hub has stopped delivering.
func (h *Hub) Done() <-chan struct{} { return h.feeds.Done() }

// join adds a subscriber to the feed of its subscription.
func (h *Hub) join(s Subscription, as form) (*feed.Feed, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	r := feed.Request{Selectors: s.Selectors, Types: s.Types, Form: as}
	if as.envelope != Bare {
		r.Shown = s.Grant.Shared()
	}
	f, err := h.feeds.Join(r)
	if errors.Is(err, route.ErrNoMemory) {
		err = ErrTooManySelectors
	}
	return f, err
}

// check returns a [topic.InvalidError] if the hub cannot serve the subscription.
func (s *Subscription) check() error {
	if n := len(s.Selectors.Texts()); n == 0 || n > MaxSelectors || len(s.Selectors.Templates()) > MaxTopics {
		return topic.Invalid("name from 1 to %d topics, of which %d may be URI Templates, as in /events/NAME, topic=NAME or topic=*, not %d", MaxSelectors, MaxTopics, n)
	}
	if len(s.Types) > MaxTypes {
		return topic.Invalid("a subscription may name %d types, not %d; without any, it gets all", MaxTypes, len(s.Types))
	}
	asked := 0
	for _, text := range slices.Concat(s.Selectors.Texts(), s.Types) {
		asked += len(text)
	}
	if asked > MaxSubscriptionBytes {
		return topic.Invalid("the topics and types of a subscription may have %d bytes in all, not %d; * and URI Templates select many topics at once", MaxSubscriptionBytes, asked)
	}
	if slices.Contains(s.Types, "") {
		return topic.Invalid("the type must not be empty; the unnamed type is message")
	}
	return nil
}

// Bounds returns the current ends and size of the log. The errors are the log's.
func (h *Hub) Bounds(ctx context.Context) (eventlog.Bounds, error) { return h.log.Bounds(ctx) }
