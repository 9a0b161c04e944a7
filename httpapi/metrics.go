package httpapi

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/hub"
)

// metricsHandler serves the figures of the hub, the process and further collectors to
// Prometheus.
func metricsHandler(h *hub.Hub, b *budget.Budget, more []prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		hubCollector{h},
		memoryCollector{b},
		collectors.NewGoCollector(),
		&slowCollector{Collector: collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})},
	)
	registry.MustRegister(more...)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
}

// maxScrapes is how many scrapes are answered at a time; further ones are refused with
// 503.
const maxScrapes = 4

// A slowCollector collects at most once a second. The process's figures take
// milliseconds: the collector counts open files and reads the kernel's network statistics.
type slowCollector struct {
	prometheus.Collector

	mu      sync.Mutex
	at      time.Time
	metrics []prometheus.Metric
}

// Collect implements [prometheus.Collector].
func (c *slowCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) > time.Second {
		c.metrics = c.metrics[:0]
		found := make(chan prometheus.Metric)
		go func() {
			c.Collector.Collect(found)
			close(found)
		}()
		for m := range found {
			c.metrics = append(c.metrics, m)
		}
		c.at = time.Now()
	}
	for _, m := range c.metrics {
		ch <- m
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tidings_"+name, help, labels, nil)
}

var (
	streamsOpen    = desc("streams_open", "Open streams by how far behind they are.", "state")
	feeds          = desc("feeds", "Different subscriptions among the open streams.")
	connects       = desc("connects_total", "Streams that were opened.")
	disconnects    = desc("disconnects_total", "Streams that ended, by reason.", "reason")
	publishedTotal = desc("events_published_total", "Events that were published here.")
	publishedBytes = desc("published_bytes_total", "Bytes of the data of events that were published here.")
	duplicates     = desc("publish_duplicates_total", "Publishes of an event that was there already.")
	deliveries     = desc("deliveries_total", "Events sent on streams, each once for each stream.")
	deliveredBytes = desc("delivered_bytes_total", "Bytes of the events sent on streams.")
	publishToWrite = desc("publish_to_write_seconds", "From when an event was appended to when it was written to a stream, of the oldest event of each write.")
	catchUps       = desc("catch_ups_total", "Times that a stream began to read from the log.")
	gaps           = desc("gaps_total", "Gaps sent to subscribers, by reason.", "reason")
	lateMatches    = desc("late_matches_total", "Topics whose URI Templates took too long to try before an event was delivered: the streams that they may concern read the log.")
	templates      = desc("templates", "Different URI Templates kept compiled, for streams, grants and bans.")
	templateBytes  = desc("template_bytes", "Bytes of compiled URI Templates.")
	windowBytes    = desc("window_bytes", "Bytes held for streams that lag.")
	pageBytes      = desc("page_bytes", "Bytes held for streams that catch up.")
	logEvents      = desc("log_events", "Events that the log retains.")
	logBytes       = desc("log_bytes", "Bytes that the log retains.")
)

type hubCollector struct{ hub *hub.Hub }

func (c hubCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		streamsOpen, feeds, connects, disconnects, publishedTotal, publishedBytes, duplicates, deliveries,
		deliveredBytes, publishToWrite, catchUps, gaps, lateMatches, templates, templateBytes, windowBytes, pageBytes, logEvents, logBytes,
	} {
		ch <- d
	}
}

func (c hubCollector) Collect(ch chan<- prometheus.Metric) {
	s, err := c.hub.Stats(context.Background())
	if err != nil {
		ch <- prometheus.NewInvalidMetric(logEvents, err)
		return
	}
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	gauge(streamsOpen, float64(max(s.Streams-s.Lagging-s.CatchingUp, 0)), string(hub.CaughtUp))
	gauge(streamsOpen, float64(s.Lagging), string(hub.Lagging))
	gauge(streamsOpen, float64(s.CatchingUp), string(hub.CatchingUp))
	gauge(feeds, float64(s.Feeds))
	counter(connects, s.Connects)
	for reason, n := range s.Disconnects {
		counter(disconnects, n, string(reason))
	}
	counter(publishedTotal, s.Published)
	counter(publishedBytes, s.PublishedBytes)
	counter(duplicates, s.Duplicates)
	counter(deliveries, s.Deliveries)
	counter(deliveredBytes, s.DeliveredBytes)
	ch <- prometheus.MustNewConstHistogram(publishToWrite, s.Latency.Count, s.Latency.Sum.Seconds(), cumulative(&s.Latency))
	counter(catchUps, s.CatchUps)
	for reason, n := range s.Gaps {
		counter(gaps, n, string(reason))
	}
	counter(lateMatches, s.LateMatches)
	gauge(templates, float64(s.Templates))
	gauge(templateBytes, float64(s.TemplateBytes))
	gauge(windowBytes, float64(s.WindowBytes))
	gauge(pageBytes, float64(s.PageBytes))
	gauge(logEvents, float64(s.Log.Events))
	gauge(logBytes, float64(s.Log.Bytes))
}

var (
	memoryLimit   = desc("memory_limit_bytes", "Bytes that clients may make the hub hold in all; 0 if only each use has a limit.")
	memoryHeld    = desc("memory_bytes", "Bytes that clients make the hub hold, by use.", "use")
	memoryRefused = desc("memory_refused_total", "Times that there was no memory left for a use.", "use")
)

// A memoryCollector reports the memory held for clients.
type memoryCollector struct{ budget *budget.Budget }

func (c memoryCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- memoryLimit
	ch <- memoryHeld
	ch <- memoryRefused
}

func (c memoryCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(memoryLimit, prometheus.GaugeValue, float64(c.budget.Limit()))
	for _, use := range budget.Uses() {
		s := c.budget.Share(use)
		ch <- prometheus.MustNewConstMetric(memoryHeld, prometheus.GaugeValue, float64(s.Used()), use.String())
		ch <- prometheus.MustNewConstMetric(memoryRefused, prometheus.CounterValue, float64(s.Refused()), use.String())
	}
}

// cumulative returns a histogram in the fixed buckets that Prometheus needs: one an
// octave, from 64 µs to 67 s. No bucket of the hub's crosses their bounds.
func cumulative(h *hub.Histogram) map[float64]uint64 {
	buckets := map[float64]uint64{}
	for end := 64 * time.Microsecond; end < 70*time.Second; end *= 2 {
		n := uint64(0)
		for _, b := range h.Buckets {
			if b.UpTo <= end {
				n += b.Count
			}
		}
		buckets[end.Seconds()] = n
	}
	return buckets
}
