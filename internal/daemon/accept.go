package daemon

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/internal/descriptors"
)

// A roomyListener accepts a connection only while that leaves the store descriptors
// for its files. Connections beyond that wait in the system's backlog. Those that are
// open make room: a slow head ends after 10 s, an idle connection after two minutes.
type roomyListener struct {
	net.Listener
	full   rate.Sometimes
	logger *slog.Logger
	closed chan struct{}
	once   sync.Once

	unchecked int // connections that may be accepted before the next look; Accept's alone
}

// whileFull is how long Accept waits before it looks for room again.
const whileFull = 20 * time.Millisecond

func leaveRoom(ln net.Listener, logger *slog.Logger) net.Listener {
	return &roomyListener{Listener: ln, logger: logger, closed: make(chan struct{}), full: rate.Sometimes{Interval: time.Minute}}
}

// Accept waits for the next connection. One goroutine at a time may call it.
func (l *roomyListener) Accept() (net.Conn, error) {
	for ; l.unchecked == 0; l.look() {
	}
	l.unchecked--
	return l.Listener.Accept()
}

// look finds out how many connections may be accepted, or waits a moment if none may.
// Half of the room may go before it looks again: others open files as well.
func (l *roomyListener) look() {
	u := descriptors.Now()
	if l.unchecked = (u.Connections() + 1) / 2; l.unchecked > 0 {
		return
	}
	l.full.Do(func() {
		l.logger.Warn("nearly all descriptors are taken, and new connections wait; raise the limit on open files (ulimit -n, LimitNOFILE= in a systemd unit)",
			"open", u.Open, "limit", u.Limit)
	})
	select {
	case <-l.closed:
		l.unchecked = 1 // the listener says that it is closed
	case <-time.After(whileFull):
	}
}

// Close ends Accept, also while that waits for room.
func (l *roomyListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}
