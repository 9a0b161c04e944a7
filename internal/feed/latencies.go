package feed

import (
	"iter"
	"math/bits"
	"sync/atomic"
	"time"
)

// Latencies counts durations from 1 µs to two minutes in buckets, four per octave.
// Several goroutines may add at once.
type Latencies struct {
	buckets [104]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

// Add adds a duration.
func (h *Latencies) Add(d time.Duration) {
	d = max(d, 0) // the two clocks may differ
	h.buckets[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

// addAll adds n durations of one bucket, whose sum is given.
func (h *Latencies) addAll(bucket int, n uint64, sum time.Duration) {
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
	return min((octave-1)*4+int(us>>(octave-2)&3), len(Latencies{}.buckets)-1)
}

// bucketEnd returns the exclusive upper bound of a bucket.
func bucketEnd(i int) time.Duration {
	if i < 4 {
		return time.Duration(i+1) * time.Microsecond
	}
	octave := i/4 + 1
	return time.Duration(i%4+5) << (octave - 2) * time.Microsecond
}

// Sum returns the sum of all durations.
func (h *Latencies) Sum() time.Duration { return time.Duration(h.sum.Load()) }

// Buckets yields the exclusive upper bound and the count of each bucket that is not empty,
// the shortest durations first.
func (h *Latencies) Buckets() iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		for i := range h.buckets {
			if n := h.buckets[i].Load(); n > 0 && !yield(bucketEnd(i), n) {
				return
			}
		}
	}
}
