package load

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
)

// A Report is the result of one run.
type Report struct {
	Bench       string  `json:"bench"`
	Target      string  `json:"target"`
	CPUs        int     `json:"cpus"`
	Subscribers int     `json:"subscribers"`
	Topics      int     `json:"topics"`
	Size        int     `json:"size"`
	Publishers  int     `json:"publishers"`
	Batch       int     `json:"batch"`
	Rate        float64 `json:"rate"` // requested events per second; 0: as many as possible
	Seconds     float64 `json:"seconds"`

	Published     int64   `json:"published"` // events, including the warm-up
	PublishedRate float64 `json:"published_per_second"`
	Unsent        int64   `json:"unsent,omitempty"` // events that were due, but could not be sent in time
	Expected      int64   `json:"expected"`         // deliveries
	Delivered     int64   `json:"delivered"`        // deliveries that arrived and were checked
	DeliveredRate float64 `json:"delivered_per_second"`
	Faults        Faults  `json:"faults"`
	Checked       string  `json:"checked"` // "events", or "answers" if nothing can be read back
	OK            bool    `json:"ok"`      // every event arrived once, whole and in order

	Opens   float64  `json:"opens_per_second,omitempty"`
	Open    *Latency `json:"open,omitempty"`     // from connecting to the response's head
	CatchUp *Latency `json:"catch_up,omitempty"` // from connecting to the last missed event
	Receive *Latency `json:"receive,omitempty"`  // from when an event was due to its arrival
	Answer  *Latency `json:"answer,omitempty"`   // from when an event was due to the publisher's answer

	Steps []Step `json:"steps,omitempty"` // of a search for the highest rate

	Server *Usage `json:"server,omitempty"`
	Client *Usage `json:"client,omitempty"`
}

// Usage is the CPU time and memory that one side has used during the measurement. Memory
// is in bytes.
type Usage struct {
	User           float64 `json:"user_seconds"`
	System         float64 `json:"system_seconds"`
	CPUPerDelivery float64 `json:"cpu_us_per_delivery,omitempty"`
	CPUPerPublish  float64 `json:"cpu_us_per_event,omitempty"`

	RSSBefore    int64   `json:"rss_before,omitempty"` // without streams
	RSSIdle      int64   `json:"rss_idle,omitempty"`   // with all streams, before anything is published
	RSSAfter     int64   `json:"rss_after,omitempty"`  // at the end of the load
	PSSBefore    int64   `json:"pss_before,omitempty"`
	PSSIdle      int64   `json:"pss_idle,omitempty"`
	PSSAfter     int64   `json:"pss_after,omitempty"`
	PSSPerStream float64 `json:"pss_per_idle_stream,omitempty"`
	// Of the whole machine, so it includes both ends of a stream if both are here.
	KernelPerStream float64 `json:"kernel_per_idle_stream,omitempty"`
}

func newReport(bench string, e *endpoint) *Report {
	return &Report{Bench: bench, Target: e.subscribe.String(), CPUs: runtime.NumCPU()}
}

// Print writes the report as a table.
func (r *Report) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	row("target", "%s", r.Target)
	if r.Subscribers > 0 {
		row("streams", "%d on %d topics", r.Subscribers, r.Topics)
	}
	for _, s := range r.Steps {
		verdict := "does not hold"
		if s.Holds {
			verdict = "holds"
		}
		row("tried", "%.4g events/s: p99 %.4g ms, %s", s.Rate, s.P99, verdict)
	}
	if r.Opens > 0 {
		row("opened", "%.0f/s", r.Opens)
	}
	if r.PublishedRate > 0 {
		row("published", "%s events of %d B, %.0f/s, by %d connections in batches of %d", humanize.Comma(r.Published), r.Size, r.PublishedRate, r.Publishers, r.Batch)
	}
	if r.Unsent > 0 {
		row("not sent in time", "%s events", humanize.Comma(r.Unsent))
	}
	if r.Expected > 0 {
		row("delivered", "%s of %s, %s/s", humanize.Comma(r.Delivered), humanize.Comma(r.Expected), humanize.Comma(int64(r.DeliveredRate)))
	}
	if f := r.Faults; f != (Faults{}) {
		row("FAULTS", "missed %d, doubled or late %d, reordered %d, torn %d, gaps %d, ended %d", f.Missed, f.Doubled, f.Reordered, f.Torn, f.Gaps, f.Ended)
	}
	if r.Server != nil {
		r.Server.print(row, "server", r.Subscribers)
	}
	if r.Client != nil {
		r.Client.print(row, "client", r.Subscribers)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return r.printLatencies(out)
}

func (u *Usage) print(row func(string, string, ...any), side string, streams int) {
	text := fmt.Sprintf("%.2f s user, %.2f s system", u.User, u.System)
	if u.CPUPerDelivery > 0 {
		text += fmt.Sprintf(", %.3f µs a delivery", u.CPUPerDelivery)
	}
	if u.CPUPerPublish > 0 {
		text += fmt.Sprintf(", %.1f µs an event", u.CPUPerPublish)
	}
	if u.User+u.System > 0 {
		row(side+" CPU", "%s", text)
	}
	if u.RSSBefore == 0 {
		return
	}
	text = mib(u.RSSBefore) + " before"
	if u.RSSIdle > 0 {
		text += ", " + mib(u.RSSIdle) + " with idle streams"
	}
	row(side+" memory", "%s, %s after (RSS)", text, mib(u.RSSAfter))
	if u.PSSPerStream != 0 {
		row("an idle stream", "%.0f B (PSS), and %.0f B of the kernel's for both ends", u.PSSPerStream, u.KernelPerStream)
	}
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func (r *Report) printLatencies(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\nms\tp50\tp90\tp99\tp99.9\tmax\tcount\t\n")
	for _, l := range []struct {
		name string
		*Latency
	}{
		{"connect to open", r.Open},
		{"connect to caught up", r.CatchUp},
		{"publish to receive", r.Receive},
		{"publish to answer", r.Answer},
	} {
		if l.Latency != nil {
			fmt.Fprintf(w, "%s\t%.3g\t%.3g\t%.3g\t%.3g\t%.3g\t%d\t\n", l.name, l.P50, l.P90, l.P99, l.P999, l.Max, l.Count)
		}
	}
	return w.Flush()
}
