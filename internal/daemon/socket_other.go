//go:build !linux

package daemon

import (
	"syscall"
	"time"
)

// userTimeout says that socketOptions sets no TCP_USER_TIMEOUT.
const userTimeout = false

// socketOptions sets nothing: elsewhere the kernel's own limits hold.
func socketOptions(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
