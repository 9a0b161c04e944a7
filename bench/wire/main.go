// Command wire measures how fast Go libraries decode and encode Server-Sent Events,
// in one run on one machine, beside a floor that only searches for line ends and
// copies. It checks each contender's output before it times it.
//
//	go run ./wire -out results/wire.json
//
// GOMAXPROCS is 1, and GOGC keeps its default. With a larger GOGC, the heap outgrows
// the processor's cache, and the cost of libraries that return strings is mostly that
// of writing memory outside the cache.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"testing"
	"text/tabwriter"
)

// A result is the best of one contender's runs of one task.
type result struct {
	Task     string  `json:"task"`
	Size     int     `json:"size"`
	Name     string  `json:"name"`
	MBs      float64 `json:"mb_per_s"`
	NsEvent  float64 `json:"ns_per_event"`
	Allocs   float64 `json:"allocs_per_event"`
	TimesOf  float64 `json:"times_the_floor"`
	Problem  string  `json:"problem,omitempty"`
	RunsNsEv []int64 `json:"runs_ns_per_event"`
}

type report struct {
	Command []string `json:"command"`
	Go      string   `json:"go"`
	CPUs    int      `json:"cpus"`
	Arch    string   `json:"arch"`
	Results []result `json:"results"`
}

func main() {
	testing.Init()
	out := flag.String("out", "", "file for the raw numbers, as JSON")
	runs := flag.Int("runs", 5, "runs of each contender; the best one counts")
	flag.Parse()
	flag.Set("test.benchtime", "100ms")
	runtime.GOMAXPROCS(1)

	rep := report{Command: os.Args[1:], Go: runtime.Version(), CPUs: runtime.NumCPU(), Arch: runtime.GOARCH}
	for _, task := range tasks() {
		results := task.run(*runs)
		print(task, results)
		rep.Results = append(rep.Results, results...)
	}
	if *out == "" {
		return
	}
	raw, err := json.MarshalIndent(rep, "", "\t")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(*out, append(raw, '\n'), 0o644); err != nil {
		log.Fatal(err)
	}
}

// A task is work that all contenders do on the same events.
type task struct {
	name       string
	size       int // of an event's data
	events     int
	bytes      int
	contenders []contender // the floor first
}

type contender struct {
	name  string
	check func() error
	run   func()
}

// run measures the contenders in turns, so that a busy moment of the machine does not
// affect just one of them.
func (t task) run(rounds int) []result {
	results := make([]result, len(t.contenders))
	for i, c := range t.contenders {
		results[i] = result{Task: t.name, Size: t.size, Name: c.name}
		if err := c.check(); err != nil {
			results[i].Problem = err.Error()
		}
	}
	for range rounds {
		for i, c := range t.contenders {
			if results[i].Problem == "" {
				results[i].add(t, c)
			}
		}
	}
	for i := range results {
		results[i].TimesOf = results[i].NsEvent / results[0].NsEvent
	}
	return results
}

func (r *result) add(t task, c contender) {
	b := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.run()
		}
	})
	ns := float64(b.T.Nanoseconds()) / float64(b.N) / float64(t.events)
	r.RunsNsEv = append(r.RunsNsEv, int64(ns))
	if r.NsEvent == 0 || ns < r.NsEvent {
		r.NsEvent = ns
		r.MBs = float64(t.bytes) / float64(t.events) / ns * 1e3
		r.Allocs = float64(b.MemAllocs) / float64(b.N) / float64(t.events)
	}
}

func print(t task, results []result) {
	fmt.Printf("%s, %d B events\n", t.name, t.size)
	sorted := slices.SortedFunc(slices.Values(results), func(a, b result) int { return cmp.Compare(a.NsEvent, b.NsEvent) })
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tMB/s\tns/event\tallocs/event\t× floor\t")
	for _, r := range sorted {
		if r.Problem != "" {
			fmt.Fprintf(w, "%s\t\t\t\t\t  left out: %s\n", r.Name, r.Problem)
			continue
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.2f\t%.1f\t\n", r.Name, r.MBs, r.NsEvent, r.Allocs, r.TimesOf)
	}
	w.Flush()
	fmt.Println()
}
