//go:build !linux

package daemon

import (
	"syscall"
	"time"
)

// userTimeout reports that socketOptions sets no TCP_USER_TIMEOUT.
const userTimeout = false

// socketOptions sets nothing: the kernel's defaults apply.
func socketOptions(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
