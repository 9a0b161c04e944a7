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

// Options configures the API. The zero value works.
type Options struct {
	Heartbeat    time.Duration // how long a stream may be silent; 0: 15 s
	WriteTimeout time.Duration // how long a stream may take no byte; 0: 30 s
	Retry        time.Duration // the reconnection time that streams begin with; 0: 3 s
	MaxBody      int64         // bytes of a publish request; 0: 1 MiB
	Auth         *auth.Auth    // who may do what; nil: everyone everything
	Logger       *slog.Logger  // nil: slog.Default()
	Version      string        // what GET /stats calls the program

	// Reserved reports whether nobody may publish to a topic from outside,
	// since another dialect's own events are there; nil: none is.
	Reserved func(topic string) bool

	// Unparked gives every stream a goroutine, also where the system and the
	// connection could do without (see internal/park).
	Unparked bool

	Budget     *budget.Budget         // what clients make the API hold is counted there; nil: the hub's
	Collectors []prometheus.Collector // of more for GET /metrics
}

// An API is the handler of a hub's resources.
type API struct {
	api *api
	http.Handler
	lot *park.Lot
}

// Close ends the streams that the hub has not ended yet, and waits until they
// are gone.
func (a *API) Close() { a.lot.Close() }

type api struct {
	Options
	hub      *hub.Hub
	lot      *park.Lot
	refusals *rate.Limiter  // in the log
	crowded  rate.Sometimes // likewise, that there is no descriptor for streams
	busy     *rate.Limiter  // likewise, see logBusy

	exhausted rate.Sometimes // likewise, that there is no memory for streams

	audience chan struct{} // holds a token while a request knows who listens to what
}

// New returns the API on h: /events, /events/NAME, /topics, /subscriptions,
// /stats, /metrics, /healthz and /readyz.
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
		case strings.HasPrefix(r.URL.Path, eventsPath+"/"): // the mux would clean an IRI's slashes, and lead to another topic
			NotFound(w, r)
		default:
			mux.ServeHTTP(w, r)
		}
	}), a.WriteTimeout)}
}

const eventsPath = "/events"

// pathTopic returns the topic that a request's path names, which is one segment
// of it, or "". Dots alone are none: clients resolve them (RFC 3986 §5.2.4).
func pathTopic(r *http.Request) string {
	written := r.URL.Path
	if r.URL.RawPath != "" { // a slash may be escaped
		written = r.URL.EscapedPath()
	}
	name, ok := strings.CutPrefix(written, eventsPath+"/")
	if !ok || name == "." || name == ".." || strings.Contains(name, "/") {
		return ""
	}
	return strings.TrimPrefix(r.URL.Path, eventsPath+"/")
}

// OnlyGet answers 405 with a problem to all methods but GET and HEAD.
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

// NotFound answers 404 with a problem that names what there is.
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

// healthz tells whether the process does its work at all.
func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := a.hub.Err(); err != nil {
		NewProblem(http.StatusServiceUnavailable, sentence(err.Error())).Write(w)
		return
	}
	plain(w, "ok\n")
}

// readyz tells whether new clients should be sent here.
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
