package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/edge"
)

// The memory that connections count for, in bytes: more than was measured for each kind
// (docs/reliability.md).
const (
	// connectionSize is for any connection: its goroutine, net/http's buffers, and a
	// head of up to freeHead.
	connectionSize = 24 << 10
	// tlsSize is for the state and the buffers of TLS.
	tlsSize = 24 << 10
	// http2Size is for an HTTP/2 connection: its second goroutine, header tables, a
	// frame, and bodyWindow. A head that has not arrived completely is not counted: Go's
	// server may keep up to 0.5 MiB of one.
	http2Size = 24<<10 + bodyWindow
	// requestSize is for an HTTP/2 request: a goroutine and a buffer, besides its head.
	requestSize = 24 << 10

	// bodyWindow is how many unread bytes of bodies an HTTP/2 connection may have if
	// memory is limited.
	bodyWindow = 64 << 10
	// freeHead is how many bytes of a head connectionSize includes.
	freeHead = 4 << 10
)

// preface begins every HTTP/2 connection (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// errNoMemory ends a connection whose head takes more memory than there is.
var errNoMemory = errors.New("connections have all the memory that they may take")

// A countedConn counts its connection's memory: first a fixed size, then an HTTP/1 head
// as it arrives, or what an HTTP/2 connection takes in addition. Package park counts a
// connection whose stream it has taken over.
type countedConn struct {
	net.Conn
	held *budget.Share

	mu      sync.Mutex // guards the fields below
	base    int64      // counted besides a head
	head    int64      // bytes of the current or latest head
	taken   int64      // total taken from held
	served  bool       // the head has been read
	second  bool       // the connection speaks HTTP/2
	seen    int        // bytes that match the preface so far; -1: no match
	closing bool

	pause atomic.Int64 // nanoseconds that the next Read sleeps, see slowDown
}

func newCountedConn(c net.Conn, held *budget.Share, size int64) *countedConn {
	held.Add(size)
	return &countedConn{Conn: c, held: held, base: size, taken: size}
}

// Read reads from the connection and counts the bytes of heads. It fails with
// errNoMemory if there is no memory for them.
func (c *countedConn) Read(p []byte) (int, error) {
	if c.pause.Load() > 0 {
		time.Sleep(time.Duration(c.pause.Swap(0)))
	}
	n, err := c.Conn.Read(p)
	if n > 0 && !c.has(p[:n]) {
		return 0, &net.OpError{Op: "read", Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: errNoMemory}
	}
	return n, err
}

// has counts bytes that were read, and reports whether there is memory for them.
func (c *countedConn) has(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.second || c.served {
		return true
	}
	for i := 0; i < len(b) && c.seen >= 0 && c.seen < len(preface); i++ {
		if b[i] != preface[c.seen] {
			c.seen = -1 // not HTTP/2
			break
		}
		c.seen++
	}
	if c.seen == len(preface) {
		return c.speaksHTTP2()
	}
	c.head += int64(len(b))
	return c.count()
}

// speaksHTTP2 counts the connection as HTTP/2, and reports whether there is memory for
// that. The caller must hold c.mu.
func (c *countedConn) speaksHTTP2() bool {
	if !c.second {
		c.second, c.head = true, 0
		c.base += http2Size
	}
	return c.count()
}

// count takes or gives back the difference between what should be counted and what is,
// and reports whether there was memory. The caller must hold c.mu.
func (c *countedConn) count() bool {
	if c.closing {
		return true
	}
	more := c.base + max(0, c.head-freeHead) - c.taken
	if more > 0 && !c.held.Take(more) {
		return false
	}
	if more < 0 {
		c.held.Give(-more)
	}
	c.taken += more
	return true
}

// Close closes the connection and gives its memory back.
func (c *countedConn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.closing = true
		c.held.Give(c.taken)
	}
	return err
}

// CloseWrite closes the writing half. net/http calls it to end a connection whose peer
// still sends.
func (c *countedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn returns the raw connection. Package park needs it to take the socket
// over.
func (c *countedConn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// countState follows a connection's state: it becomes active when a head has been read,
// and idle when the request has been answered.
func countState(c net.Conn, state http.ConnState) {
	second := false
	if t, ok := c.(*tls.Conn); ok {
		c, second = t.NetConn(), t.ConnectionState().NegotiatedProtocol == "h2"
	}
	counted, ok := c.(*countedConn)
	if !ok || state != http.StateActive && state != http.StateIdle {
		return
	}
	counted.mu.Lock()
	fits := true
	if second {
		fits = counted.speaksHTTP2()
	}
	if counted.served = state == http.StateActive; !counted.served && !counted.second {
		counted.head = 0
		counted.count()
	}
	counted.mu.Unlock()
	if !fits {
		_ = counted.Close()
	}
}

// connectionKey is the context key of a request's connection.
type connectionKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return edge.CountStreams(context.WithValue(ctx, connectionKey{}, c), c)
}

const (
	// resetPause is how long reading a connection pauses for each of its requests that
	// is reset at once. The limit on open streams does not count such requests (rapid
	// reset, CVE-2023-44487), but each takes a goroutine, and they delay all others in
	// the scheduler.
	resetPause = 10 * time.Millisecond
	// maxResetPause bounds one pause. A single read may hold a hundred or so requests.
	maxResetPause = time.Second
)

// slowDown pauses the connection of a request that was reset at once.
func slowDown(r *http.Request) {
	if c, ok := r.Context().Value(connectionKey{}).(*countedConn); ok && c.pause.Load() < int64(maxResetPause) {
		c.pause.Add(int64(resetPause))
	}
}

// requestBytes returns how many bytes an HTTP/2 request counts for until it is
// answered.
func requestBytes(r *http.Request) int64 { return requestSize + int64(headSize(r)) }
