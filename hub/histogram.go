package hub

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations from 1 µs to two minutes in buckets, four per octave.
// Several goroutines may add at once.
type histogram struct {
	buckets [104]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0) // the two clocks may differ
	h.buckets[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

// addAll adds n durations of one bucket, whose sum is given.
func (h *histogram) addAll(bucket int, n uint64, sum time.Duration) {
	h.buckets[bucket].Add(n)
	h.sum.Add(int64(sum))
}

// bucketOf returns the index of the bucket for a duration: one bucket per microsecond
// below 4 µs, then four per octave.
func bucketOf(d time.Duration) int {
	us := uint64(d / time.Microsecond)
	if us < 4 {
		return int(us)
	}
	octave := bits.Len64(us) - 1
	return min((octave-1)*4+int(us>>(octave-2)&3), len(histogram{}.buckets)-1)
}

// bucketEnd returns the exclusive upper bound of a bucket.
func bucketEnd(i int) time.Duration {
	if i < 4 {
		return time.Duration(i+1) * time.Microsecond
	}
	octave := i/4 + 1
	return time.Duration(i%4+5) << (octave - 2) * time.Microsecond
}

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

func (h *histogram) snapshot() Histogram {
	s := Histogram{Sum: time.Duration(h.sum.Load())}
	for i := range h.buckets {
		if n := h.buckets[i].Load(); n > 0 {
			s.Buckets = append(s.Buckets, Bucket{bucketEnd(i), n})
			s.Count += n
		}
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
