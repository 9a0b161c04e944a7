package httpapi

import (
	"io"
	"net/http"
	"time"
)

// A client that writes all of its request before it reads does not see an answer
// that comes earlier: the server closes the connection, the system resets it when
// more of the body comes, and with the reset the client loses the answer. So after
// such an answer the server reads the body on, and drops it (RFC 9112 §9.6). What
// nobody wants is bounded: beyond the bounds the connection is closed at once.
//
// On HTTP/2 the server resets the stream of such an answer with NO_ERROR, and then with
// STREAM_CLOSED for what is still on its way. Clients have to keep the answer (RFC 9113
// §8.1); curl 7.88 and Node.js lose it all the same.
const (
	lingerBytes  = 32 << 20        // of one body
	lingerTime   = 4 * time.Second // for one body; less than a shutdown waits for requests
	lingerAtOnce = 64              // bodies

	// drainedAnyway is how much of a body net/http drops on a connection that stays.
	drainedAnyway = 256 << 10
)

// lingering has room for the bodies that are being dropped.
var lingering = make(chan struct{}, lingerAtOnce)

// A sentBody notes whether a body has been read to its end.
type sentBody struct {
	io.ReadCloser
	ended bool
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || err != nil
	return n, err
}

// lingers reports whether a request's body may be more than net/http drops, which is
// nothing on HTTP/2, and where the connection ends with the answer, as with a default
// nginx.
func lingers(r *http.Request) bool {
	return r.ProtoMajor > 1 || r.Close || r.ContentLength < 0 || r.ContentLength > drainedAnyway
}

// linger drops what is left of a body, once the answer is sent. An answer of unknown
// length has no end yet, for which its client would wait.
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
	_ = rc.SetReadDeadline(time.Now().Add(lingerTime)) // not every writer has one
	if rc.Flush() == nil {
		_, _ = io.CopyN(io.Discard, body, lingerBytes)
	}
}
