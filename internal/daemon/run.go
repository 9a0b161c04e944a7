package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/console"
	"github.com/tidings-sse/tidings/console/demo"
	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/mercure"
)

// Run runs a hub until ctx ends, then drains it. It returns when everything that it
// started has ended: nil after a clean stop, and an error if the hub cannot start or
// its log fails. c must have passed [Config.Validate]. Run prints the banner to out.
func Run(ctx context.Context, c *Config, out io.Writer, logger *slog.Logger) (err error) {
	demoOpts, err := demoOptions(c, logger)
	if err != nil {
		return err
	}
	ln, err := listen(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = ln.Close() }() // the server has closed it, unless it never ran
	// Errors in keys are reported before a log is created.
	memory := budget.New(c.memory.clients)
	memory.LimitConnections(c.memory.connections)
	connections := memory.Share(budget.Connections)
	authority, err := newAuth(ctx, c, memory, logger)
	if err != nil {
		return err
	}
	certificates, err := certificates(c, logger)
	if err != nil {
		return err
	}

	c.limitRuntime(logger)
	clock := &eventlog.Clock{Logger: logger}
	log, err := openLog(c, clock, logger)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := log.Close(); !errors.Is(closeErr, eventlog.ErrFailed) { // it was reported when the log failed
			err = errors.Join(err, closeErr)
		}
	}()
	h, err := hub.New(log, hub.Options{Logger: logger, Budget: memory})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()

	metrics := collectors(log, clock)
	if c.MercureSubscriptions {
		presence := mercure.Watch(h, mercure.PresenceOptions{Logger: logger, Retention: c.retention(), Budget: memory})
		defer presence.Close()
		metrics = append(metrics, presence)
	}
	e := newEdge(c, h, authority, memory, logger)
	defer e.Close()
	spareProcessors()
	leaving := make(chan struct{}) // ends the demos' own streams
	all := handler(c, e, metrics, demoOpts.Plug, leaving, logger)
	srv := newServer(c, certificates, edge.BoundRequests(all, connections, requestBytes, c.Retry, slowDown), logger)
	served := make(chan error, 1)
	go func() { served <- serve(srv, leaveRoom(ln, connections, certificates != nil, logger)) }()

	demos := startDemos(c, h, demoOpts)
	defer demos()

	tidying, untidy := context.WithCancel(ctx)
	var tidied sync.WaitGroup
	tidied.Go(func() { tidy(tidying, h) })
	defer tidied.Wait()
	defer untidy()

	banner(out, c, ln.Addr())
	select {
	case <-ctx.Done():
	case err := <-served:
		return err
	case <-h.Done():
		shutDown(srv, time.Second, logger) // publishers in flight still get an answer
		return fmt.Errorf("the hub has stopped: %w", h.Err())
	}
	return stop(c, h, srv, leaving, logger)
}

// spareProcessors doubles GOMAXPROCS, once however many hubs a process runs, unless the
// operator has set it. A shard blocked in epoll_wait, or a stream that reads history,
// occupies a P without needing a CPU, and without an idle P the runtime polls the
// network only every 10 ms. Call it after the hub and the API have sized themselves.
var spareProcessors = sync.OnceFunc(func() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	}
})

// stop drains the streams first, while new requests still get an answer, and then lets
// publishers in flight finish.
func stop(c *Config, h *hub.Hub, srv *http.Server, leaving chan<- struct{}, logger *slog.Logger) error {
	logger.Info("draining", "over", c.Drain)
	ctx, cancel := context.WithTimeout(context.Background(), c.Drain+5*time.Second)
	defer cancel()
	if err := h.Drain(ctx, c.Drain, c.Retry); err != nil {
		logger.Warn("some streams did not end in time", "err", err)
	}
	close(leaving)
	shutDown(srv, 5*time.Second, logger)
	return nil
}

// shutDown waits for the answers to requests in flight, for at most within, and then
// closes the server.
func shutDown(srv *http.Server, within time.Duration, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		logger.Warn("some requests did not end in time", "err", err)
		_ = srv.Close()
	}
}

func (c *Config) retention() eventlog.Retention {
	return eventlog.Retention{Age: c.RetainAge, Bytes: int64(c.RetainBytes), Events: c.RetainEvents}
}

// openLog opens the configured engine.
func openLog(c *Config, clock *eventlog.Clock, logger *slog.Logger) (eventlog.Log, error) {
	retention := c.retention()
	if c.Store == "memory" {
		return eventlog.NewMemoryWith(retention, clock), nil
	}
	minFree := int64(c.MinFree)
	if minFree == 0 {
		minFree = -1 // no minimum; to the engine, 0 means its default
	}
	return disklog.Open(c.Data, disklog.Options{
		Retention: retention,
		Relaxed:   c.Durability == "relaxed",
		MinFree:   minFree,
		NewEpoch:  c.NewEpoch,
		Clock:     clock,
		Memory:    c.memory.store,
		Logger:    logger,
	})
}

// collectors returns the collectors of the log's clock, and of the engine if it has
// any.
func collectors(log eventlog.Log, clock *eventlog.Clock) []prometheus.Collector {
	all := []prometheus.Collector{prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "tidings_log_clock_steps_total",
		Help: "Steps of the system's clock by more than a minute, which the log did not follow.",
	}, func() float64 { return float64(clock.Steps()) })}
	if c, ok := log.(prometheus.Collector); ok {
		all = append(all, c)
	}
	return all
}

func newEdge(c *Config, h *hub.Hub, authority *auth.Auth, b *budget.Budget, logger *slog.Logger) *edge.Edge {
	return edge.New(h, edge.Options{
		Heartbeat:    c.Heartbeat,
		WriteTimeout: c.WriteTimeout,
		Retry:        c.Retry,
		MaxBody:      int64(c.MaxBody),
		Auth:         authority,
		Logger:       logger,
		Reserved:     mercure.Reserved,
		Unparked:     c.Unparked,
		Budget:       b,
	})
}

// A route is a handler and the paths that it serves.
type route struct {
	serves  func(path string) bool
	handler http.Handler
}

// handler serves the dialects and the pages behind one [edge.Access]. The first route
// that serves a path gets it. A mux could not do that: it cleans paths, and would change
// the slashes of a topic.
func handler(c *Config, e *edge.Edge, metrics []prometheus.Collector, plug *demo.Plug, leaving <-chan struct{}, logger *slog.Logger) http.Handler {
	routes := []route{
		{mercure.Serves, mercure.New(e, mercure.Options{QueryToken: c.MercureQueryToken, Subscriptions: c.MercureSubscriptions})},
		{c.servesPage, edge.OnlyGet(pages(c, plug, leaving).ServeHTTP)},
		{func(string) bool { return true }, httpapi.New(e, httpapi.Options{Version: Version(), Collectors: metrics})},
	}
	loopback, _ := c.loopback() // validated
	access := edge.Access{Loopback: loopback && !c.NoAuth && e.Auth == nil, Origins: c.CORSOrigin, Headers: c.CORSHeader, Logger: logger}
	return edge.Bound(access.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, route := range routes {
			if route.serves(r.URL.Path) {
				route.handler.ServeHTTP(w, r)
				return
			}
		}
	})), c.WriteTimeout)
}

// servesPage reports whether a path is one of the console, the welcome or the demos.
func (c *Config) servesPage(path string) bool {
	return path == "/" || strings.HasPrefix(path, strings.TrimSuffix(console.Path, "/")) ||
		c.Demo && (strings.HasPrefix(path, "/demo") || path == demo.DatesPath)
}

// pages returns the handler of the pages, see servesPage.
func pages(c *Config, plug *demo.Plug, leaving <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(console.Path, console.Handler())
	if !c.Demo {
		mux.HandleFunc("GET /{$}", welcome)
		return mux
	}
	dates := demo.Dates(leaving)
	mux.Handle("/demo/", demo.Handler())
	if plug != nil {
		mux.Handle("GET /demo/plug/events", plug.Events(leaving))
	}
	mux.Handle("GET "+demo.DatesPath, dates)
	mux.Handle("GET /{$}", demo.Root(dates))
	return mux
}
