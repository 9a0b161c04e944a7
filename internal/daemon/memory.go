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
	// cgroupPercent is how many percent of a cgroup's limit the hub takes with auto.
	// The kernel's memory for sockets and files counts against that limit as well.
	cgroupPercent = 80
	// leastMemory is the smallest limit, in bytes, with which a hub still works.
	leastMemory = 128 << 20
	// leastClients is how many bytes clients need at least.
	leastClients = 8 << 20
	// processMemory is how many bytes a hub without clients takes, besides its store.
	processMemory = 32 << 20
)

// A memoryPlan divides the process's memory. All fields are in bytes.
type memoryPlan struct {
	limit   int64 // for the whole process; 0: no limits at all
	store   int64 // for the event log
	clients int64 // for what clients make the hub hold (package budget)

	connections int64 // for connections' goroutines and buffers, and HTTP/2 requests
}

// planMemory divides the memory limit. It leaves a fifth to the garbage collector and
// the allocator.
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
		p.store += p.store / 10 // retention counts bytes to within a tenth
	}
	p.connections = p.limit / 8
	p.clients = p.limit - p.store - p.limit/5 - p.connections - processMemory
	if p.clients < leastClients {
		return p, fmt.Errorf("--memory-limit %s: %s are for the hub and its events, and too little is left for clients: say less with --retain-bytes, or raise the limit",
			c.MemoryLimit, ByteSize(p.limit-p.clients))
	}
	if most := budget.New(p.clients).Share(budget.Publishes).Most() / 4; int64(c.MaxBody) > most {
		return p, fmt.Errorf("--max-body %s: with a memory limit of %s, a body may have %s at most", c.MaxBody, ByteSize(p.limit), ByteSize(most))
	}
	return p, nil
}

// memoryLimit returns the limit for the process in bytes; 0 means no limit.
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

// cgroupLimit returns the lowest limit of the process's cgroups and their ancestors, in
// bytes: memory.max in cgroup v2, memory.limit_in_bytes in v1 (Linux,
// Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst). root is the root
// of the file system.
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
		// In a container the path may be the host's, and only its last part may exist.
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			value, err := fs.ReadFile(root, path.Join(mount, dir, file))
			if n, bad := strconv.ParseInt(strings.TrimSpace(string(value)), 10, 64); err == nil && bad == nil { // "max" means no limit
				lowest = min(lowest, n)
			}
			if dir == "/" {
				break
			}
		}
	}
	if lowest >= 1<<62 { // cgroup v1 has a huge number for no limit
		return 0, errNoCgroupLimit
	}
	return lowest, nil
}

// limitRuntime sets the garbage collector's memory limit, unless GOMEMLIMIT is set.
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
		// The rest of the limit is left for what Go does not count, above all the program
		// itself, and for the heap's growth during a collection.
		debug.SetMemoryLimit(p.limit/100*80 - offHeap)
	}
	logger.Info("memory is limited", "limit", ByteSize(p.limit), "for_clients", ByteSize(p.clients), "for_events", ByteSize(p.store), "for_connections", ByteSize(p.connections))
}
