package daemon

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/internal/descriptors"
)

// A roomyListener accepts a connection only while the store keeps enough descriptors
// for its files and connections may take more memory. Other connections wait in the
// system's backlog. Open connections make room in time: a slow head ends after 10 s, an
// idle connection after two minutes.
type roomyListener struct {
	net.Listener
	held      *budget.Share // memory of connections
	each      int64         // bytes that each new connection counts for
	full      rate.Sometimes
	exhausted rate.Sometimes
	logger    *slog.Logger
	closed    chan struct{}
	once      sync.Once

	unchecked int // connections that may be accepted before descriptors are counted again; only Accept uses it
}

// whileFull is how long Accept waits before it checks for room again.
const whileFull = 20 * time.Millisecond

func leaveRoom(ln net.Listener, held *budget.Share, tls bool, logger *slog.Logger) net.Listener {
	l := &roomyListener{
		Listener: ln, held: held, each: connectionSize, logger: logger, closed: make(chan struct{}),
		full: rate.Sometimes{Interval: time.Minute}, exhausted: rate.Sometimes{Interval: time.Minute},
	}
	if tls {
		l.each += tlsSize
	}
	return l
}

// Accept waits for room and for the next connection. Only one goroutine at a time may
// call it. After Close it returns [net.ErrClosed] or the listener's own error.
func (l *roomyListener) Accept() (net.Conn, error) {
	for !l.room() {
		select {
		case <-l.closed:
			return nil, net.ErrClosed
		case <-time.After(whileFull):
		}
	}
	l.unchecked--
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newCountedConn(c, l.held, l.each), nil
}

// room reports whether there are descriptors and memory for another connection.
func (l *roomyListener) room() bool {
	// Open connections leave an eighth of the memory to their own heads and to HTTP/2
	// requests.
	if l.held.Used()+l.each > l.held.Most()/8*7 {
		l.exhausted.Do(func() {
			l.logger.Warn("connections have nearly all the memory that they may take, and new ones wait; raise --memory-limit, or let a proxy limit connections",
				"bytes", l.held.Used(), "limit", l.held.Most())
		})
		return false
	}
	if l.unchecked > 0 {
		return true
	}
	// Half of the free descriptors may be used before they are counted again, because
	// other code opens files as well.
	u := descriptors.Now()
	if l.unchecked = (u.Connections() + 1) / 2; l.unchecked > 0 {
		return true
	}
	l.full.Do(func() {
		l.logger.Warn("nearly all descriptors are taken, and new connections wait; raise the limit on open files (ulimit -n, LimitNOFILE= in a systemd unit)",
			"open", u.Open, "limit", u.Limit)
	})
	return false
}

// Close closes the listener and ends Accept, even while that waits for room.
func (l *roomyListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}
