// Package budget accounts for the memory that a hub's clients can make it hold.
//
// # Promises
//
//   - Each [Use] has a share, in bytes, and all of them together have a limit. [Share.Take]
//     fails when either would be exceeded; nothing blocks.
//   - The account counts what its holders report: a holder takes bytes before it keeps
//     something, and gives back exactly as many when it lets go.
//   - Uses that can fall back to the log are refused first and publishers late, so that
//     pressure costs speed before it costs service. What live delivery itself needs, a
//     small window for each feed, is refused last. See the table of shares for the order.
//   - A [Budget] without a limit still limits each use to a fixed share.
//   - Connections have an account of their own: no other use takes from it, and they
//     take from no other use.
//
// All methods are safe for concurrent use.
package budget

import (
	"math"
	"sync/atomic"
)

// A Use is a purpose that memory is held for.
type Use uint8

// The uses, in the order in which they are refused as memory runs out.
const (
	Pages         Use = iota // pages of the log cached for streams that catch up; if refused, a page is read again
	Matches                  // which templates match a topic; if refused, a match is computed again
	Windows                  // newest events kept for streams that lag; if refused, a stream reads the log
	Lists                    // answers being built: NDJSON reads, last=N, topics, subscriptions; refused with 503
	Tickets                  // refused with 429
	Subscriptions            // what open streams hold because of what they asked for; a refused client is asked to reconnect later
	Publishes                // bodies being read and events on their way to the log; refused with 503
	SmallWindows             // newest events of feeds with streams that keep up, a few KiB each; if refused, they draw on Windows
	Connections              // connections, their heads, and requests of HTTP/2: an account of its own, see [Budget.LimitConnections]; new connections wait, requests are refused with 503
	uses
)

var names = [uses]string{"pages", "matches", "windows", "lists", "tickets", "subscriptions", "publishes", "small_windows", "connections"}

// String returns the name that metrics use.
func (u Use) String() string { return names[u] }

// Uses returns all uses, in the order in which they are refused.
func Uses() []Use {
	all := make([]Use, uses)
	for i := range all {
		all[i] = Use(i)
	}
	return all
}

// shares holds each use's share: its fixed bytes if there is no limit; and with a limit,
// in percent of it, the most that the use may hold itself, and the most that all uses
// together may hold when it takes more.
var shares = [uses]struct{ fixed, own, whole int64 }{
	Pages:         {64 << 20, 20, 50},
	Matches:       {16 << 20, 5, 55},
	Windows:       {256 << 20, 30, 65},
	Lists:         {256 << 20, 15, 75},
	Tickets:       {64 << 20, 5, 80},
	Subscriptions: {math.MaxInt64, 40, 85},
	Publishes:     {math.MaxInt64, 30, 95},
	SmallWindows:  {64 << 20, 5, 100},
	Connections:   {}, // see LimitConnections
}

// A Budget is the account that all uses draw from, and that of connections.
type Budget struct {
	limit       int64 // math.MaxInt64: none
	used        atomic.Int64
	connections atomic.Int64
	shares      [uses]Share
}

// New returns an account of at most limit bytes; 0 means no limit on the whole.
func New(limit int64) *Budget {
	b := &Budget{limit: limit}
	if limit <= 0 {
		b.limit = math.MaxInt64
	}
	for u := range b.shares {
		s := &b.shares[u]
		s.whole, s.most, s.upTo = &b.used, shares[u].fixed, b.limit
		if limit > 0 {
			s.most, s.upTo = limit/100*shares[u].own, limit/100*shares[u].whole
		}
	}
	s := &b.shares[Connections]
	s.whole, s.most, s.upTo = &b.connections, math.MaxInt64, math.MaxInt64
	return b
}

// LimitConnections sets how many bytes connections may take; 0 means no limit, which is
// also the default. Call it before the budget is used.
func (b *Budget) LimitConnections(limit int64) {
	if limit > 0 {
		b.shares[Connections].most = limit
	}
}

// Limit returns the limit on all uses together in bytes, or 0 if there is none.
func (b *Budget) Limit() int64 {
	if b.limit == math.MaxInt64 {
		return 0
	}
	return b.limit
}

// Used returns how many bytes are held for all uses together, connections aside.
func (b *Budget) Used() int64 { return b.used.Load() }

// Share returns the part of the account that one use draws from.
func (b *Budget) Share(u Use) *Share { return &b.shares[u] }

// A Share is what one use holds and may hold.
type Share struct {
	whole   *atomic.Int64 // bytes of all uses together
	most    int64         // bytes of this use
	upTo    int64         // bytes of all uses together, beyond which this use gets no more
	used    atomic.Int64
	refused atomic.Uint64
	_       [64]byte // so that the next use's share has a cache line of its own
}

// Take adds n bytes and reports whether they fit; if they do not, it adds nothing.
func (s *Share) Take(n int64) bool {
	if s.used.Add(n) > s.most {
		s.used.Add(-n)
		s.refused.Add(1)
		return false
	}
	if s.whole.Add(n) > s.upTo {
		s.Give(n)
		s.refused.Add(1)
		return false
	}
	return true
}

// Add adds n bytes that are held already, even beyond the limits: a cache adds what it has
// just created, and drops older entries while [Share.Full].
func (s *Share) Add(n int64) {
	s.used.Add(n)
	s.whole.Add(n)
}

// Full reports whether this use holds more than it may, or all uses together hold more
// than they may when this one takes more.
func (s *Share) Full() bool { return s.used.Load() > s.most || s.whole.Load() > s.upTo }

// Give returns n bytes that were taken or added.
func (s *Share) Give(n int64) {
	s.used.Add(-n)
	s.whole.Add(-n)
}

// Used returns how many bytes this use holds.
func (s *Share) Used() int64 { return s.used.Load() }

// Most returns how many bytes this use may hold.
func (s *Share) Most() int64 { return s.most }

// Refused returns how often Take has failed.
func (s *Share) Refused() uint64 { return s.refused.Load() }
