package load

import (
	"fmt"
	"os"
	"strings"
)

// kernelMemory returns what the kernel holds in slabs, of which sockets, their
// files and epoll entries are made, in bytes. It cannot tell whose they are.
func kernelMemory() (n int64, err error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\nSlab:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		return 0, fmt.Errorf("/proc/meminfo: %w", err)
	}
	return n << 10, nil
}
