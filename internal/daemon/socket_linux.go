package daemon

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// notSentLowWater bounds how many unsent bytes the kernel holds for a socket
// (TCP_NOTSENT_LOWAT). Without it a stalled stream pins up to 4 MiB of kernel memory.
const notSentLowWater = 16 << 10

// userTimeout reports that socketOptions sets TCP_USER_TIMEOUT.
const userTimeout = true

// socketOptions sets what accepted connections inherit from the listener:
// notSentLowWater, and the write timeout as the time after which the kernel ends a
// connection whose peer acknowledges nothing (RFC 5482). That is how the hub notices a
// peer that vanished without a FIN.
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
