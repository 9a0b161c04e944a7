package daemon

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"log/slog"
)

func TestMemoryLimit(t *testing.T) {
	disk := Config{Listen: "localhost:3000", Store: "disk", Heartbeat: time.Second, Retry: time.Second, WriteTimeout: time.Second, MaxBody: 1 << 20, RetainBytes: 1 << 30}
	for _, tt := range []struct {
		why    string
		limit  string
		change func(*Config)
		says   string // "": valid
	}{
		{"none", "", func(*Config) {}, ""},
		{"a size", "512MiB", func(*Config) {}, ""},
		{"no size", "half", func(*Config) {}, "as 1MiB"},
		{"none, said so", "0", func(*Config) {}, ""},
		{"too little", "100MiB", func(*Config) {}, "at least 128 MiB"},
		{"the least", "128MiB", func(*Config) {}, ""},
		{"events in memory that do not fit", "512MiB", func(c *Config) { c.Store = "memory" }, "--retain-bytes 256MiB or less"},
		{"any number of them", "512MiB", func(c *Config) { c.Store, c.RetainBytes = "memory", 0 }, "--retain-bytes 256MiB or less"},
		{"events in memory that fit", "512MiB", func(c *Config) { c.Store, c.RetainBytes = "memory", 256<<20 }, ""},
		{"events in memory that leave nothing for clients", "200MiB", func(c *Config) { c.Store, c.RetainBytes = "memory", 100<<20 }, "too little is left for clients"},
		{"bodies that do not fit", "512MiB", func(c *Config) { c.MaxBody = 64 << 20 }, "--max-body 64 MiB"},
	} {
		c := disk
		c.MemoryLimit = tt.limit
		tt.change(&c)
		err := c.Validate()
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.why, err, tt.says)
		}
		if p := c.memory; err == nil && ((p.limit > 0) != (p.clients > 0) || p.store+p.clients > p.limit*4/5) {
			t.Errorf("%s: %+v", tt.why, p)
		}
	}
}

// TestCgroupLimit reads the limits of a process's cgroups from file trees such as the
// kernel provides.
func TestCgroupLimit(t *testing.T) {
	for _, tt := range []struct {
		why   string
		files map[string]string
		want  int64 // 0: an error
	}{
		{"no cgroups", nil, 0},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		{"version 2, in a container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		{"version 2, a service below a slice with less", map[string]string{
			"proc/self/cgroup": "0::/app.slice/hub.service\n",
			"sys/fs/cgroup/app.slice/hub.service/memory.max": "1073741824\n",
			"sys/fs/cgroup/app.slice/memory.max":             "536870912\n",
		}, 512 << 20},
		{"version 1, where the container sees the host's path", map[string]string{
			"proc/self/cgroup":                           "5:cpu:/docker/abc\n4:memory:/docker/abc\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
		}, 256 << 20},
		{"version 1, no limit", map[string]string{
			"proc/self/cgroup":                           "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0},
	} {
		root := t.TempDir()
		for name, text := range tt.files {
			name = filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c := Config{MemoryLimit: "auto"}
		got, err := c.memoryLimit(os.DirFS(root))
		if got != tt.want/100*cgroupPercent || (err == nil) != (tt.want > 0) {
			t.Errorf("%s: %d, %v; want 80 %% of %d", tt.why, got, err, tt.want)
		}
		if err != nil && !strings.Contains(err.Error(), "as in --memory-limit 512MiB") {
			t.Errorf("%s: %v", tt.why, err)
		}
	}
}

// TestRuntimeLimit checks that the collector gets the configured limit, or the one in
// GOMEMLIMIT.
func TestRuntimeLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	c := Config{Store: "memory", MemoryLimit: "512MiB", RetainBytes: 1 << 20, MaxBody: 1}
	var err error
	if c.memory, err = c.planMemory(os.DirFS("/")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		env  string
		want int64
	}{{"", 512 << 20 / 100 * 80}, {"1GiB", math.MaxInt64}} {
		t.Setenv("GOMEMLIMIT", tt.env)
		debug.SetMemoryLimit(math.MaxInt64)
		c.limitRuntime(slog.New(slog.DiscardHandler))
		if got := debug.SetMemoryLimit(-1); got != tt.want {
			t.Errorf("with GOMEMLIMIT=%s the limit is %d, want %d", tt.env, got, tt.want)
		}
	}
}
