package feed

import (
	"sync/atomic"
	"time"
)

// Totals are sums over all feeds, updated where a feed or a cursor changes. Adding them up
// on demand would hold up the pump for as long as it takes to visit every feed.
type Totals struct {
	feeds    atomic.Int64
	attached atomic.Int64 // cursors attached to a window
	behind   atomic.Int64 // those of them with something to send

	CatchUps    atomic.Uint64 // how often a cursor began to read from the log
	LateMatches atomic.Uint64 // topics whose templates could not all be tried before an event was delivered
	Latency     Latencies     // from when an event was appended until it was written, for the oldest live event of each write

	_                          [64]byte // keeps what follows on cache lines of its own
	Deliveries, DeliveredBytes atomic.Uint64
}

// Feeds returns how many feeds there are.
func (t *Totals) Feeds() int { return int(t.feeds.Load()) }

// Attached returns how many cursors send from their feeds' windows, and how many of them
// have something to send.
func (t *Totals) Attached() (all, behind int) {
	return int(t.attached.Load()), int(t.behind.Load())
}

// delivered counts events sent on one stream, and their bytes.
func (t *Totals) delivered(events, bytes int) {
	t.Deliveries.Add(uint64(events))
	t.DeliveredBytes.Add(uint64(bytes))
}

// A tally is what one goroutine has delivered since it last updated the totals.
type tally struct {
	to            *Totals
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

// flush adds the tally to the totals.
func (t *tally) flush() {
	if t.writes == 0 {
		return
	}
	t.to.delivered(t.events, t.bytes)
	t.to.Latency.addAll(t.bucket, t.writes, t.latency)
	t.events, t.bytes, t.writes, t.latency = 0, 0, 0, 0
}
