package demo

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// The figures are real, so the test checks only what holds on every machine.
func TestHostFiguresArePlausible(t *testing.T) {
	before := time.Now()
	m := newMachine(slog.New(slog.DiscardHandler))
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
		_ = strings.Repeat("work", 1000) // causes CPU time to measure
	}
	got := map[string]any{}
	m.generate(time.Now(), func(typ string, v any) { got[typ] = v })

	percent := func(what string, v float64) {
		if v < 0 || v > 100 {
			t.Errorf("%s is %v %%", what, v)
		}
	}
	stamp := func(what string, ms int64) {
		if at := time.UnixMilli(ms); at.Before(before.Add(-time.Millisecond)) || at.After(time.Now()) {
			t.Errorf("%s has t %v", what, at)
		}
	}
	cpu := got["cpu"].(CPU)
	stamp("cpu", cpu.T)
	percent("cpu", cpu.Total)
	if len(cpu.Cores) == 0 || cpu.Total == 0 {
		t.Errorf("cpu after 50 ms of work: %+v", cpu)
	}
	for _, core := range cpu.Cores {
		percent("a core", core)
	}
	if cpu.Uptime == 0 {
		t.Error("the host is not up")
	}

	memory := got["memory"].(Memory)
	stamp("memory", memory.T)
	percent("memory", memory.Percent)
	if memory.Total < 64<<20 || memory.Used == 0 || memory.Used > memory.Total || memory.Available > memory.Total {
		t.Errorf("memory: %+v", memory)
	}

	disk := got["disk"].(Disk)
	stamp("disk", disk.T)
	percent("disk", disk.Percent)
	if disk.Total == 0 || disk.Used > disk.Total || disk.Free > disk.Total {
		t.Errorf("disk: %+v", disk)
	}

	network := got["network"].(Network)
	stamp("network", network.T)
	if network.Rx < 0 || network.Tx < 0 || network.Loopback < 0 {
		t.Errorf("network: %+v", network)
	}
}

func TestEveryEventHasItsTime(t *testing.T) {
	w := newWatch(rule{"cpu", 1, [...]threshold{{}, {85, 75}, {97, 92}}})
	alarm, _ := w.sample(time.UnixMilli(7), 90)
	for _, v := range []any{CPU{T: 7}, Memory{T: 7}, Disk{T: 7}, Network{T: 7}, Tick{T: 7}, alarm} {
		body, err := json.Marshal(v)
		if err != nil || !strings.HasPrefix(string(body), `{"t":7,`) {
			t.Errorf("%T: %s, %v", v, body, err)
		}
	}
}

func TestFailedReadingIsLoggedOnce(t *testing.T) {
	var log strings.Builder
	m := &machine{log: slog.New(slog.NewTextHandler(&log, nil)), failed: map[string]bool{}}
	for range 3 {
		if _, ok := attempt(m, "swap", func() (int, error) { return 0, errors.New("not here") }); ok {
			t.Error("a failed reading counts")
		}
	}
	if n := strings.Count(log.String(), "not here"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, &log)
	}
}

func TestRates(t *testing.T) {
	start := time.Unix(100, 0)
	for _, test := range []struct {
		why        string
		now        map[string]moved
		after      time.Duration
		rx, tx     float64
		measurable bool
	}{
		{"two seconds", map[string]moved{"a": {1200, 300}, "b": {50, 50}}, 2 * time.Second, 100, 50, true},
		{"a new device causes no peak", map[string]moved{"a": {1100, 200}, "b": {50, 50}, "c": {9e9, 9e9}}, time.Second, 100, 0, true},
		{"nor does one that disappeared", map[string]moved{"b": {50, 60}}, time.Second, 0, 10, true},
		{"nor one that restarts at zero", map[string]moved{"a": {5, 5}, "b": {60, 50}}, time.Second, 10, 0, true},
		{"no time, no rate", map[string]moved{"a": {9000, 9000}}, 0, 0, 0, false},
	} {
		t.Run(test.why, func(t *testing.T) {
			var m meter
			if _, _, ok := m.rates(start, map[string]moved{"a": {1000, 200}, "b": {50, 50}}); ok {
				t.Error("the first reading has a rate")
			}
			rx, tx, ok := m.rates(start.Add(test.after), test.now)
			if rx != test.rx || tx != test.tx || ok != test.measurable {
				t.Errorf("%v, %v, %v; want %v, %v, %v", rx, tx, ok, test.rx, test.tx, test.measurable)
			}
		})
	}
}
