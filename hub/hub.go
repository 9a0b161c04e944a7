package hub

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// ErrClosed reports a hub that was closed or whose log has failed.
var ErrClosed = errors.New("hub: closed")

// Options configures a [Hub]. The zero value works.
type Options struct {
	Logger *slog.Logger // nil: slog.Default()
}

// A Hub publishes to one log and delivers from it. Its methods may be called
// by several goroutines at once.
type Hub struct {
	log    eventlog.Log
	logger *slog.Logger
	stop   context.CancelFunc
	pumped chan struct{} // closed when the pump has ended
	drain  drain

	mu          sync.Mutex // guards all below
	router      router
	subscribers int
	head        eventlog.ID // every event up to it has been routed
	err         error       // why the pump ended
}

// New returns a hub on log, which stays the caller's to close, after the hub.
func New(log eventlog.Log, o Options) (*Hub, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	bounds, err := log.Bounds(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	h := &Hub{
		log:    log,
		logger: o.Logger,
		stop:   cancel,
		pumped: make(chan struct{}),
		head:   bounds.Last,
		router: newRouter(),
		drain:  drain{begun: make(chan struct{}), gone: make(chan struct{})},
	}
	go h.pump(ctx, bounds.Last)
	return h, nil
}

// Close ends every subscriber and waits for the hub's own work to end.
func (h *Hub) Close() error {
	h.stop()
	<-h.pumped
	return nil
}

// Err tells why the hub has stopped delivering, or nil while it does.
func (h *Hub) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Done is closed when the hub delivers no more.
func (h *Hub) Done() <-chan struct{} { return h.pumped }

// pump reads the log's tail, the only reader that does, and wakes whom each
// event concerns.
func (h *Hub) pump(ctx context.Context, after eventlog.ID) {
	defer close(h.pumped)
	for {
		err := h.route(ctx, after)
		var trimmed *eventlog.ErrTrimmed
		if errors.As(err, &trimmed) { // retention overtook the pump: subscribers find out for themselves
			after = trimmed.Origin
			h.wakeAll(after)
			continue
		}
		h.mu.Lock()
		h.err = ErrClosed
		if err != nil && ctx.Err() == nil && !errors.Is(err, eventlog.ErrClosed) {
			h.err = err
			h.logger.Error("the event log failed", "err", err)
		}
		h.mu.Unlock()
		return
	}
}

func (h *Hub) route(ctx context.Context, after eventlog.ID) error {
	for e, err := range h.log.Tail(ctx, after) {
		if err != nil {
			return err
		}
		h.mu.Lock()
		h.head = e.ID
		h.router.wake(e.Topics)
		h.mu.Unlock()
	}
	return ctx.Err()
}

func (h *Hub) wakeAll(head eventlog.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.head = head
	h.router.wakeAll()
}

func (h *Hub) headNow() eventlog.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.head
}

// Bounds returns those of the log.
func (h *Hub) Bounds(ctx context.Context) (eventlog.Bounds, error) { return h.log.Bounds(ctx) }

// sleep returns a timer's channel, or nil, which blocks for ever, for d < 0.
func sleep(d time.Duration) (<-chan time.Time, func() bool) {
	if d < 0 {
		return nil, func() bool { return false }
	}
	t := time.NewTimer(d)
	return t.C, t.Stop
}
