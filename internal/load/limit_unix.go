//go:build unix

package load

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// openFiles raises the limit of open files as far as it may, and returns it.
func openFiles() (uint64, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	if l.Cur < l.Max {
		l.Cur = l.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			return 0, err
		}
	}
	return uint64(l.Cur), nil
}

// checkOpenFiles reports, before anything is opened, that it would be too much.
func checkOpenFiles(connections int) error {
	limit, err := openFiles()
	if err != nil {
		return err
	}
	if need := uint64(connections) + 64; need > limit {
		return fmt.Errorf("this takes %d open files, and this process may have %d (ulimit -n): ask for fewer --subscribers, or raise the limit", need, limit)
	}
	return nil
}

// explain says what can be done about what limits connections.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w: this process's limit of open files is reached (ulimit -n)", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w: no local port is left (net.ipv4.ip_local_port_range)", err)
	}
	return err
}
