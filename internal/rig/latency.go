package rig

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are recorded in microseconds, up to ten minutes, with three significant
// digits.
const (
	maxLatency = int64(10 * time.Minute / time.Microsecond)
	digits     = 3
)

// NewHistogram returns a histogram for [Record]. One goroutine at a time may use it.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency, digits) }

// Record adds a latency to a histogram in microseconds.
func Record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 0), maxLatency)) // cannot fail within this range
}

// A Latency is a histogram that any number of goroutines may add to. Make one with
// [NewLatency].
type Latency struct {
	mu   sync.Mutex
	hist *hdrhistogram.Histogram
}

// NewLatency returns an empty Latency.
func NewLatency() *Latency { return &Latency{hist: NewHistogram()} }

// Add records one latency.
func (l *Latency) Add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	Record(l.hist, d)
}

// Quantile returns the latency that a share q of all does not exceed, with q from 0 to 1.
// It is 0 if there are none.
func (l *Latency) Quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.hist.ValueAtQuantile(100*q)) * time.Microsecond
}

// Max returns the longest latency, or 0 if there are none.
func (l *Latency) Max() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.hist.Max()) * time.Microsecond
}

// Histogram returns a copy.
func (l *Latency) Histogram() *hdrhistogram.Histogram {
	l.mu.Lock()
	defer l.mu.Unlock()
	return hdrhistogram.Import(l.hist.Export())
}
