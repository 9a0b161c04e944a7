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
	api := newAPI(c, h, authority, memory, metrics, logger)
	defer api.Close()
	spareProcessors()
	leaving := make(chan struct{}) // ends the demos' own streams
	all := handler(c, dialects(c, h, api, authority), authority, demoOpts.Plug, leaving, logger)
	srv := newServer(c, certificates, httpapi.BoundRequests(all, connections, requestBytes, c.Retry, slowDown), logger)
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

func newAPI(c *Config, h *hub.Hub, authority *auth.Auth, b *budget.Budget, metrics []prometheus.Collector, logger *slog.Logger) *httpapi.API {
	return httpapi.New(h, httpapi.Options{
		Heartbeat:    c.Heartbeat,
		WriteTimeout: c.WriteTimeout,
		Retry:        c.Retry,
		MaxBody:      int64(c.MaxBody),
		Auth:         authority,
		Logger:       logger,
		Version:      Version(),
		Unparked:     c.Unparked,
		Reserved:     mercure.Reserved,
		Budget:       b,
		Collectors:   metrics,
	})
}

// dialects serves Mercure's path besides the native API.
func dialects(c *Config, h *hub.Hub, api *httpapi.API, authority *auth.Auth) http.Handler {
	m := mercure.New(h, api, mercure.Options{Auth: authority, QueryToken: c.MercureQueryToken, Subscriptions: c.MercureSubscriptions})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mercure.Serves(r.URL.Path) {
			m.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// handler combines the packages' handlers behind one [httpapi.Access].
func handler(c *Config, api http.Handler, authority *auth.Auth, plug *demo.Plug, leaving <-chan struct{}, logger *slog.Logger) http.Handler {
	pages := http.NewServeMux()
	pages.Handle(console.Path, console.Handler())
	pages.HandleFunc("GET /{$}", welcome)
	if c.Demo {
		dates := demo.Dates(leaving)
		pages = http.NewServeMux()
		pages.Handle(console.Path, console.Handler())
		pages.Handle("/demo/", demo.Handler())
		if plug != nil {
			pages.Handle("GET /demo/plug/events", plug.Events(leaving))
		}
		pages.Handle("GET /test/server-sent-events", dates)
		pages.Handle("GET /{$}", demo.Root(dates))
	}
	loopback, _ := c.loopback() // validated
	access := httpapi.Access{Loopback: loopback && !c.NoAuth && authority == nil, Origins: c.CORSOrigin, Headers: c.CORSHeader, Logger: logger}
	boundedPages := httpapi.BoundBody(httpapi.OnlyGet(pages.ServeHTTP))
	return httpapi.TimeWrites(access.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only their own paths go to the pages, because a mux cleans paths and would
		// change the slashes of a topic.
		if r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, strings.TrimSuffix(console.Path, "/")) || c.Demo && (strings.HasPrefix(r.URL.Path, "/demo") || r.URL.Path == "/test/server-sent-events") {
			boundedPages.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})), c.WriteTimeout)
}
