package daemon

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// notSentLowWater bounds what the kernel takes from us before the peer has
// taken it: without it a stalled stream pins up to 4 MiB of kernel memory.
const notSentLowWater = 16 << 10

// userTimeout says that socketOptions sets TCP_USER_TIMEOUT.
const userTimeout = true

// socketOptions sets what every accepted connection inherits from the
// listener: the bound above, and an end to connections whose peer has left
// data unacknowledged for the write timeout (RFC 5482), which is how a peer
// that vanished without a FIN is noticed.
func socketOptions(writeTimeout time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		ctlErr := c.Control(func(fd uintptr) {
			err = errors.Join(
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentLowWater),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(writeTimeout.Milliseconds())),
			)
		})
		return errors.Join(ctlErr, err)
	}
}
