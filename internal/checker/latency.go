//go:build linux

package main

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A latency is a histogram of durations, accurate to about 2 %. Any number of
// goroutines may add to it.
type latency struct {
	buckets [64 << subBits]atomic.Int64
	max     atomic.Int64
}

const subBits = 5 // each power of two has 1<<subBits buckets

func (l *latency) add(d time.Duration) {
	n := uint64(max(d, 0))
	l.buckets[bucket(n)].Add(1)
	for old := l.max.Load(); int64(n) > old && !l.max.CompareAndSwap(old, int64(n)); old = l.max.Load() {
	}
}

func bucket(n uint64) int {
	shift := max(bits.Len64(n)-subBits-1, 0)
	return shift<<subBits + int(n>>shift)
}

// value returns the middle of a bucket.
func value(bucket int) time.Duration {
	if bucket < 2<<subBits {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	return time.Duration((uint64(bucket)-uint64(shift)<<subBits)<<shift + 1<<shift/2)
}

func (l *latency) count() (n int64) {
	for i := range l.buckets {
		n += l.buckets[i].Load()
	}
	return n
}

// quantile returns the duration that a share q of all durations does not exceed, with q
// from 0 to 1.
func (l *latency) quantile(q float64) time.Duration {
	rest := int64(q * float64(l.count()))
	for i := range l.buckets {
		if rest -= l.buckets[i].Load(); rest < 0 {
			return value(i)
		}
	}
	return time.Duration(l.max.Load())
}

// latencies reports a series of measurements.
func (r *report) latencies(name string, ls []*latency) { r.latenciesWithin(name, ls, 0, nil) }

// latenciesWithin also compares the series with other, which was measured by turns. It
// fails if even the best p99 of ls exceeds noise times the worst p99 of other, because
// smaller differences are noise. With a noise of 0 it does not judge.
func (r *report) latenciesWithin(name string, ls []*latency, noise float64, other []*latency) {
	r.add("publish to receive, p50, "+name, millisOf(quantiles(ls, 0.5)))
	p99 := quantiles(ls, 0.99)
	name = "publish to receive, p99, " + name
	if noise == 0 {
		r.add(name, millisOf(p99))
		return
	}
	holds := float64(slices.Min(p99)) <= noise*float64(slices.Max(quantiles(other, 0.99)))
	r.must(name, millisOf(p99), holds, fmt.Sprintf("its best ≤ %g × the worst above", noise))
}

func quantiles(ls []*latency, q float64) (ds []time.Duration) {
	for _, l := range ls {
		ds = append(ds, l.quantile(q))
	}
	return ds
}

func millisOf(ds []time.Duration) string {
	var s []string
	for _, d := range ds {
		s = append(s, millis(d))
	}
	return strings.Join(s, ", ")
}
