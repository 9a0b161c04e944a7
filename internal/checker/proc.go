//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// statusField returns a number from /proc/PID/status: VmRSS is in KiB.
func statusField(pid int, field string) (int64, error) {
	return procField(fmt.Sprintf("/proc/%d/status", pid), field+":", 0)
}

// rss returns how many bytes of memory a process has resident. Unlike
// [rig.Processes.Footprint] it reads no list of mappings, which would hold the process up.
func rss(pid int) (int64, error) {
	n, err := statusField(pid, "VmRSS")
	return n << 10, err
}

// peakRSS returns the most bytes that a process has had resident since it began, or
// since resetPeak.
func peakRSS(pid int) (int64, error) {
	n, err := statusField(pid, "VmHWM")
	return n << 10, err
}

// resetPeak restarts the measurement of peakRSS (proc_pid_clear_refs(5)).
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// cpuTime returns how much processor time a process has used.
func cpuTime(pid int) (time.Duration, error) {
	ps, err := rig.OpenProcesses(pid)
	if err != nil {
		return 0, err
	}
	u, err := ps.Usage()
	return u.CPU(), err
}

// tcpMemory returns how many bytes the kernel holds for all TCP sockets.
func tcpMemory() (int64, error) {
	pages, err := procField("/proc/net/sockstat", "TCP:", 9) // inuse 1 orphan 0 tw 0 alloc 1 mem 0
	return pages * int64(os.Getpagesize()), err
}

// procField returns the nth word after the name at the beginning of a line.
func procField(path, name string, n int) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > n+1 && words[0] == name {
			return strconv.ParseInt(words[n+1], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// descriptors returns the number of a process's open files.
func descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries), err
}

// unsent returns the number of connections to a local port with bytes that the peer has
// not acknowledged, and the number of those bytes.
func unsent(addr string) (connections int, size int64, err error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, 0, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0, 0, err
	}
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		// sl local_address rem_address st tx_queue:rx_queue …
		words := strings.Fields(line)
		if !strings.HasSuffix(words[1], fmt.Sprintf(":%04X", n)) || words[3] != established {
			continue
		}
		queue, _, _ := strings.Cut(words[4], ":")
		if bytes, err := strconv.ParseInt(queue, 16, 64); err == nil && bytes > 0 {
			connections++
			size += bytes
		}
	}
	return connections, size, nil
}

const established = "01" // TCP_ESTABLISHED
