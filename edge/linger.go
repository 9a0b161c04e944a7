package edge

import (
	"io"
	"net/http"
	"time"
)

// A client that writes all of its request before it reads can lose an answer that comes
// earlier: the server closes the connection, the system resets it when more of the body
// arrives, and the reset discards the answer. After such an answer the server therefore
// goes on to read the body and drops it (RFC 9112 §9.6). These constants bound that
// work; beyond them the server closes the connection at once.
//
// On HTTP/2 the server resets the stream of such an answer with NO_ERROR, and then with
// STREAM_CLOSED for data that is still on its way. Clients must keep the answer
// (RFC 9113 §8.1); curl 7.88 and Node.js lose it all the same.
const (
	lingerBytes  = 32 << 20        // of one body
	lingerTime   = 4 * time.Second // for one body; shorter than the wait for requests at shutdown
	lingerAtOnce = 64              // bodies at the same time

	// drainedAnyway is how much of a body net/http drops on a connection that stays
	// open.
	drainedAnyway = 256 << 10
)

// lingering holds a token for each body that is being dropped.
var lingering = make(chan struct{}, lingerAtOnce)

// A sentBody records whether a body has been read to its end.
type sentBody struct {
	io.ReadCloser
	ended bool
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || err != nil
	return n, err
}

// lingers reports whether the unread rest of a body may be more than net/http drops by
// itself. It drops nothing on HTTP/2, or when the connection ends with the answer, as
// with nginx by default.
func lingers(r *http.Request) bool {
	return r.ProtoMajor > 1 || r.Close || r.ContentLength < 0 || r.ContentLength > drainedAnyway
}

// linger drops what is left of a body, once the answer is sent. It does nothing if the
// Answer has no Content-Length: such an answer ends only when the handler returns, and
// its client waits for that end.
func linger(w http.ResponseWriter, body io.Reader) {
	if w.Header().Get("Content-Length") == "" {
		return
	}
	select {
	case lingering <- struct{}{}:
		defer func() { <-lingering }()
	default:
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(lingerTime)) // not every writer has deadlines
	if rc.Flush() == nil {
		_, _ = io.CopyN(io.Discard, body, lingerBytes)
	}
}
