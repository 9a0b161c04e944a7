package hub

import (
	"time"

	"github.com/tidings-sse/tidings/internal/feed"
)

// A Histogram is a distribution of durations.
type Histogram struct {
	Count   uint64
	Sum     time.Duration
	Buckets []Bucket // non-empty buckets, the shortest durations first
}

// A Bucket counts the durations below UpTo that are not in an earlier one. For durations
// from 4 µs on, its lower bound is at least three quarters of UpTo.
type Bucket struct {
	UpTo  time.Duration
	Count uint64
}

func snapshot(l *feed.Latencies) Histogram {
	s := Histogram{Sum: l.Sum()}
	for upTo, n := range l.Buckets() {
		s.Buckets = append(s.Buckets, Bucket{upTo, n})
		s.Count += n
	}
	return s
}

// Quantile returns a duration that the part q of all durations does not exceed, with q
// from 0 to 1. It is the end of a bucket. Quantile returns 0 for an empty histogram.
func (s *Histogram) Quantile(q float64) time.Duration {
	rank := q * float64(s.Count)
	seen := 0.0
	for _, b := range s.Buckets {
		if seen += float64(b.Count); seen >= rank {
			return b.UpTo
		}
	}
	return 0
}
