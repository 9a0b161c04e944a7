package load

import (
	"fmt"
	"os"
	"strings"
)

// kernelMemory returns the bytes that the kernel holds in slabs, which contain sockets,
// their files and epoll entries. It is the total of all processes.
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
