package mercure

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
)

const (
	// presencePart is the part of the log's retention that each class may take.
	presencePart = 20
	// presenceBytes is what each may take of a log without a limit in bytes.
	presenceBytes = 64 << 20
	// recordOverhead is roughly what an event takes of the log, in bytes, beside its data
	// and the text of its topic.
	recordOverhead = 300
	// lotBytes is how much is forgotten at a time as retention passes it.
	lotBytes = 64 << 10
)

// A presenceClass bounds the updates of some streams: how many a second, and what they
// take of the log, until retention has passed them. Streams without a token, which
// anybody can open, and streams of tokens that name someone have a class each, so that
// the first do not use up what the others may publish.
type presenceClass struct {
	events, bytes *rate.Limiter
	most          presenceLot // of the log; 0 events: any number

	mu   sync.Mutex
	held presenceLot   // in the log, or on their way there
	lots []presenceLot // those in the log, in its order
}

// A presenceLot is some updates, the last of which is at a place in the log.
type presenceLot struct {
	last          eventlog.ID
	bytes, events int64
}

// newPresenceClass returns one with rates in events and bytes a second, ten seconds of
// which may come at once.
func newPresenceClass(events, bytes int, r eventlog.Retention) *presenceClass {
	c := &presenceClass{
		events: rate.NewLimiter(rate.Limit(events), 10*events),
		bytes:  rate.NewLimiter(rate.Limit(bytes), 10*bytes),
		most:   presenceLot{bytes: presenceBytes},
	}
	if r.Bytes > 0 {
		c.most.bytes = r.Bytes / presencePart
	}
	if r.Events > 0 {
		c.most.events = max(r.Events/presencePart, 1)
	}
	return c
}

// allow reports whether updates may be published now.
func (c *presenceClass) allow(events, bytes int) bool {
	now := time.Now()
	return c.events.AllowN(now, events) && c.bytes.AllowN(now, bytes)
}

// reserve reports whether there is room in the log for an update of so many bytes.
func (c *presenceClass) reserve(size int64, h *hub.Hub) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.fits(size) {
		c.forget(h)
		if !c.fits(size) {
			return false
		}
	}
	c.held.bytes += size
	c.held.events++
	return true
}

func (c *presenceClass) fits(size int64) bool {
	return c.held.bytes+size <= c.most.bytes && (c.most.events == 0 || c.held.events < c.most.events)
}

// forget gives back what retention has passed.
func (c *presenceClass) forget(h *hub.Hub) {
	b, err := h.Bounds(context.Background())
	if err != nil { // the log has failed, or is closed
		return
	}
	n := 0
	for n < len(c.lots) && c.lots[n].last.Compare(b.Origin) <= 0 {
		c.held.bytes -= c.lots[n].bytes
		c.held.events -= c.lots[n].events
		n++
	}
	c.lots = c.lots[n:]
}

// release gives back what did not get into the log.
func (c *presenceClass) release(l presenceLot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held.bytes -= l.bytes
	c.held.events -= l.events
}

// keep notes where in the log updates are.
func (c *presenceClass) keep(l presenceLot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.lots); n > 0 && c.lots[n-1].bytes+l.bytes <= min(lotBytes, c.most.bytes/8) {
		last := &c.lots[n-1]
		last.last, last.bytes, last.events = l.last, last.bytes+l.bytes, last.events+l.events
		return
	}
	c.lots = append(c.lots, l)
}

func (c *presenceClass) heldBytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held.bytes
}

// presenceCounts count updates since the hub began.
type presenceCounts struct{ published, dropped atomic.Uint64 }

var (
	presencePublished = prometheus.NewDesc("tidings_presence_published_total", "Updates about subscriptions that were published.", nil, nil)
	presenceDropped   = prometheus.NewDesc("tidings_presence_dropped_total", "Updates about subscriptions that were not published, for they exceeded their rate or their part of the log.", nil, nil)
	presenceHeld      = prometheus.NewDesc("tidings_presence_log_bytes", "Bytes of the log that updates about subscriptions take, roughly.", []string{"streams"}, nil)
)

// Describe implements [prometheus.Collector].
func (p *Presence) Describe(ch chan<- *prometheus.Desc) {
	ch <- presencePublished
	ch <- presenceDropped
	ch <- presenceHeld
}

// Collect implements [prometheus.Collector].
func (p *Presence) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(presencePublished, prometheus.CounterValue, float64(p.published.Load()))
	ch <- prometheus.MustNewConstMetric(presenceDropped, prometheus.CounterValue, float64(p.dropped.Load()))
	for streams, c := range map[string]*presenceClass{"anonymous": p.anonymous, "named": p.named} {
		ch <- prometheus.MustNewConstMetric(presenceHeld, prometheus.GaugeValue, float64(c.heldBytes()), streams)
	}
}
