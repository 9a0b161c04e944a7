package httpapi

import (
	"net/http"
	"sync/atomic"
	"time"
)

// TimeWrites gives each answer a write deadline, renewed with each 64 KiB that the
// client takes. A client that takes nothing then cannot hold an answer, and the memory
// behind it, for as long as its connection lives; over HTTP/2 a flow-control window of
// zero would do that (RFC 9113 §6.9). A handler that sets its own deadline, as an event
// stream does, keeps it. Nested directly, only the outer TimeWrites counts.
func TimeWrites(next http.Handler, timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, timed := w.(*timedWriter); timed {
			next.ServeHTTP(w, r)
			return
		}
		t := &timedWriter{ResponseWriter: w, request: r, timeout: timeout}
		if r.Header["Expect"] != nil { // an earlier answer's deadline must not fail the 100 Continue
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		}
		next.ServeHTTP(t, r)
		if r.ProtoMajor > 1 { // over HTTP/2 the answer may still wait for window space
			ForgetHead(t, r)
		}
		if !t.wrote {
			t.renew() // the server writes the headers after this
		}
	})
}

// A timedWriter is the ResponseWriter that [TimeWrites] passes on.
type timedWriter struct {
	http.ResponseWriter
	request *http.Request // the server's own, which w answers
	timeout time.Duration
	wrote   bool
	own     atomic.Bool // the handler sets deadlines itself, perhaps from another goroutine
}

// writePiece is how many bytes a client must take within the timeout.
const writePiece = 64 << 10

func (w *timedWriter) WriteHeader(status int) {
	w.renew()
	w.ResponseWriter.WriteHeader(status)
}

func (w *timedWriter) Write(p []byte) (n int, err error) {
	for {
		w.renew()
		m, err := w.ResponseWriter.Write(p[n : n+min(len(p)-n, writePiece)])
		if n += m; err != nil || n == len(p) {
			return n, err
		}
	}
}

func (w *timedWriter) renew() {
	if w.wrote = true; !w.own.Load() {
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.timeout)) // not every writer has deadlines
	}
}

// SetWriteDeadline sets the handler's own deadline and ends the renewals.
// [http.ResponseController] calls it.
func (w *timedWriter) SetWriteDeadline(t time.Time) error {
	w.own.Store(true)
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t)
}

// Unwrap returns the server's writer. [http.ResponseController] calls it.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// timed returns the [timedWriter] that w is or wraps, or nil.
func timed(w http.ResponseWriter) *timedWriter {
	for {
		switch t := w.(type) {
		case *timedWriter:
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}

// unwrapped returns the server's own writer, for functions of net/http that look for
// more than an [http.ResponseWriter].
func unwrapped(w http.ResponseWriter) http.ResponseWriter {
	if t, timed := w.(*timedWriter); timed {
		return t.ResponseWriter
	}
	return w
}
