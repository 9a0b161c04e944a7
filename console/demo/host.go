package demo

import (
	"log/slog"
	"math"
	"os"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
)

// CPU is how busy the processors were since the last reading.
type CPU struct {
	T      int64     `json:"t"`
	Total  float64   `json:"total"`          // percent of all cores
	Cores  []float64 `json:"cores"`          // percent of each
	Load   []float64 `json:"load,omitempty"` // averages of 1, 5 and 15 minutes
	Uptime uint64    `json:"uptime"`         // seconds since boot
}

// Memory is this host's memory, in bytes.
type Memory struct {
	T         int64   `json:"t"`
	Total     uint64  `json:"total"`
	Used      uint64  `json:"used"`
	Available uint64  `json:"available"`
	Percent   float64 `json:"percent"`
	SwapTotal uint64  `json:"swap_total"`
	SwapUsed  uint64  `json:"swap_used"`
}

// Disk is the space of the file system that holds the working directory, in bytes, and
// the traffic of all physical disks since the last reading. The rates are null if the
// system does not report them.
type Disk struct {
	T       int64    `json:"t"`
	Total   uint64   `json:"total"`
	Used    uint64   `json:"used"`
	Free    uint64   `json:"free"`
	Percent float64  `json:"percent"`
	Read    *float64 `json:"read"`  // bytes per second
	Write   *float64 `json:"write"` // bytes per second
}

// Network is the traffic of the interfaces since the last reading, in bytes per second.
// Loopback is separate, because a demo on one machine produces traffic of its own.
type Network struct {
	T        int64   `json:"t"`
	Rx       float64 `json:"rx"`
	Tx       float64 `json:"tx"`
	Loopback float64 `json:"loopback"`
}

// A machine reads this host's figures. Rates and CPU time are differences between two
// readings, so only one goroutine at a time may use it.
type machine struct {
	log      *slog.Logger
	failed   map[string]bool
	watches  []*watch
	disks    meter
	networks meter
	loopback meter
}

func newMachine(log *slog.Logger) *machine {
	m := &machine{log: log, failed: map[string]bool{}, watches: hostRules()}
	m.generate(time.Now(), func(string, any) {}) // the first reading, which rates need
	return m
}

func (m *machine) generate(now time.Time, out emit) {
	percent := map[string]float64{}
	if v, ok := attempt(m, "cpu", func() (CPU, error) { return m.cpu(time.Now()) }); ok {
		percent["cpu"] = v.Total
		out("cpu", v)
	}
	if v, ok := attempt(m, "memory", func() (Memory, error) { return m.memory(time.Now()) }); ok {
		percent["memory"] = v.Percent
		out("memory", v)
	}
	if v, ok := attempt(m, "disk", func() (Disk, error) { return m.disk(time.Now()) }); ok {
		percent["disk"] = v.Percent
		out("disk", v)
	}
	if v, ok := attempt(m, "network", func() (Network, error) { return m.network(time.Now()) }); ok {
		out("network", v)
	}
	for _, w := range m.watches {
		value, ok := percent[w.metric]
		if !ok {
			continue
		}
		if a, ok := w.sample(now, value); ok {
			out("alarm", a)
		}
	}
}

// attempt calls read, and logs its first failure.
func attempt[T any](m *machine, what string, read func() (T, error)) (T, bool) {
	v, err := read()
	if err != nil && !m.failed[what] {
		m.failed[what] = true
		m.log.Warn("demo: cannot read this host's "+what, "error", err)
	}
	return v, err == nil
}

func (m *machine) cpu(now time.Time) (CPU, error) {
	cores, err := cpu.Percent(0, true)
	if err != nil {
		return CPU{}, err
	}
	c := CPU{T: now.UnixMilli(), Cores: cores}
	for i, v := range cores {
		c.Total += v
		cores[i] = round(v, 1)
	}
	c.Total = round(c.Total/float64(max(len(cores), 1)), 1)
	c.Uptime, _ = attempt(m, "uptime", host.Uptime)
	// Windows has no load averages, and load.Avg would start a sampler there that never ends.
	if runtime.GOOS != "windows" {
		if avg, ok := attempt(m, "load", load.Avg); ok {
			c.Load = []float64{round(avg.Load1, 2), round(avg.Load5, 2), round(avg.Load15, 2)}
		}
	}
	return c, nil
}

func (m *machine) memory(now time.Time) (Memory, error) {
	v, err := mem.VirtualMemory()
	if err != nil {
		return Memory{}, err
	}
	r := Memory{
		T:         now.UnixMilli(),
		Total:     v.Total,
		Used:      v.Used,
		Available: v.Available,
		Percent:   round(v.UsedPercent, 1),
	}
	if swap, ok := attempt(m, "swap", mem.SwapMemory); ok {
		r.SwapTotal, r.SwapUsed = swap.Total, swap.Used
	}
	return r, nil
}

func (m *machine) disk(now time.Time) (Disk, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Disk{}, err
	}
	v, err := disk.Usage(dir)
	if err != nil {
		return Disk{}, err
	}
	d := Disk{
		T:       now.UnixMilli(),
		Total:   v.Total,
		Used:    v.Used,
		Free:    v.Free,
		Percent: round(v.UsedPercent, 1),
	}
	if moved, ok := attempt(m, "disk I/O", diskCounters); ok {
		if read, write, ok := m.disks.rates(now, moved); ok {
			d.Read, d.Write = &read, &write
		}
	}
	return d, nil
}

func (m *machine) network(now time.Time) (Network, error) {
	all, err := net.IOCounters(true)
	if err != nil {
		return Network{}, err
	}
	outside, inside := networkCounters(all)
	n := Network{T: now.UnixMilli()}
	n.Rx, n.Tx, _ = m.networks.rates(now, outside)
	_, n.Loopback, _ = m.loopback.rates(now, inside)
	return n, nil
}

func round(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(v*p) / p
}
