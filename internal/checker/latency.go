//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// latencies reports a series of measurements.
func (r *report) latencies(name string, ls []*rig.Latency) { r.latenciesWithin(name, ls, 0, nil) }

// latenciesWithin also compares the series with other, which was measured by turns. It
// fails if even the best p99 of ls exceeds noise times the worst p99 of other, because
// smaller differences are noise. With a noise of 0 it does not judge.
func (r *report) latenciesWithin(name string, ls []*rig.Latency, noise float64, other []*rig.Latency) {
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

func quantiles(ls []*rig.Latency, q float64) (ds []time.Duration) {
	for _, l := range ls {
		ds = append(ds, l.Quantile(q))
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
