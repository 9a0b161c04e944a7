package hub

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
)

// counters count what a hub has done since New, apart from what its feeds count.
type counters struct {
	started                              time.Time
	published, publishedBytes, duplicate atomic.Uint64
	connects                             atomic.Uint64
	disconnects                          [len(reasons)]atomic.Uint64    // by index in reasons
	gaps                                 [len(gapReasons)]atomic.Uint64 // by index in gapReasons
}

var (
	reasons    = [...]DisconnectReason{ClientGone, Stalled, Drained, Kicked, TokenExpired, EventTrimmed, EventDeleted, Failed}
	gapReasons = [...]GapReason{Trimmed, OtherEpoch, Unknown}
)

func (c *counters) gap(reason GapReason) { c.gaps[slices.Index(gapReasons[:], reason)].Add(1) }

func (c *counters) disconnect(reason DisconnectReason) {
	c.disconnects[slices.Index(reasons[:], reason)].Add(1)
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
	c, t := &h.counters, h.feeds.Totals()
	s := Stats{
		Started:        c.started,
		Published:      c.published.Load(),
		PublishedBytes: c.publishedBytes.Load(),
		Duplicates:     c.duplicate.Load(),
		Connects:       c.connects.Load(),
		Disconnects:    map[DisconnectReason]uint64{},
		Deliveries:     t.Deliveries.Load(),
		DeliveredBytes: t.DeliveredBytes.Load(),
		CatchUps:       t.CatchUps.Load(),
		Gaps:           map[GapReason]uint64{},
		Latency:        snapshot(&t.Latency),
		LateMatches:    t.LateMatches.Load(),
		WindowBytes:    int(h.feeds.WindowBytes()),
		Templates:      int(h.weights.templateCount.Load()),
		TemplateBytes:  int(h.weights.templateBytes.Load()),
		PageBytes:      int(h.budget.Share(budget.Pages).Used()),
	}
	for i, r := range reasons {
		s.Disconnects[r] = c.disconnects[i].Load()
	}
	for i, r := range gapReasons {
		s.Gaps[r] = c.gaps[i].Load()
	}
	attached, behind := t.Attached()
	s.Feeds, s.Lagging = t.Feeds(), behind
	s.Streams = h.registry.size()
	s.CatchingUp = max(s.Streams-attached, 0)
	var err error
	s.Log, err = h.log.Bounds(ctx)
	return s, err
}
