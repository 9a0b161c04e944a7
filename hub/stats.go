package hub

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
)

// counters count what a hub has done since New. Frequent events are added once per batch.
type counters struct {
	started                              time.Time
	published, publishedBytes, duplicate atomic.Uint64
	connects                             atomic.Uint64
	disconnects                          [reasons]atomic.Uint64
	catchUps                             atomic.Uint64
	lateMatches                          atomic.Uint64
	gaps                                 [3]atomic.Uint64 // by index in gapReasons
	latency                              histogram

	_                          [64]byte // keeps what follows on cache lines of its own
	deliveries, deliveredBytes atomic.Uint64
}

// totals are sums over all feeds, updated where a feed changes. Adding them up on demand
// would hold up the pump for as long as it takes to visit every feed.
type totals struct {
	feeds    atomic.Int64
	attached atomic.Int64 // streams attached to a window
	behind   atomic.Int64 // those of them with something to send
}

var gapReasons = [3]GapReason{Trimmed, OtherEpoch, Unknown}

func (c *counters) gap(reason GapReason) {
	for i, r := range gapReasons {
		if r == reason {
			c.gaps[i].Add(1)
		}
	}
}

func (c *counters) countPublished(recs []eventlog.Record, results []eventlog.Result) {
	var events, bytes, duplicates uint64
	for i, r := range results {
		switch {
		case r.Err != nil:
		case r.Duplicate:
			duplicates++
		default:
			events++
			bytes += uint64(len(recs[i].Data))
		}
	}
	c.published.Add(events)
	c.publishedBytes.Add(bytes)
	c.duplicate.Add(duplicates)
}

// delivered counts events sent on one stream, and their bytes.
func (c *counters) delivered(events, bytes int) {
	c.deliveries.Add(uint64(events))
	c.deliveredBytes.Add(uint64(bytes))
}

// A tally is what one goroutine has delivered since it last updated the shared counters.
type tally struct {
	to            *counters
	events, bytes int

	// Latencies of writes that fall into one bucket of the histogram.
	bucket  int
	writes  uint64
	latency time.Duration
}

// add records a write of events, the oldest of which was appended at the given time, in
// Unix nanoseconds.
func (t *tally) add(events, bytes int, oldest int64) {
	t.events += events
	t.bytes += bytes
	latency := max(time.Duration(time.Now().UnixNano()-oldest), 0) // the two clocks may differ
	if bucket := bucketOf(latency); bucket != t.bucket {
		t.flush()
		t.bucket = bucket
	}
	t.writes++
	t.latency += latency
}

// flush adds the tally to the counters.
func (t *tally) flush() {
	if t.writes == 0 {
		return
	}
	t.to.delivered(t.events, t.bytes)
	t.to.latency.addAll(t.bucket, t.writes, t.latency)
	t.events, t.bytes, t.writes, t.latency = 0, 0, 0, 0
}

// Turnover returns how many streams have been opened since [New], and how many are open.
func (h *Hub) Turnover() (opened, open uint64) {
	return h.counters.connects.Load(), uint64(h.registry.size())
}

// StreamsVersion returns a text that changes whenever a stream opens or closes, and that
// differs between hubs.
func (h *Hub) StreamsVersion() string {
	return strconv.FormatInt(h.counters.started.UnixNano(), 36) + "-" + strconv.FormatUint(h.changes.Load(), 36)
}

// Stats is what a hub has done since [New], and what it holds now.
type Stats struct {
	Started time.Time

	Published, PublishedBytes uint64 // events, and bytes of their data
	Duplicates                uint64 // records that the log had already, by their key

	Streams     int // open streams
	Lagging     int // those of them that have events of the window still to send
	CatchingUp  int // those of them that read from the log
	Feeds       int // different subscriptions among streams and Go subscribers
	Connects    uint64
	Disconnects map[DisconnectReason]uint64

	Deliveries, DeliveredBytes uint64 // events sent on streams, and their encoded bytes
	CatchUps                   uint64 // how often a stream began to read from the log
	Gaps                       map[GapReason]uint64

	// Latency is the time from when an event was appended until it was written to a
	// stream's socket, for the oldest live event of each write.
	Latency Histogram

	LateMatches uint64 // topics whose templates could not all be tried before an event was delivered

	WindowBytes int // bytes held for streams that lag

	Templates     int // URI Templates kept compiled, for subscriptions, grants and bans
	TemplateBytes int // bytes that they take
	PageBytes     int // bytes held for streams that catch up
	Log           eventlog.Bounds
}

// Stats returns the hub's figures. The error is that of the log's Bounds; the other
// figures are valid even then.
func (h *Hub) Stats(ctx context.Context) (Stats, error) {
	c := &h.counters
	s := Stats{
		Started:        c.started,
		Published:      c.published.Load(),
		PublishedBytes: c.publishedBytes.Load(),
		Duplicates:     c.duplicate.Load(),
		Connects:       c.connects.Load(),
		Disconnects:    map[DisconnectReason]uint64{},
		Deliveries:     c.deliveries.Load(),
		DeliveredBytes: c.deliveredBytes.Load(),
		CatchUps:       c.catchUps.Load(),
		Gaps:           map[GapReason]uint64{},
		Latency:        c.latency.snapshot(),
		LateMatches:    c.lateMatches.Load(),
		WindowBytes:    int(h.windows.used()),
		Templates:      int(h.weights.templateCount.Load()),
		TemplateBytes:  int(h.weights.templateBytes.Load()),
		PageBytes:      int(h.budget.Share(budget.Pages).Used()),
	}
	for r := range reasons {
		s.Disconnects[r] = c.disconnects[r].Load()
	}
	for i, r := range gapReasons {
		s.Gaps[r] = c.gaps[i].Load()
	}
	s.Feeds, s.Lagging = int(h.totals.feeds.Load()), int(h.totals.behind.Load())
	s.Streams = h.registry.size()
	s.CatchingUp = max(s.Streams-int(h.totals.attached.Load()), 0)
	var err error
	s.Log, err = h.log.Bounds(ctx)
	return s, err
}
