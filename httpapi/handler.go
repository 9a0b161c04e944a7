package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/internal/park"
)

// Options configures the API. The zero value works: it asks for no tokens.
type Options struct {
	Heartbeat    time.Duration // the longest silence on a stream before a heartbeat; 0: 15 s
	WriteTimeout time.Duration // how long a client may take no byte before its stream or answer ends; 0: 30 s
	Retry        time.Duration // the reconnection time that streams begin with; 0: 3 s
	MaxBody      int64         // the largest body of a publish request, in bytes; 0: 1 MiB
	Auth         *auth.Auth    // checks tokens; nil: everything is allowed
	Logger       *slog.Logger  // nil: slog.Default()
	Version      string        // the program's version in GET /stats; "": left out

	// Reserved reports whether the API refuses events for a topic, because another
	// dialect publishes its own events there. nil: no topic is reserved.
	Reserved func(topic string) bool

	// Unparked gives every stream a goroutine, even where the system and the connection
	// allow it to be parked (see internal/park).
	Unparked bool

	Budget     *budget.Budget         // the account of memory that clients make the API hold; nil: the hub's
	Collectors []prometheus.Collector // more collectors for GET /metrics
}

// An API is the HTTP handler of a hub. Make one with [New].
type API struct {
	api *api
	http.Handler
	lot *park.Lot
}

// Close ends the parked streams that the hub has not ended yet, and waits for them.
func (a *API) Close() { a.lot.Close() }

type api struct {
	Options
	hub      *hub.Hub
	lot      *park.Lot
	refusals *rate.Limiter  // log lines about refusals
	crowded  rate.Sometimes // log lines about missing descriptors
	busy     *rate.Limiter  // log lines of logBusy

	exhausted rate.Sometimes // log lines about missing memory for streams

	audience chan struct{} // holds a token while a request has the hub's audience in memory
}

// New returns the handler of h's native API: /events, /events/NAME, /topics,
// /subscriptions, /tickets, /stats, /metrics, /healthz and /readyz. Other paths get a
// 404.
func New(h *hub.Hub, o Options) *API {
	a := &api{Options: o, hub: h, refusals: newRefusals(), busy: rate.NewLimiter(1, 1), audience: make(chan struct{}, 1)}
	a.crowded.Interval, a.exhausted.Interval = time.Minute, time.Minute
	a.Heartbeat = orDefault(o.Heartbeat, 15*time.Second)
	a.WriteTimeout = orDefault(o.WriteTimeout, 30*time.Second)
	a.Retry = orDefault(o.Retry, 3*time.Second)
	a.MaxBody = orDefault(o.MaxBody, 1<<20)
	if a.Logger == nil {
		a.Logger = slog.Default()
	}
	if a.Budget == nil {
		a.Budget = h.Budget()
	}
	a.lot = park.New(h, park.Options{Heartbeat: a.Heartbeat, WriteTimeout: a.WriteTimeout, Retry: a.Retry, Logger: a.Logger, Held: a.Budget.Share(budget.Connections)})
	mux := http.NewServeMux()
	mux.HandleFunc("/topics", OnlyGet(a.topics))
	mux.HandleFunc("/subscriptions", a.operator(a.presence))
	mux.HandleFunc("/tickets", a.tickets)
	mux.HandleFunc("/stats", OnlyGet(a.operator(a.stats)))
	mux.HandleFunc("/metrics", OnlyGet(a.operator(metricsHandler(h, a.Budget, o.Collectors).ServeHTTP)))
	mux.HandleFunc("/healthz", OnlyGet(a.healthz))
	mux.HandleFunc("/readyz", OnlyGet(a.readyz))
	mux.HandleFunc("/", NotFound)
	return &API{api: a, lot: a.lot, Handler: TimeWrites(BoundBody(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == eventsPath, pathTopic(r) != "":
			a.events(w, r)
		case strings.HasPrefix(r.URL.Path, eventsPath+"/"): // the mux would clean the slashes of an IRI, which makes it another topic
			NotFound(w, r)
		default:
			mux.ServeHTTP(w, r)
		}
	}), a.WriteTimeout)}
}

const eventsPath = "/events"

// pathTopic returns the topic that is the single path segment after /events/, or "".
// "." and ".." are no topics, because clients resolve them (RFC 3986 §5.2.4).
func pathTopic(r *http.Request) string {
	written := r.URL.Path
	if r.URL.RawPath != "" { // an escaped slash is part of the name
		written = r.URL.EscapedPath()
	}
	name, ok := strings.CutPrefix(written, eventsPath+"/")
	if !ok || name == "." || name == ".." || strings.Contains(name, "/") {
		return ""
	}
	return strings.TrimPrefix(r.URL.Path, eventsPath+"/")
}

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

// NotFound answers 404 with a problem that names the API's paths. A handler can use it
// for its other routes.
func NotFound(w http.ResponseWriter, r *http.Request) {
	detail := "There is nothing here. Subscribe and publish at /events, or /events/NAME for a topic with a plain name."
	if rest, ok := strings.CutPrefix(r.URL.Path, eventsPath+"/"); ok {
		detail = fmt.Sprintf("/events/NAME is for plain names; write this topic as /events?topic=%s.", url.QueryEscape(rest))
		if rest == "" {
			detail = "Name a topic, as in /events/NAME or /events?topic=NAME."
		}
	}
	NewProblem(http.StatusNotFound, detail).Write(w)
}

func (a *api) events(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		a.get(w, r)
	case http.MethodPost:
		a.publish(w, r)
	case http.MethodDelete:
		a.operator(a.remove)(w, r)
	default:
		w.Header().Set("Allow", "DELETE, GET, HEAD, POST")
		NewProblem(http.StatusMethodNotAllowed, "GET subscribes, POST publishes, DELETE removes.").Write(w)
	}
}

// healthz reports whether the hub works at all: 200, or 503 with the error that stopped
// it.
func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := a.hub.Err(); err != nil {
		NewProblem(http.StatusServiceUnavailable, sentence(err.Error())).Write(w)
		return
	}
	plain(w, "ok\n")
}

// readyz reports whether new clients should be sent here: 503 while the hub drains.
func (a *api) readyz(w http.ResponseWriter, r *http.Request) {
	if _, draining := a.hub.Draining(); draining {
		NewProblem(http.StatusServiceUnavailable, "This hub is shutting down.").Write(w)
		return
	}
	a.healthz(w, r)
}

func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(text)) // the client may be gone
}

func orDefault[T time.Duration | int64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// sentence gives an error's text a capital and a full stop.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}
