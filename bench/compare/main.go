// Command compare runs `tidings bench` against the hub, the floor and the rivals,
// and prints how they compare, as ratios within one run on one machine. It starts a
// contender anew for each run. bench/run.sh builds the programs and runs all suites.
//
//	go run ./compare -bin DIR -out results saturated steady topics
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/tidings-sse/tidings/internal/load"
)

func main() {
	log.SetFlags(0)
	bin := flag.String("bin", "", "directory of the programs tidings, floor and rivals")
	out := flag.String("out", "results", "directory for the raw numbers")
	rounds := flag.Int("rounds", 2, "runs of each contender, in turns; the best one counts")
	plotsOnly := flag.Bool("plot", false, "draw the plots from the raw numbers of earlier runs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *plotsOnly {
		if err := drawAll(*out); err != nil {
			log.Fatal(err)
		}
		return
	}
	nginx, _ := exec.LookPath("nginx")
	if nginx == "" {
		nginx = "/usr/sbin/nginx"
	}
	p := programs{filepath.Join(*bin, "tidings"), filepath.Join(*bin, "floor"), filepath.Join(*bin, "rivals"), nginx}
	for _, name := range flag.Args() {
		i := slices.IndexFunc(suites, func(s suite) bool { return s.name == name })
		if i < 0 {
			log.Fatalf("there is no suite %q", name)
		}
		c := comparison{Suite: name, Go: runtime.Version(), CPUs: runtime.NumCPU(), Arch: runtime.GOARCH, Kernel: kernel()}
		if err := c.run(ctx, &p, &suites[i], *rounds); err != nil {
			log.Fatal(err)
		}
		c.print(os.Stdout)
		if err := c.save(filepath.Join(*out, name+".json")); err != nil {
			log.Fatal(err)
		}
	}
}

func kernel() string {
	out, err := exec.Command("uname", "-sr").Output()
	if err != nil {
		return runtime.GOOS
	}
	return strings.TrimSpace(string(out))
}

// A comparison is the result of one suite.
type comparison struct {
	Suite  string   `json:"suite"`
	Go     string   `json:"go"`
	CPUs   int      `json:"cpus"`
	Arch   string   `json:"arch"`
	Kernel string   `json:"kernel"`
	Rows   []row    `json:"rows"`
	Ratios []ratio  `json:"ratios"`
	Absent []string `json:"absent,omitempty"` // contenders that are not installed
}

// A row holds one contender's runs of one case.
type row struct {
	Case      string         `json:"case"`
	Contender string         `json:"contender"`
	Args      []string       `json:"args"`
	Runs      []*load.Report `json:"runs"`
}

// A ratio is our figure divided by another contender's.
type ratio struct {
	Figure string  `json:"figure"`
	Case   string  `json:"case"`
	To     string  `json:"to"`
	Ours   float64 `json:"ours"`
	Other  float64 `json:"other"`
	Ratio  float64 `json:"ratio"`
	Aim    string  `json:"aim"`
	Holds  bool    `json:"holds"`
}

// run measures the contenders in turns, so that a busy moment of the machine does not
// affect just one of them.
func (c *comparison) run(ctx context.Context, p *programs, s *suite, rounds int) error {
	if s.once {
		rounds = 1
	}
	for _, k := range s.cases {
		first := len(c.Rows)
		for _, d := range k.contenders {
			c.Rows = append(c.Rows, row{Case: k.name, Contender: d.name, Args: append(slices.Clone(k.args), d.args...)})
		}
		for range rounds {
			for i := first; i < len(c.Rows); i++ {
				if err := c.Rows[i].measure(ctx, p); errors.Is(err, exec.ErrNotFound) {
					log.Printf("SKIPPED: %v", err)
					c.Absent = append(c.Absent, c.Rows[i].Contender)
				} else if err != nil {
					return fmt.Errorf("%s, %s: %w", c.Rows[i].Case, c.Rows[i].Contender, err)
				}
			}
		}
		for _, f := range s.figures {
			c.Ratios = append(c.Ratios, f.compare(c.Rows[first:])...)
		}
	}
	return nil
}

// measure starts the contender, runs the benchmark, and stops the contender.
func (r *row) measure(ctx context.Context, p *programs) error {
	log.Printf("== %s: %s", r.Case, r.Contender)
	if r.Contender == engine {
		report, err := driveEngine(ctx, r.Args)
		r.Runs = append(r.Runs, report)
		return err
	}
	s, err := p.start(r.Contender)
	if err != nil {
		return err
	}
	report, err := bench(ctx, p, s, r.Args)
	if report != nil {
		r.Runs = append(r.Runs, report)
	}
	return errors.Join(err, s.stop())
}

// bench runs `tidings bench` and returns its report. Lost events are not an error;
// the report shows them.
func bench(ctx context.Context, p *programs, s *server, args []string) (*load.Report, error) {
	args = append(slices.Clone(args), "--json", "--server", s.url, "--pid", fmt.Sprint(s.pid))
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "SERVER", s.url)
	}
	cmd := exec.CommandContext(ctx, p.tidings, append([]string{"bench"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	err := cmd.Run()
	var report load.Report
	if out.Len() == 0 || json.Unmarshal(out.Bytes(), &report) != nil {
		return nil, fmt.Errorf("tidings bench %s: %w", strings.Join(args, " "), err)
	}
	return &report, nil
}

func (c *comparison) save(path string) error {
	raw, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}
