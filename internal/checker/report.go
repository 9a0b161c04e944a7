//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A report is what a check has counted and measured, in order.
type report struct {
	Check   string   `json:"check"`
	Figures []figure `json:"figures"`

	part string // prefix of the names of added figures
}

// A figure is one line of a report. Bound describes its allowed values.
type figure struct {
	Name   string `json:"name"`
	Value  any    `json:"value"`
	Bound  string `json:"bound,omitempty"`
	Failed bool   `json:"failed,omitempty"`
}

// add adds a figure for information.
func (r *report) add(name string, value any) {
	r.Figures = append(r.Figures, figure{Name: r.part + name, Value: value})
}

// must adds a figure with a bound, and whether it holds.
func (r *report) must(name string, value any, holds bool, bound string) {
	r.Figures = append(r.Figures, figure{r.part + name, value, bound, !holds})
}

// zero adds the count of something that must not happen.
func (r *report) zero(name string, n int) { r.must(name, n, n == 0, "0") }

// OK reports whether all bounds hold.
func (r *report) OK() bool {
	for _, f := range r.Figures {
		if f.Failed {
			return false
		}
	}
	return true
}

// brief returns the figures without a bound, and those whose bound does not hold.
func (r *report) brief() (figures []figure) {
	for _, f := range r.Figures {
		if f.Bound == "" || f.Failed {
			figures = append(figures, f)
		}
	}
	return figures
}

func (r *report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			*report
			OK bool `json:"ok"`
		}{r, r.OK()})
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Figures {
		verdict := ""
		if f.Bound != "" {
			verdict = "ok, " + f.Bound
		}
		if f.Failed {
			verdict = "FAILED, must be " + f.Bound
		}
		fmt.Fprintf(t, "%s\t%v\t%s\n", f.Name, f.Value, verdict)
	}
	verdict := "ok"
	if !r.OK() {
		verdict = "FAILED"
	}
	fmt.Fprintf(t, "%s\t%s\t\n", r.Check, verdict)
	return t.Flush()
}

// String returns the table of figures, for the message of a failed test.
func (r *report) String() string {
	var b strings.Builder
	_ = r.print(&b, false) // a buffer does not fail
	return b.String()
}

// millis formats a duration for a report.
func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// kib formats a size for a report.
func kib(bytes int64) string { return fmt.Sprintf("%.1f KiB", float64(bytes)/1024) }
