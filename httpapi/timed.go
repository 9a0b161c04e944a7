package httpapi

import (
	"net/http"
	"sync/atomic"
	"time"
)

// TimeWrites gives each answer a write deadline, renewed with each 64 KiB that the client
// takes, so that a client which takes nothing cannot hold an answer, and what it was
// made of, for as long as its connection lives: over HTTP/2, by a flow-control window
// of zero (RFC 9113 §6.9). A handler that sets a deadline of its own, as an event stream
// does, is left alone. Wrapping twice is wrapping once.
func TimeWrites(next http.Handler, timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, timed := w.(*timedWriter); timed {
			next.ServeHTTP(w, r)
			return
		}
		t := &timedWriter{ResponseWriter: w, request: r, timeout: timeout}
		if r.Header["Expect"] != nil { // the answer before may have left a deadline, which 100 Continue must not meet
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		}
		next.ServeHTTP(t, r)
		if r.ProtoMajor > 1 { // the answer may wait for room in a window, as over HTTP/1 it does not
			ForgetHead(t, r)
		}
		if !t.wrote {
			t.renew() // the server writes the headers
		}
	})
}

// A timedWriter is the response of [TimeWrites].
type timedWriter struct {
	http.ResponseWriter
	request *http.Request // that it answers
	timeout time.Duration
	wrote   bool
	own     atomic.Bool // the handler sets deadlines, perhaps from another goroutine
}

// writePiece is how much a client has to take within the timeout.
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
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.timeout)) // not every writer has one
	}
}

// SetWriteDeadline implements what [http.ResponseController] looks for.
func (w *timedWriter) SetWriteDeadline(t time.Time) error {
	w.own.Store(true)
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t)
}

// Unwrap is for [http.ResponseController].
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// timed returns the [timedWriter] that a response is, or wraps; nil: there is none.
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

// unwrapped returns the server's own writer where a function of net/http looks for more
// than an [http.ResponseWriter] in it.
func unwrapped(w http.ResponseWriter) http.ResponseWriter {
	if t, timed := w.(*timedWriter); timed {
		return t.ResponseWriter
	}
	return w
}
