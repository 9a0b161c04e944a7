package load

import (
	"context"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// A Step is one rate tried by a search.
type Step struct {
	Rate  float64 `json:"rate"` // events a second
	P99   float64 `json:"p99_ms"`
	Holds bool    `json:"holds"`
}

const (
	firstRate = 5.0  // events per second
	growth    = 4.0  // factor of the rate while it holds
	precision = 1.12 // ratio of the lowest rate that does not hold to the highest that does
)

// search finds the highest rate that holds. Each step is a run with its own streams and
// topics.
func (f *Fanout) search(ctx context.Context) (*Report, error) {
	var best *Report
	var steps []Step
	low, high := 0.0, 0.0
	rate := f.Rate
	if rate == 0 {
		rate = firstRate
	}
	for high == 0 || low == 0 && high > firstRate/growth || low > 0 && high/low > precision {
		step := *f
		step.Rate = rate
		report, err := step.measure(ctx)
		if err != nil {
			return nil, err
		}
		s := Step{Rate: rate, Holds: report.OK && report.Unsent == 0 && report.Receive != nil}
		if report.Receive != nil {
			s.P99 = report.Receive.P99
			s.Holds = s.Holds && s.P99 < float64(f.MaxP99)/1e6
		}
		steps = append(steps, s)
		f.say("%.4g events/s: p99 %.4g ms, holds: %t", s.Rate, s.P99, s.Holds)
		switch {
		case s.Holds:
			best, low = report, rate
		default:
			high = rate
			if err := step.calm(ctx); err != nil {
				return nil, err
			}
			if best == nil {
				best = report
			}
		}
		rate = next(low, high)
	}
	best.Steps, best.OK = steps, low > 0
	return best, nil
}

// next returns the next rate to try: between low and high, or beyond one of them.
func next(low, high float64) float64 {
	switch {
	case high == 0:
		return low * growth
	case low == 0:
		return high / growth
	}
	return (low + high) / 2
}

// calm waits until the server has dropped what it did not deliver in time, at most 15 s.
func (f *Fanout) calm(ctx context.Context) error {
	server, err := rig.OpenProcesses(f.PID...)
	if err != nil {
		return err
	}
	const span = 250 * time.Millisecond
	for range 60 {
		before, err := server.Usage()
		if err != nil {
			return err
		}
		select {
		case <-time.After(span):
		case <-ctx.Done():
			return ctx.Err()
		}
		after, err := server.Usage()
		if err != nil {
			return err
		}
		if after.CPU()-before.CPU() < span/10 {
			return nil
		}
	}
	return nil
}
