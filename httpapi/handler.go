package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidings-sse/tidings/hub"

	"github.com/tidings-sse/tidings/edge"
)

// Options configures an [API]. The zero value works.
type Options struct {
	Version    string                 // the program's version in GET /stats; "": left out
	Collectors []prometheus.Collector // more collectors for GET /metrics
}

// An API is the HTTP handler of a hub. Make one with [New].
type API struct {
	http.Handler
	edge *edge.Edge
}

// Edge returns the edge that the API was made on.
func (a *API) Edge() *edge.Edge { return a.edge }

// Close closes the edge, see [edge.Edge.Close].
func (a *API) Close() { a.edge.Close() }

type api struct {
	*edge.Edge
	hub      *hub.Hub
	version  string
	audience chan struct{} // holds a token while a request has the hub's audience in memory
}

// New returns the handler of the native API of e's hub: /events, /events/NAME, /topics,
// /subscriptions, /tickets, /stats, /metrics, /healthz and /readyz. Other paths get a
// 404.
func New(e *edge.Edge, o Options) *API {
	a := &api{Edge: e, hub: e.Hub(), version: o.Version, audience: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("/topics", edge.OnlyGet(a.topics))
	mux.HandleFunc("/subscriptions", a.operator(a.presence))
	mux.HandleFunc("/tickets", a.tickets)
	mux.HandleFunc("/stats", edge.OnlyGet(a.operator(a.stats)))
	mux.HandleFunc("/metrics", edge.OnlyGet(a.operator(metricsHandler(a.hub, a.Budget, o.Collectors).ServeHTTP)))
	mux.HandleFunc("/healthz", edge.OnlyGet(a.healthz))
	mux.HandleFunc("/readyz", edge.OnlyGet(a.readyz))
	mux.HandleFunc("/", NotFound)
	return &API{edge: e, Handler: edge.Bound(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	edge.NewProblem(http.StatusNotFound, detail).Write(w)
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
		edge.NewProblem(http.StatusMethodNotAllowed, "GET subscribes, POST publishes, DELETE removes.").Write(w)
	}
}

// healthz reports whether the hub works at all: 200, or 503 with the error that stopped
// it.
func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := a.hub.Err(); err != nil {
		edge.NewProblem(http.StatusServiceUnavailable, edge.Sentence(err.Error())).Write(w)
		return
	}
	plain(w, "ok\n")
}

// readyz reports whether new clients should be sent here: 503 while the hub drains.
func (a *api) readyz(w http.ResponseWriter, r *http.Request) {
	if _, draining := a.hub.Draining(); draining {
		edge.NewProblem(http.StatusServiceUnavailable, "This hub is shutting down.").Write(w)
		return
	}
	a.healthz(w, r)
}

func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(text)) // the client may be gone
}
