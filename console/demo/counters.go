package demo

import (
	stdnet "net"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/net"
)

// moved is how many bytes a device has transferred since boot.
type moved struct{ in, out uint64 }

// A meter turns counters into rates.
type meter struct {
	last map[string]moved
	at   time.Time
}

// rates returns the bytes per second since the last call; the first call returns ok false.
// It compares devices one by one, so that a device that appears, disappears or starts
// again at zero causes no peak.
func (m *meter) rates(now time.Time, counters map[string]moved) (in, out float64, ok bool) {
	seconds := now.Sub(m.at).Seconds()
	ok = m.last != nil && seconds > 0
	if ok {
		for name, c := range counters {
			if was, known := m.last[name]; known && c.in >= was.in && c.out >= was.out {
				in += float64(c.in - was.in)
				out += float64(c.out - was.out)
			}
		}
		in, out = round(in/seconds, 0), round(out/seconds, 0)
	}
	m.last, m.at = counters, now
	return in, out, ok
}

func diskCounters() (map[string]moved, error) {
	all, err := disk.IOCounters()
	if err != nil {
		return nil, err
	}
	counters := map[string]moved{}
	for name, c := range all {
		if wholeDisk(name) {
			counters[name] = moved{in: c.ReadBytes, out: c.WriteBytes}
		}
	}
	return counters, nil
}

// wholeDisk reports whether a device is a physical disk. Linux also counts partitions and
// stacked devices, whose bytes would count twice.
func wholeDisk(name string) bool {
	if runtime.GOOS != "linux" {
		return true
	}
	if hasPrefix(name, "loop", "ram", "zram", "dm-", "md", "sr") {
		return false
	}
	_, err := os.Stat("/sys/block/" + name)
	return err == nil
}

// networkCounters separates traffic with other hosts from loopback traffic. It ignores
// bridges and the like: their bytes also pass a real interface, or stay inside.
func networkCounters(all []net.IOCountersStat) (outside, inside map[string]moved) {
	outside, inside = map[string]moved{}, map[string]moved{}
	loopback := loopbackNames()
	for _, c := range all {
		counters := outside
		switch {
		case loopback[c.Name]:
			counters = inside
		case hasPrefix(c.Name, "veth", "docker", "br-", "virbr", "ifb", "cni", "flannel"):
			continue
		}
		counters[c.Name] = moved{in: c.BytesRecv, out: c.BytesSent}
	}
	return outside, inside
}

func loopbackNames() map[string]bool {
	names := map[string]bool{}
	interfaces, _ := stdnet.Interfaces() // without them, all traffic counts as outside
	for _, i := range interfaces {
		names[i.Name] = i.Flags&stdnet.FlagLoopback != 0
	}
	return names
}

func hasPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
