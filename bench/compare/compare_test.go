package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/internal/load"
)

// TestContenders runs `tidings bench` against each contender, and checks that every
// event arrives whole and in order.
func TestContenders(t *testing.T) {
	p := build(t)
	common := "fanout --publishers 3 --settle 100ms --warmup 0s --duration 300ms "
	for name, args := range map[string]string{
		"tidings":         "--subscribers 40 --size 1024",
		"floor":           "--subscribers 40 --size 1024",
		"floor in rounds": "--subscribers 40",
		"floor by topic":  "--subscribers 20 --topics 20 --batch 16",
		"usual":           "--subscribers 40 --topics 4 --rate 50",
		"go-sse":          "--subscribers 40 --topics 4 --rate 50",
		"r3labs":          "--subscribers 40 --topics 4 --rate 50",
		"nchan":           "--subscribers 40 --topics 4 --rate 50",
	} {
		t.Run(name, func(t *testing.T) {
			r := measure(t, p, row{Contender: name, Args: strings.Fields(common + args)})
			if r.Delivered == 0 || r.Server.PSSBefore == 0 {
				t.Errorf("nothing was measured: %+v", r)
			}
		})
	}
	t.Run("sink", func(t *testing.T) {
		args := "publish --publishers 3 --warmup 0s --duration 300ms --publish-url SERVER/events/{topic}"
		if r := measure(t, p, row{Contender: "sink", Args: strings.Fields(args)}); r.Checked != "answers" {
			t.Errorf("the report of a sink checks more than answers: %+v", r)
		}
	})
}

func measure(t *testing.T, p *programs, r row) *load.Report {
	t.Helper()
	err := r.measure(t.Context(), p)
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("TIDINGS_E2E") != "require" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if !r.Runs[0].OK {
		t.Fatalf("events are missing: %+v", r.Runs[0])
	}
	return r.Runs[0]
}

func build(t *testing.T) *programs {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"go", "build", "-C", "../..", "-o", filepath.Join(dir, "tidings"), "./cmd/tidings"},
		{"go", "build", "-o", filepath.Join(dir, "rivals"), "../rivals"},
		{"cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", filepath.Join(dir, "floor"), "../floor/floor.c"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return &programs{filepath.Join(dir, "tidings"), filepath.Join(dir, "floor"), filepath.Join(dir, "rivals"), "/usr/sbin/nginx"}
}

// TestLossDoesNotCount measures a server that drops most events: its run must not
// count as a result.
func TestLossDoesNotCount(t *testing.T) {
	p := build(t)
	args := "fanout --subscribers 50 --publishers 64 --settle 0s --warmup 0s --duration 1s --under-way 1000000 --patience 500ms"
	r := row{Contender: "usual", Args: strings.Fields(args)}
	if err := r.measure(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if r.Runs[0].OK || r.Runs[0].Faults.Missed == 0 {
		t.Fatalf("the usual handler lost nothing: %+v", r.Runs[0])
	}
	f := figure{of: deliveries}
	if v := f.best(r); v != 0 {
		t.Errorf("the run counts all the same: %v deliveries/s", v)
	}
}

func TestEngine(t *testing.T) {
	if testing.Short() {
		t.Skip("takes five seconds")
	}
	r, err := driveEngine(t.Context(), []string{"--append", "16"})
	if err != nil || !r.OK {
		t.Fatal(r, err)
	}
}

func TestRatios(t *testing.T) {
	run := func(ok bool, rate float64) *load.Report { return &load.Report{OK: ok, DeliveredRate: rate} }
	rows := []row{
		{Contender: "ours", Runs: []*load.Report{run(true, 60), run(true, 80), run(false, 900)}},
		{Contender: "floor", Runs: []*load.Report{run(true, 100)}},
		{Contender: "other", Runs: []*load.Report{run(true, 10)}},
	}
	for _, q := range []struct {
		figure
		ratios string
	}{
		{figure{of: deliveries, aim: 0.8}, "0.8 true 8 true"},
		{figure{of: deliveries, aim: 0.81}, "0.8 false 8 true"},
		{figure{of: deliveries, aim: 0.5, less: true, to: "floor"}, "0.6 false"},
	} {
		var got []any
		for _, r := range q.compare(rows) {
			got = append(got, r.Ratio, r.Holds)
		}
		text, _ := json.Marshal(got)
		want := "[" + strings.ReplaceAll(q.ratios, " ", ",") + "]"
		if string(text) != want {
			t.Errorf("ratios %s, want %s", text, want)
		}
	}
}

// TestSuitesParse checks that `tidings bench` accepts the arguments of every suite:
// it must get as far as connecting, which is refused.
func TestSuitesParse(t *testing.T) {
	p := build(t)
	for _, s := range suites {
		for _, k := range s.cases {
			for _, c := range k.contenders {
				if c.name == engine {
					continue
				}
				args := append(append([]string{"bench"}, k.args...), c.args...)
				for i := range args {
					args[i] = strings.ReplaceAll(args[i], "SERVER", "http://127.0.0.1:1")
				}
				args = append(args, "--server", "http://127.0.0.1:1")
				out, err := exec.CommandContext(context.Background(), p.tidings, args...).CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "refused") {
					t.Errorf("%s, %s: %v: %s", s.name, k.name, err, out)
				}
			}
		}
	}
}
