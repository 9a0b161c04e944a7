package feed

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/pace"
	"github.com/tidings-sse/tidings/internal/route"
)

// Options configures a [Set]. All fields are required.
type Options struct {
	Budget  *budget.Budget
	Account route.Account // counts what feeds ask for
	Logger  *slog.Logger
	Ended   func() // called once, when the set has stopped delivering
}

// A Set is the feeds of a hub. [New] makes one. Several goroutines may call its methods at
// once.
type Set struct {
	Slots  Slots // limit other work on the log, too
	log    eventlog.Log
	o      Options
	stop   context.CancelFunc
	live   *pace.Activity
	pages  *pages
	totals Totals
	bans   atomic.Pointer[Banned] // nil: none; stored with mu held

	windows windowShare

	late    chan string    // topics to match outside the pump, see matchLater
	matcher sync.WaitGroup // runs matchLate
	pumped  chan struct{}  // closed when the pump has ended
	err     atomic.Pointer[error]

	head atomic.Pointer[eventlog.ID] // the newest event routed to the feeds; changed with mu held

	door  sync.Mutex  // see enter
	pumps atomic.Bool // the pump waits for mu

	mu      sync.Mutex // guards all below
	feeds   map[key]*Feed
	router  *route.Router[*Feed]
	members int     // subscribers of all feeds
	ahead   []Waker // woken when head moves, then forgotten
	inLate  map[string]struct{}
}

// New returns a set without feeds and starts its goroutines, which [Set.Close] ends. The
// set delivers live what is appended to the log after this call. The error is that of the
// log's Bounds.
func New(log eventlog.Log, o Options) (*Set, error) {
	ctx, cancel := context.WithCancel(context.Background())
	bounds, err := log.Bounds(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &Set{
		log:     log,
		o:       o,
		stop:    cancel,
		live:    pace.New(runtime.GOMAXPROCS(0)),
		windows: newWindowShare(o.Budget),
		late:    make(chan string, maxLate),
		pumped:  make(chan struct{}),
		feeds:   map[key]*Feed{},
		router:  route.New[*Feed](o.Budget.Share(budget.Matches), o.Account),
		inLate:  map[string]struct{}{},
	}
	s.head.Store(&bounds.Last)
	s.Slots = newSlots(s.live, &s.bans)
	s.pages = newPages(ctx, log, &s.Slots, o.Budget.Share(budget.Pages))
	s.matcher.Go(func() { s.matchLate(ctx) })
	go s.pump(ctx, bounds.Last)
	return s, nil
}

// Close ends the set with [ErrClosed] and waits for its goroutines. Subscribers may still
// leave afterwards.
func (s *Set) Close() {
	s.stop()
	<-s.pumped
	s.pages.close()
	s.matcher.Wait()
}

// Err returns nil while the set delivers, then why it stopped: [ErrClosed], or the log's
// error.
func (s *Set) Err() error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Done returns a channel that is closed when the set has stopped delivering.
func (s *Set) Done() <-chan struct{} { return s.pumped }

// Live returns how background work learns whether events are being published.
func (s *Set) Live() *pace.Activity { return s.live }

// Totals returns the sums over all feeds.
func (s *Set) Totals() *Totals { return &s.totals }

// Join adds a subscriber to the feed of a request, which is new if nobody else asks for
// the same. The subscriber must leave it, see [Cursor.Close] and [Feed.Leave]. The error
// is that of [Set.Err], [route.ErrTooManyTemplates] or [route.ErrNoMemory].
func (s *Set) Join(r Request) (*Feed, error) {
	f := newFeed(s, r)
	s.enter()
	defer s.door.Unlock()
	defer s.mu.Unlock()
	if err := s.Err(); err != nil {
		return nil, err
	}
	if known := s.feeds[f.key]; known != nil {
		f = known
	} else if err := s.router.Add(&f.subscription); err != nil {
		return nil, err
	} else {
		f.start = s.Head()
		s.feeds[f.key] = f
		s.totals.feeds.Add(1)
	}
	f.refs++
	s.members++
	return f, nil
}

// part removes the subscriber of w from its feed, once. It reports whether this call did
// so.
func (s *Set) part(f *Feed, w *Waiter) bool {
	s.enter()
	defer s.door.Unlock()
	defer s.mu.Unlock()
	if w.left {
		return false
	}
	w.left = true
	if f.refs--; f.refs == 0 {
		s.router.Remove(&f.subscription)
		delete(s.feeds, f.key)
		s.totals.feeds.Add(-1)
		s.pages.forgetFeed(f)
	}
	s.members--
	return true
}

// Members returns how many subscribers all feeds have.
func (s *Set) Members() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members
}

// enter locks door and mu for a subscriber that comes or goes. Because of door, only one
// of them at a time waits for mu, and it lets the pump go first. Without door, the pump
// would wait for all of them at each event, because a mutex goes to the goroutine that
// has waited longest.
func (s *Set) enter() {
	s.door.Lock()
	for s.pumps.Load() { // the pump gets mu within microseconds
		runtime.Gosched()
	}
	s.mu.Lock()
}

// Ban replaces what is banned; nil means nothing. It empties the windows and drops cached
// pages, because they hold events that are withheld now, or lack events that no longer
// are.
func (s *Set) Ban(b *Banned) {
	s.mu.Lock()
	s.bans.Store(b)
	s.router.Ban(b.selectors())
	for _, f := range s.feeds {
		f.restart(s.Head())
	}
	s.mu.Unlock()
	s.pages.forget()
}

// Banned returns what is banned; nil means nothing.
func (s *Set) Banned() *Banned { return s.bans.Load() }

// Forget drops cached pages, because events were deleted.
func (s *Set) Forget() { s.pages.forget() }

// SetWork sets how much work the pump may do to match one event, see [route.DefaultWork].
func (s *Set) SetWork(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.router.Work = n
}

// Late returns how many topics have templates that are still to be tried.
func (s *Set) Late() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.inLate)
}

// Head returns the position of the newest event that was routed to the feeds.
func (s *Set) Head() eventlog.ID { return *s.head.Load() }

// HeadRouted returns the head once the event that is being routed is behind it: a feed
// wakes its readers before the head moves.
func (s *Set) HeadRouted() eventlog.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Head()
}

// Routed returns the head, and whether it is at or after a position: an event may be in
// the log, and its ID known, before it has been routed. If it is before, w is woken when
// more has been routed. The error is that of [Set.Err].
func (s *Set) Routed(place eventlog.ID, w Waker) (head eventlog.ID, ok bool, err error) {
	if head := s.Head(); place.Compare(head) <= 0 { // the usual case, without the lock: many cursors ask at once
		return head, true, s.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	head = s.Head()
	if err := s.Err(); err != nil || place.Compare(head) <= 0 {
		return head, true, err
	}
	s.ahead = append(s.ahead, w)
	return head, false, nil
}

// moveHead records that all events up to a position have been routed. s.mu is held.
func (s *Set) moveHead(to eventlog.ID) {
	s.head.Store(&to)
	for _, w := range s.ahead {
		w.Wake()
	}
	clear(s.ahead)
	s.ahead = s.ahead[:0]
}

// WindowBytes returns how many bytes windows hold.
func (s *Set) WindowBytes() int64 { return s.windows.used() }
