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
	"github.com/tidings-sse/tidings/httpapi"
)

// What connections take of the process's memory, in bytes: more than was measured of
// each kind (docs/reliability.md).
const (
	// connectionSize is for its goroutine, the buffers of net/http, and a head of up
	// to freeHead.
	connectionSize = 24 << 10
	// tlsSize is for the state and the buffers of TLS.
	tlsSize = 24 << 10
	// http2Size is for a connection of HTTP/2: its second goroutine, tables of headers,
	// a frame, and bodyWindow. A head of which only a part has come is not counted; it has
	// maxHead and headSlack at most, and there is one at a time.
	http2Size = 24<<10 + bodyWindow
	// requestSize is for a request of HTTP/2: a goroutine and a buffer, beside its head.
	requestSize = 24 << 10

	// bodyWindow is how many bytes of bodies that nobody has read yet a connection of
	// HTTP/2 may have where memory is limited.
	bodyWindow = 64 << 10
	// freeHead is how much of a head connectionSize has.
	freeHead = 4 << 10
)

// preface is what a connection of HTTP/2 in the clear begins with (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// errNoMemory ends a connection whose head takes more memory than there is.
var errNoMemory = errors.New("connections have all the memory that they may take")

// A countedConn counts what its connection takes: at first the same for each, then
// a head of HTTP/1 as it comes, or what a connection of HTTP/2 has besides. What has
// been taken over, to park its stream, counts there.
type countedConn struct {
	net.Conn
	held *budget.Share

	mu      sync.Mutex // guards all below
	base    int64      // what is counted beside a head
	head    int64      // bytes of the head that is being read, or was read last
	taken   int64      // all that is counted
	served  bool       // the head has been read
	second  bool       // this speaks HTTP/2
	seen    int        // bytes from the beginning that tell HTTP/2
	closing bool

	pause atomic.Int64 // nanoseconds that the next Read waits, see slowDown
}

func newCountedConn(c net.Conn, held *budget.Share, size int64) *countedConn {
	held.Add(size)
	return &countedConn{Conn: c, held: held, base: size, taken: size}
}

// Read counts what it reads of a head.
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

// has takes note of bytes that were read, and reports whether there is memory for them.
func (c *countedConn) has(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.second || c.served {
		return true
	}
	for i := 0; i < len(b) && c.seen >= 0 && c.seen < len(preface); i++ {
		if b[i] != preface[c.seen] {
			c.seen = -1 // it is no HTTP/2
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

// speaksHTTP2 notes that it does. c.mu is held.
func (c *countedConn) speaksHTTP2() bool {
	if !c.second {
		c.second, c.head = true, 0
		c.base += http2Size
	}
	return c.count()
}

// count takes, or gives back, what has changed, and reports whether there is so much.
// c.mu is held.
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

// Close closes the connection, or lets go of it.
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

// CloseWrite is what net/http looks for when it ends a connection whose peer still sends.
func (c *countedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn is for what parks its stream.
func (c *countedConn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// countState is called when a connection's state changes: a head has been read when it
// becomes active, and its request has been answered when it becomes idle.
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

// connectionKey is that of a request's connection in its context.
type connectionKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return httpapi.CountStreams(context.WithValue(ctx, connectionKey{}, c), c)
}

const (
	// resetPause is how long a connection is not read for each of its requests that is
	// reset at once. A flood of these (CVE-2023-44487) counts for no limit of streams, and
	// each takes a goroutine, which others wait behind at each step.
	resetPause = 10 * time.Millisecond
	// maxResetPause is how long it is not read at a time, after the hundred or so
	// requests that fit into one read.
	maxResetPause = time.Second
)

// slowDown makes the connection of a request that was reset at once wait.
func slowDown(r *http.Request) {
	if c, ok := r.Context().Value(connectionKey{}).(*countedConn); ok && c.pause.Load() < int64(maxResetPause) {
		c.pause.Add(int64(resetPause))
	}
}

// requestBytes returns how many bytes a request of HTTP/2 takes until it is answered.
func requestBytes(r *http.Request) int64 { return requestSize + int64(headSize(r)) }
