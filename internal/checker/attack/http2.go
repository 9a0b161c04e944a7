//go:build linux

package attack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An h2 is an HTTP/2 connection on which an attack chooses every frame. Only one
// goroutine may send.
type h2 struct {
	net.Conn
	trial *trial
	close func()

	mu      sync.Mutex // guards writing
	framer  *http2.Framer
	encoder *hpack.Encoder
	encoded bytes.Buffer
	next    uint32 // stream id
}

// connect opens an HTTP/2 connection. Each of its streams takes window bytes, and never
// more.
func (t *trial) connect(ctx context.Context, window uint32) (*h2, error) {
	c, done, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	h := &h2{Conn: c, trial: t, close: done, framer: http2.NewFramer(c, c), next: 1}
	h.encoder = hpack.NewEncoder(&h.encoded)
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.framer.AllowIllegalWrites = true
	_, err = io.WriteString(c, http2.ClientPreface)
	if err == nil {
		err = h.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	}
	if err == nil {
		err = h.framer.WriteWindowUpdate(0, 1<<30) // the connection's window must not limit the streams
	}
	if err != nil {
		done()
		return nil, err
	}
	return h, nil
}

// fragment is how many bytes of a head one frame may have.
const fragment = 16 << 10

// get2 returns the first headers of an HTTP/2 request.
func get2(path string) []string {
	return []string{":method", "GET", ":scheme", "http", ":authority", "localhost", ":path", path}
}

// encode encodes headers, given as names and values by turns. Long ones stay out of the
// dynamic table (RFC 7541 §2.3.2).
func (h *h2) encode(headers ...string) []byte {
	h.encoded.Reset()
	for i := 0; i < len(headers); i += 2 {
		_ = h.encoder.WriteField(hpack.HeaderField{Name: headers[i], Value: headers[i+1], Sensitive: len(headers[i+1]) > 100}) // a buffer does not fail
	}
	return h.encoded.Bytes()
}

// open sends a request and returns its stream's id.
func (h *h2) open(path string, headers ...string) (id uint32, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id, h.next = h.next, h.next+2
	block := h.encode(append(get2(path), headers...)...)
	first := block[:min(len(block), fragment)]
	block = block[len(first):]
	err = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: true, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		next := block[:min(len(block), fragment)]
		block = block[len(next):]
		err = h.framer.WriteContinuation(id, len(block) == 0, next)
	}
	return id, err
}

// read counts the answers until the connection or ctx ends. It gives back no window.
func (h *h2) read(ctx context.Context) error {
	for {
		frame, err := h.framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			h.trial.count(ctx, f.PseudoValue("status"))
		case *http2.RSTStreamFrame:
			h.trial.count(ctx, fmt.Sprint("reset: ", f.ErrCode))
		case *http2.GoAwayFrame:
			h.trial.count(ctx, fmt.Sprint("goaway: ", f.ErrCode))
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = h.write(h.framer.WriteSettingsAck)
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = h.write(func() error { return h.framer.WritePing(true, f.Data) })
			}
		}
		if err != nil {
			return err
		}
	}
}

func (h *h2) write(frame func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return frame()
}
