package hub

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/pace"
	"github.com/tidings-sse/tidings/internal/route"
	"github.com/tidings-sse/tidings/topic"
)

// ErrClosed reports a hub that was closed or whose log has failed.
var ErrClosed = errors.New("hub: closed")

// Options configures a [Hub]. The zero value works: see each field for its default.
type Options struct {
	Logger *slog.Logger   // the hub's log lines; nil means slog.Default()
	Budget *budget.Budget // counts what clients make the hub hold; nil means budget.New(0), which has no limit on the whole
}

// A Hub publishes to one log and delivers its events. [New] makes one; the zero value
// does not work. Several goroutines may call its methods at once.
type Hub struct {
	log    eventlog.Log
	logger *slog.Logger
	stop   context.CancelFunc
	pumped chan struct{} // closed when the pump has ended
	drain  drain
	budget *budget.Budget
	pages  *pages
	totals totals
	bans   bans

	weights *weights
	windows *windowShare

	late    chan string    // topics to match outside the pump, see matchLater
	matcher sync.WaitGroup // runs matchLate

	err      atomic.Pointer[error] // why the pump ended
	clock    clockWatch
	live     *pace.Activity
	registry registry
	changes  atomic.Uint64                 // openings and closings of streams, counted after each
	watch    func(i StreamInfo, open bool) // set by Watch; nil: nothing is called
	counters counters

	head atomic.Pointer[eventlog.ID] // the newest event routed to the feeds; changed with mu held

	door  sync.Mutex  // see enter
	pumps atomic.Bool // the pump waits for mu

	mu          sync.Mutex // guards all below
	feeds       map[feedKey]*feed
	router      *route.Router[*feed]
	subscribers int
	ahead       []Waker // woken when head moves, then forgotten
	inLate      map[string]struct{}
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
	ctx, cancel := context.WithCancel(context.Background())
	bounds, err := log.Bounds(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	weights := newWeights(o.Budget)
	h := &Hub{
		log:     log,
		logger:  o.Logger,
		stop:    cancel,
		pumped:  make(chan struct{}),
		budget:  o.Budget,
		inLate:  map[string]struct{}{},
		feeds:   map[feedKey]*feed{},
		router:  route.New[*feed](o.Budget.Share(budget.Matches), weights),
		weights: weights,
		windows: newWindowShare(o.Budget),
		live:    pace.New(runtime.GOMAXPROCS(0)),
		late:    make(chan string, maxLate),
		drain:   drain{begun: make(chan struct{}), gone: make(chan struct{})},
	}
	h.head.Store(&bounds.Last)
	h.clock.ctx, h.clock.now = ctx, func() time.Time { return time.Now().Round(0) }
	h.counters.started = time.Now()
	h.pages = newPages(ctx, log, h.live, &h.bans, o.Budget.Share(budget.Pages))
	h.matcher.Go(func() { h.matchLate(ctx) })
	go h.pump(ctx, bounds.Last)
	return h, nil
}

// Close ends the streams and subscriptions with [ErrClosed] and waits for the hub's own
// goroutines. It does not wait until callers have closed their streams; for that, drain
// first. It may be called more than once, and always returns nil.
func (h *Hub) Close() error {
	h.bans.close()
	h.stop()
	<-h.pumped
	h.drain.ends.Wait()
	h.pages.close()
	h.clock.close()
	h.matcher.Wait()
	return nil
}

// Budget returns the account of what clients make the hub hold. It is never nil.
func (h *Hub) Budget() *budget.Budget { return h.budget }

// Live reports whether an event was routed within the last 100 ms.
func (h *Hub) Live() bool { return h.live.Recent(time.Now()) }

// Err returns nil while the hub delivers, then why it stopped: [ErrClosed], or the log's
// error.
func (h *Hub) Err() error {
	if err := h.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Done returns a channel that is closed when the hub has stopped delivering.
func (h *Hub) Done() <-chan struct{} { return h.pumped }

// pump reads the log's tail and routes each event to the feeds that it concerns. It is
// the log's only tail reader.
func (h *Hub) pump(ctx context.Context, after eventlog.ID) {
	defer h.wakeStreams()
	defer close(h.pumped)
	for {
		err := h.route(ctx, after)
		var trimmed *eventlog.TrimmedError
		if errors.As(err, &trimmed) { // retention overtook the pump
			after = trimmed.Origin
			h.skip(after)
			continue
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
			err = ErrClosed
		} else {
			h.logger.Error("the event log failed", "err", err)
		}
		h.err.Store(&err)
		return
	}
}

func (h *Hub) route(ctx context.Context, after eventlog.ID) error {
	var ws wires
	for e, err := range h.log.Tail(ctx, after) {
		if err != nil {
			return err
		}
		ws.next()
		var g guard // of the event, shared by all feeds
		encode := func(f *feed) ([]byte, guard) {
			if g == nil {
				g = guardOf(e)
			}
			if f.key.envelope != Bare {
				if seen := shown(e, &f.grant); seen != e {
					return appendWire(nil, seen, f.key.form), g
				}
			}
			return ws.of(e, f.key.form), g
		}
		at := appended(e)
		add := func(f *feed) { f.add(e, at, encode) }
		skip := func(f *feed) { f.pass(e) }
		h.lockFirst()
		for _, topic := range h.router.Route(e.Topics, add, skip) {
			h.matchLater(topic)
		}
		h.moveHead(e.ID)
		h.mu.Unlock()
		h.live.Note()
	}
	return ctx.Err()
}

// lockFirst locks h.mu for the pump, ahead of subscribers that come or go, see enter.
func (h *Hub) lockFirst() {
	h.pumps.Store(true)
	h.mu.Lock()
	h.pumps.Store(false)
}

// appended returns when an event was appended, in Unix nanoseconds by the system's clock.
// If e.Time is in the future or more than [eventlog.MaxStep] ago, the log's clock does
// not follow the system's (see [eventlog.Clock]), and appended returns the current time.
func appended(e *eventlog.Event) int64 {
	now := time.Now()
	if ago := now.Sub(e.Time); ago < 0 || ago > eventlog.MaxStep {
		return now.UnixNano()
	}
	return e.Time.UnixNano()
}

// maxLate is how many topics may wait to be matched. While the queue is full, events to
// other such topics are not matched later: each makes the streams whose templates may
// match read the log.
const maxLate = 64

// matchLater queues a topic whose templates take longer to try than live delivery may
// wait. It does nothing if the queue is full. h.mu is held.
func (h *Hub) matchLater(topic string) {
	h.counters.lateMatches.Add(1)
	if _, ok := h.inLate[topic]; ok || len(h.inLate) == maxLate {
		return
	}
	topic = strings.Clone(topic) // a substring would keep the whole event in memory
	h.inLate[topic] = struct{}{}
	h.late <- topic // never blocks: inLate has at most as many topics as the channel has room for
}

// matchLate tries the templates on queued topics, so that the next event to such a topic
// finds them cached.
func (h *Hub) matchLate(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case topic := <-h.late:
			h.mu.Lock()
			t := h.router.Trial(topic)
			h.mu.Unlock()
			pace := h.live.Begin(false, nil)
			t.Run(ctx, pace.Keep)
			pace.End()
			h.mu.Lock()
			h.router.Tried(t)
			delete(h.inLate, topic)
			h.mu.Unlock()
		}
	}
}

// moveHead records that all events up to a position have been routed. h.mu is held.
func (h *Hub) moveHead(to eventlog.ID) {
	h.head.Store(&to)
	for _, w := range h.ahead {
		w.Wake()
	}
	clear(h.ahead)
	h.ahead = h.ahead[:0]
}

// skip continues after events that retention dropped before they were routed. Subscribers
// find the gap when they read the log.
func (h *Hub) skip(to eventlog.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.feeds {
		f.skip(to)
	}
	h.moveHead(to)
}

// reached returns the position of the newest routed event, and whether it is at or after
// the given position: an event may be in the log, and its ID known, before it has been
// routed. If it is before, w is woken when more has been routed.
func (h *Hub) reached(place eventlog.ID, w Waker) (head eventlog.ID, ok bool, err error) {
	if head := h.headNow(); place.Compare(head) <= 0 { // the usual case, without the lock: many streams ask at once
		return head, true, h.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	head = h.headNow()
	if err := h.Err(); err != nil || place.Compare(head) <= 0 {
		return head, true, err
	}
	h.ahead = append(h.ahead, w)
	return head, false, nil
}

// enter locks door and mu for a subscriber that comes or goes. Because of door, only one
// of them at a time waits for mu, and it lets the pump go first. Without door, the pump
// would wait for all of them at each event, because a mutex goes to the goroutine that
// has waited longest.
func (h *Hub) enter() {
	h.door.Lock()
	for h.pumps.Load() { // the pump gets mu within microseconds
		runtime.Gosched()
	}
	h.mu.Lock()
}

// join adds a subscriber to the feed of its subscription.
func (h *Hub) join(s Subscription, as form) (*feed, error) {
	if n := len(s.Selectors.Texts()); n == 0 || n > MaxSelectors || len(s.Selectors.Templates()) > MaxTopics {
		return nil, topic.Invalid("name from 1 to %d topics, of which %d may be URI Templates, as in /events/NAME, topic=NAME or topic=*, not %d", MaxSelectors, MaxTopics, n)
	}
	f, err := newFeed(s, as, h.windows)
	if err != nil {
		return nil, err
	}
	h.enter()
	defer h.door.Unlock()
	defer h.mu.Unlock()
	if err := h.Err(); err != nil {
		return nil, err
	}
	f.start, f.all = h.headNow(), &h.totals
	if known := h.feeds[f.key]; known != nil {
		f = known
	} else if err := h.addFeed(f); err != nil {
		return nil, err
	}
	f.refs++
	h.subscribers++
	return f, nil
}

// addFeed adds a feed that is new. The error is [ErrTooManyTemplates] or
// [ErrTooManySelectors]. h.mu is held.
func (h *Hub) addFeed(f *feed) error {
	switch err := h.router.Add(&f.subscription); err {
	case nil:
	case route.ErrNoMemory:
		return ErrTooManySelectors
	default:
		return err
	}
	h.feeds[f.key] = f
	h.totals.feeds.Add(1)
	return nil
}

// part removes a subscriber from its feed, once. It reports whether this call did so.
func (h *Hub) part(f *feed, parted *bool) bool {
	h.enter()
	defer h.door.Unlock()
	defer h.mu.Unlock()
	if *parted {
		return false
	}
	*parted = true
	if f.refs--; f.refs == 0 {
		h.router.Remove(&f.subscription)
		delete(h.feeds, f.key)
		h.totals.feeds.Add(-1)
		h.pages.forgetFeed(f)
	}
	h.subscribers--
	h.leave()
	return true
}

func (h *Hub) headNow() eventlog.ID { return *h.head.Load() }

// headRouted returns the head once the event that is being routed is behind it: a feed
// wakes its readers before the head moves.
func (h *Hub) headRouted() eventlog.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.headNow()
}

// Bounds returns the current ends and size of the log. The errors are the log's.
func (h *Hub) Bounds(ctx context.Context) (eventlog.Bounds, error) { return h.log.Bounds(ctx) }

// Topics yields every topic with retained events, in no particular order, with its
// totals. An error is the last element.
func (h *Hub) Topics(ctx context.Context) iter.Seq2[eventlog.Topic, error] { return h.log.Topics(ctx) }
