package edge

import (
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/internal/park"
)

// Options configures an [Edge]. The zero value works: it asks for no tokens.
type Options struct {
	Heartbeat    time.Duration // the longest silence on a stream before a heartbeat; 0: 15 s
	WriteTimeout time.Duration // how long a client may take no byte before its stream or answer ends; 0: 30 s
	Retry        time.Duration // the reconnection time that streams begin with; 0: 3 s
	MaxBody      int64         // the largest body of a request, in bytes; 0: 1 MiB
	Auth         *auth.Auth    // checks tokens; nil: everything is allowed
	Logger       *slog.Logger  // nil: slog.Default()

	// Reserved reports whether clients may not publish to a topic, because a dialect
	// publishes its own events there. nil: no topic is reserved.
	Reserved func(topic string) bool

	// Unparked gives every stream a goroutine, even where the system and the connection
	// allow it to be parked (see internal/park).
	Unparked bool

	Budget *budget.Budget // the account of memory that clients make the hub hold; nil: the hub's
}

// An Edge is what the dialects of one hub share. Make one with [New]. Its fields are the
// options, with their defaults; do not change them.
type Edge struct {
	Options
	hub      *hub.Hub
	lot      *park.Lot
	refusals *rate.Limiter  // log lines about refusals
	crowded  rate.Sometimes // log lines about missing descriptors
	busy     *rate.Limiter  // log lines of logBusy

	exhausted rate.Sometimes // log lines about missing memory for streams
}

// New returns the edge of h.
func New(h *hub.Hub, o Options) *Edge {
	e := &Edge{Options: o, hub: h, refusals: newRefusals(), busy: rate.NewLimiter(1, 1)}
	e.crowded.Interval, e.exhausted.Interval = time.Minute, time.Minute
	e.Heartbeat = orDefault(o.Heartbeat, 15*time.Second)
	e.WriteTimeout = orDefault(o.WriteTimeout, 30*time.Second)
	e.Retry = orDefault(o.Retry, 3*time.Second)
	e.MaxBody = orDefault(o.MaxBody, 1<<20)
	if e.Logger == nil {
		e.Logger = slog.Default()
	}
	if e.Budget == nil {
		e.Budget = h.Budget()
	}
	e.lot = park.New(h, park.Options{Heartbeat: e.Heartbeat, WriteTimeout: e.WriteTimeout, Retry: e.Retry, Logger: e.Logger, Held: e.Budget.Share(budget.Connections)})
	return e
}

// Close ends the parked streams that the hub has not ended yet, and waits for them.
func (e *Edge) Close() { e.lot.Close() }

// Hub returns the hub.
func (e *Edge) Hub() *hub.Hub { return e.hub }

// OnlyGet passes GET and HEAD requests to next, and answers others with 405 and a
// problem.
func OnlyGet(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			NewProblem(http.StatusMethodNotAllowed, "This can be read with GET, and nothing else.").Write(w)
			return
		}
		next(w, r)
	}
}

func orDefault[T time.Duration | int64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}
