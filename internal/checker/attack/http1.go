//go:build linux

package attack

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// holdFor is how long a connection that reads nothing is held before another replaces
// it. It is a little less than the hub's write timeout.
const holdFor = 25 * time.Second

// dialer returns a dialer. receive is the size of the receive buffers in bytes; 0: the
// system's default.
func (t *trial) dialer(receive int) *net.Dialer {
	return &net.Dialer{
		Timeout:   5 * time.Second,
		LocalAddr: &net.TCPAddr{IP: net.ParseIP(t.From)},
		Control: func(_, _ string, c syscall.RawConn) error {
			if receive == 0 {
				return nil
			}
			var err error
			ctlErr := c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receive)
			})
			return errors.Join(ctlErr, err)
		},
	}
}

// dial connects to the hub with the smallest receive buffer. The connection closes when
// ctx ends; done closes it earlier.
func (t *trial) dial(ctx context.Context) (c net.Conn, done func(), err error) {
	c, err = t.dialer(2<<10).DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return nil, nil, err
	}
	_ = c.(*net.TCPConn).SetLinger(0) // closing leaves no port in TIME_WAIT
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	return c, func() { stop(); _ = c.Close() }, nil
}

// get returns the head of a GET request.
func get(path string, headers ...string) string {
	head := "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n"
	for i := 0; i < len(headers); i += 2 {
		head += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	return head + "\r\n"
}

// hold sends a request, reads the head of the answer and nothing else, and keeps the
// connection for d.
func (t *trial) hold(ctx context.Context, head string, d time.Duration) bool {
	c, done, err := t.dial(ctx)
	if err != nil {
		return t.failed(ctx, err)
	}
	defer done()
	_ = c.SetDeadline(time.Now().Add(time.Minute)) // the connection is open
	if _, err := io.WriteString(c, head); err != nil {
		return t.failed(ctx, err)
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
	if err != nil {
		return t.failed(ctx, err)
	}
	t.count(ctx, strconv.Itoa(resp.StatusCode))
	if resp.StatusCode != http.StatusOK {
		return false
	}
	sleep(ctx, d)
	return true
}

// drip sends the beginning of a request, then one more byte each second, until
// the hub closes the connection.
func (t *trial) drip(ctx context.Context, begin string) bool {
	c, done, err := t.dial(ctx)
	if err != nil {
		return t.failed(ctx, err)
	}
	defer done()
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReaderSize(c, 64).ReadString('\n') // no answer counts, too
		answer <- line
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}()
	_, err = io.WriteString(c, begin)
	for err == nil && ctx.Err() == nil {
		sleep(ctx, time.Second)
		_, err = io.WriteString(c, "x")
	}
	_ = c.Close() // ends the read
	if _, rest, ok := strings.Cut(<-answer, " "); ok {
		status, _, _ := strings.Cut(rest, " ")
		t.count(ctx, status)
		return true
	}
	return t.failed(ctx, err)
}
