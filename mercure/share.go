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
	// presencePart is the divisor for the part of the log's retention that each class
	// may take: a twentieth.
	presencePart = 20
	// presenceBytes is how many bytes each class may take of a log without a limit in
	// bytes.
	presenceBytes = 64 << 20
	// recordOverhead is roughly how many bytes an event takes in the log besides its
	// data and its topic.
	recordOverhead = 300
	// lotBytes is how many bytes of updates are released at a time once retention drops
	// them.
	lotBytes = 64 << 10
)

// A presenceClass bounds the updates about some streams: how many a second, and how
// much of the log they take until retention drops them. Streams without a token, which
// anybody can open, are one class, and streams whose token names someone the other, so
// that the first cannot use up the share of the second.
type presenceClass struct {
	events, bytes *rate.Limiter
	most          presenceLot // in the log; 0 events: any number

	mu   sync.Mutex
	held presenceLot   // in the log, or on their way there
	lots []presenceLot // those in the log, in its order
}

// A presenceLot is a number of updates, the last of which has a position in the log.
type presenceLot struct {
	last          eventlog.ID
	bytes, events int64
}

// newPresenceClass returns a class with rates in events and bytes a second. Bursts may
// have ten times as many.
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

// reserve takes size bytes of the class's part of the log, and reports whether there
// was room.
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

// forget releases the lots that retention has dropped.
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

// release returns what a failed publish had reserved.
func (c *presenceClass) release(l presenceLot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held.bytes -= l.bytes
	c.held.events -= l.events
}

// keep records where in the log a lot is.
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

// Describe implements [prometheus.Collector]. The metrics' names begin with
// tidings_presence_.
func (p *Presence) Describe(ch chan<- *prometheus.Desc) {
	ch <- presencePublished
	ch <- presenceDropped
	ch <- presenceHeld
}

// Collect implements [prometheus.Collector]. It does not read the log.
func (p *Presence) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(presencePublished, prometheus.CounterValue, float64(p.published.Load()))
	ch <- prometheus.MustNewConstMetric(presenceDropped, prometheus.CounterValue, float64(p.dropped.Load()))
	for streams, c := range map[string]*presenceClass{"anonymous": p.anonymous, "named": p.named} {
		ch <- prometheus.MustNewConstMetric(presenceHeld, prometheus.GaugeValue, float64(c.heldBytes()), streams)
	}
}
