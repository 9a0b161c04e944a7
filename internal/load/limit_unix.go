//go:build unix

package load

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// openFiles raises the limit on open files as far as possible, and returns it.
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

// checkOpenFiles returns an error if that many connections would exceed the limit.
func checkOpenFiles(connections int) error {
	limit, err := openFiles()
	if err != nil {
		return err
	}
	if need := uint64(connections) + 64; need > limit {
		return fmt.Errorf("this takes %d open files, but this process may have %d (ulimit -n): use fewer --subscribers, or raise the limit", need, limit)
	}
	return nil
}

// explain adds to an error which limit was reached.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w: this process's limit of open files is reached (ulimit -n)", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w: no local port is left (net.ipv4.ip_local_port_range)", err)
	}
	return err
}
