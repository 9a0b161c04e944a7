package hub

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
)

// counters count what a hub does since it began. What is hot adds once for a
// batch, not for an event.
type counters struct {
	started                              time.Time
	published, publishedBytes, duplicate atomic.Uint64
	connects                             atomic.Uint64
	disconnects                          [reasons]atomic.Uint64
	catchUps                             atomic.Uint64
	lateMatches                          atomic.Uint64
	gaps                                 [3]atomic.Uint64 // as gapReasons
	latency                              histogram

	_                          [64]byte // what follows has cache lines of its own
	deliveries, deliveredBytes atomic.Uint64
}

// totals count over all feeds, where the numbers change: to add them up would hold the
// pump for as long as it takes to visit each feed.
type totals struct {
	feeds    atomic.Int64
	attached atomic.Int64 // streams with a place in a window
	behind   atomic.Int64 // those of them that have something to take
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

// delivered counts events that go out on one stream, and their bytes.
func (c *counters) delivered(events, bytes int) {
	c.deliveries.Add(uint64(events))
	c.deliveredBytes.Add(uint64(bytes))
}

// A tally is what one goroutine has delivered since it last told the counters,
// which all share.
type tally struct {
	to            *counters
	events, bytes int

	// Latencies, while they are of one bucket.
	bucket  int
	writes  uint64
	latency time.Duration
}

// add notes a write of events of which the oldest was appended at a time, in
// Unix nanoseconds.
func (t *tally) add(events, bytes int, oldest int64) {
	t.events += events
	t.bytes += bytes
	latency := max(time.Duration(time.Now().UnixNano()-oldest), 0) // clocks may differ
	if bucket := bucketOf(latency); bucket != t.bucket {
		t.flush()
		t.bucket = bucket
	}
	t.writes++
	t.latency += latency
}

// flush tells the counters.
func (t *tally) flush() {
	if t.writes == 0 {
		return
	}
	t.to.delivered(t.events, t.bytes)
	t.to.latency.addAll(t.bucket, t.writes, t.latency)
	t.events, t.bytes, t.writes, t.latency = 0, 0, 0, 0
}

// Turnover returns how many streams were ever opened, and how many are open.
func (h *Hub) Turnover() (opened, open uint64) {
	return h.counters.connects.Load(), uint64(h.registry.size())
}

// StreamsVersion returns a text that is another one as soon as a stream has opened or
// closed, or the hub is another.
func (h *Hub) StreamsVersion() string {
	return strconv.FormatInt(h.counters.started.UnixNano(), 36) + "-" + strconv.FormatUint(h.changes.Load(), 36)
}

// Stats is what a hub has done since it began, and what it holds now.
type Stats struct {
	Started time.Time

	Published, PublishedBytes uint64 // events and their data
	Duplicates                uint64 // publishes of what was there already

	Streams     int // open
	Lagging     int // of them, those whose peer is slower than what is published
	CatchingUp  int // and those that read on from the log
	Feeds       int // different subscriptions among them
	Connects    uint64
	Disconnects map[DisconnectReason]uint64

	Deliveries, DeliveredBytes uint64 // events on streams, and their bytes
	CatchUps                   uint64 // times that a stream began to read from the log
	Gaps                       map[GapReason]uint64

	// Latency is from when an event was appended to when it was written to a
	// stream's socket, for the oldest event of each write.
	Latency Histogram

	LateMatches uint64 // topics whose templates took too long to try before an event was delivered

	WindowBytes int // held for streams that lag
	PageBytes   int // held for those that catch up
	Log         eventlog.Bounds
}

// Stats returns the hub's figures.
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
		WindowBytes:    int(h.budget.Share(budget.Windows).Used()),
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
