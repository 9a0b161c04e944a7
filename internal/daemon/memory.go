package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog/disklog"
)

const (
	// cgroupPercent is how much of a cgroup's limit the hub takes with auto. The
	// kernel's own memory for sockets and files counts against that limit as well.
	cgroupPercent = 80
	// leastMemory is a limit with which a hub still does its work.
	leastMemory = 128 << 20
	// processMemory is what a hub without clients takes, its store aside.
	processMemory = 48 << 20
)

// A memoryPlan divides the memory that the process may take. All are bytes.
type memoryPlan struct {
	limit   int64 // of the process; 0: none, nor any of the following
	store   int64 // for the event log
	clients int64 // for the account of what clients make the hub hold

	connections int64 // for their goroutines and buffers, and requests of HTTP/2
}

// planMemory says how much memory there is for what. Beside what the plan names, a
// tenth is left to the garbage collector and the allocator.
func (c *Config) planMemory(root fs.FS) (p memoryPlan, err error) {
	if p.limit, err = c.memoryLimit(root); err != nil || p.limit == 0 {
		return p, err
	}
	if p.limit < leastMemory {
		return p, fmt.Errorf("--memory-limit %s: a hub needs at least %s", c.MemoryLimit, ByteSize(leastMemory))
	}
	p.store = p.limit / 4
	if c.Store == "memory" {
		p.store = int64(c.RetainBytes)
		if most := p.limit / 2; p.store == 0 || p.store > most {
			return p, fmt.Errorf("--retain-bytes %s: with --store memory, events may take half of the memory limit of %s: say --retain-bytes %s or less, raise --memory-limit, or keep events on disk",
				c.RetainBytes, ByteSize(p.limit), strings.ReplaceAll(ByteSize(most).String(), " ", ""))
		}
		p.store += p.store / 10 // within which retention counts
	}
	p.connections = p.limit / 8
	p.clients = p.limit - p.store - p.limit/10 - p.connections - processMemory
	if most := budget.New(p.clients).Share(budget.Publishes).Most() / 4; int64(c.MaxBody) > most {
		return p, fmt.Errorf("--max-body %s: with a memory limit of %s, a body may have %s at most", c.MaxBody, ByteSize(p.limit), ByteSize(most))
	}
	return p, nil
}

// memoryLimit returns how many bytes the process may take; 0 is no limit.
func (c *Config) memoryLimit(root fs.FS) (int64, error) {
	switch c.MemoryLimit {
	case "":
		return 0, nil
	case "auto":
		n, err := cgroupLimit(root)
		if err != nil {
			return 0, fmt.Errorf("--memory-limit auto: %w; say how much the hub may take, as in --memory-limit 512MiB", err)
		}
		return n / 100 * cgroupPercent, nil
	}
	var n ByteSize
	if err := n.UnmarshalText([]byte(c.MemoryLimit)); err != nil {
		return 0, fmt.Errorf("--memory-limit: %w, or auto for a share of the cgroup's limit", err)
	}
	return int64(n), nil
}

var errNoCgroupLimit = errors.New("this process is in no cgroup that limits its memory")

// cgroupLimit returns the lowest limit of the process's cgroups and their parents:
// memory.max in the second version of cgroups, memory.limit_in_bytes in the first
// (Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst). Root is
// the file system's.
func cgroupLimit(root fs.FS) (int64, error) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, errNoCgroupLimit
	}
	lowest := int64(math.MaxInt64)
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy, controllers, path
		if len(parts) < 3 {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		switch {
		case parts[1] == "memory":
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case parts[0] != "0":
			continue
		}
		// In a container the path may be the host's, and only its end be there.
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			value, err := fs.ReadFile(root, path.Join(mount, dir, file))
			if n, bad := strconv.ParseInt(strings.TrimSpace(string(value)), 10, 64); err == nil && bad == nil { // "max" is none
				lowest = min(lowest, n)
			}
			if dir == "/" {
				break
			}
		}
	}
	if lowest >= 1<<62 { // what the first version has for none
		return 0, errNoCgroupLimit
	}
	return lowest, nil
}

// limitRuntime makes the garbage collector keep to the limit, unless the environment
// says what it is to keep to.
func (c *Config) limitRuntime(logger *slog.Logger) {
	p := c.memory
	if p.limit == 0 {
		return
	}
	offHeap := int64(0)
	if c.Store == "disk" {
		offHeap = disklog.Options{Memory: p.store}.OffHeap()
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		// A twentieth is for what Go does not count, the program itself above all, and for
		// what the heap grows by while it is collected.
		debug.SetMemoryLimit(p.limit/100*85 - offHeap)
	}
	logger.Info("memory is limited", "limit", ByteSize(p.limit), "for_clients", ByteSize(p.clients), "for_events", ByteSize(p.store), "for_connections", ByteSize(p.connections))
}
