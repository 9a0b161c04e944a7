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

// moved is what a device has moved since boot, in bytes.
type moved struct{ in, out uint64 }

// A meter turns counters into rates.
type meter struct {
	last map[string]moved
	at   time.Time
}

// rates sums up, in bytes per second, what moved since the call before; the first
// call has none. Devices are compared one by one, so that one which comes, goes or
// starts again at zero is no peak.
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

// wholeDisk tells physical disks from what Linux counts a second time: their
// partitions, and what is stacked on them.
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

// networkCounters separates what leaves or enters this host from what it says to
// itself. Bridges and the like are in neither: their bytes pass a real interface
// as well, or stay inside.
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
	interfaces, _ := stdnet.Interfaces() // without them, nothing is told apart
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
