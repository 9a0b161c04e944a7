package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/tidings-sse/tidings/internal/load"
)

// A figure is one number of a report, with its aim.
type figure struct {
	name string
	of   func(*load.Report) float64
	less bool    // less is better
	aim  float64 // for the ratio of ours to the other's, or for ours if there is no other; 0: none
	to   string  // the contender to compare with; empty: all
}

var (
	deliveries = func(r *load.Report) float64 { return r.DeliveredRate }
	published  = func(r *load.Report) float64 { return r.PublishedRate }
	opens      = func(r *load.Report) float64 { return r.Opens }
	cpu        = func(r *load.Report) float64 { return r.Server.CPUPerDelivery }
	idle       = func(r *load.Report) float64 { return r.Server.PSSPerStream }
	p99        = func(r *load.Report) float64 {
		if r.Receive == nil {
			return 0
		}
		return r.Receive.P99
	}
	kept = func(r *load.Report) float64 { return float64(r.Server.RSSAfter) / float64(r.Server.RSSBefore) }
)

// best returns the best of a row's runs. Runs in which events were missing do not
// count; if there is no other, it returns 0.
func (f *figure) best(r row) (v float64) {
	for _, run := range r.Runs {
		if !run.OK {
			continue
		}
		if n := f.of(run); v == 0 || f.less == (n < v) {
			v = n
		}
	}
	return v
}

// compare compares the first row, which is ours, with each of the others.
func (f *figure) compare(rows []row) (ratios []ratio) {
	ours := f.best(rows[0])
	for _, r := range rows[1:] {
		if f.to != "" && f.to != r.Contender {
			continue
		}
		other := f.best(r)
		q := ratio{Figure: f.name, Case: r.Case, To: r.Contender, Ours: ours, Other: other}
		if other > 0 {
			q.Ratio = ours / other
		}
		switch {
		case f.aim == 0:
			q.Holds = ours > 0
		case f.less:
			q.Aim, q.Holds = fmt.Sprintf("≤ %g", f.aim), ours > 0 && other > 0 && q.Ratio <= f.aim
		default:
			q.Aim, q.Holds = fmt.Sprintf("≥ %g", f.aim), ours > 0 && (other == 0 || q.Ratio >= f.aim)
		}
		ratios = append(ratios, q)
	}
	if len(rows) == 1 { // an absolute figure
		q := ratio{Figure: f.name, Case: rows[0].Case, Ours: ours, Holds: ours > 0}
		if f.aim > 0 {
			q.Aim, q.Holds = fmt.Sprintf("≤ %g", f.aim), ours > 0 && ours <= f.aim
		}
		ratios = append(ratios, q)
	}
	return ratios
}

// print writes the ratios as a table, and then the runs in which events were missing.
func (c *comparison) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s\t\tours\tto\tits\tratio\taim\t\n", c.Suite)
	for _, q := range c.Ratios {
		verdict := ""
		switch {
		case !q.Holds:
			verdict = "DOES NOT HOLD"
		case q.Aim != "":
			verdict = "holds"
		}
		fmt.Fprintf(w, "%s\t%s\t%.4g\t%s\t%.4g\t%.3g\t%s\t%s\n", q.Figure, q.Case, q.Ours, q.To, q.Other, q.Ratio, q.Aim, verdict)
	}
	for _, r := range c.Rows {
		for _, run := range r.Runs {
			if !run.OK {
				fmt.Fprintf(w, "%s\t%s\tdoes not count: %d of %d delivered, %+v\n", r.Contender, r.Case, run.Delivered, run.Expected, run.Faults)
			}
		}
	}
	_ = w.Flush() // save keeps the raw numbers
}
