package edge

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Bound bounds requests and answers in time. Wrap all of a server's handlers by it; each
// dialect wraps its own, too, and of several only the outermost counts.
//
// A body has 30 s to arrive, and a GET has none. An answer has a write deadline, renewed
// with each 64 KiB that the client takes. A client that takes nothing then cannot hold an
// answer, and the memory behind it, for as long as its connection lives; over HTTP/2 a
// flow-control window of zero would do that (RFC 9113 §6.9). A handler that sets its own
// deadline, as an event stream does, keeps it.
func Bound(next http.Handler, writeTimeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if timed(w) != nil {
			next.ServeHTTP(w, r)
			return
		}
		t := &timedWriter{ResponseWriter: w, request: r, timeout: writeTimeout}
		if r.Header["Expect"] != nil { // an earlier answer's deadline must not fail the 100 Continue
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		}
		boundBody(t, r, next)
		if r.ProtoMajor > 1 { // over HTTP/2 the answer may still wait for window space
			ForgetHead(t, r)
		}
		if t.renewed.IsZero() {
			t.renew() // the server writes the headers after this
		}
	})
}

// bodyTimeout is how long a client may take to send its whole body.
const bodyTimeout = 30 * time.Second

// boundBody serves r, whose body may take 30 s to arrive. Without that, a body that never
// comes would hold its handler, because net/http waits for the unread rest before it
// sends the headers of an answer. A GET or HEAD with a body gets a 400. If the answer
// comes before the body's end, boundBody drops up to 32 MiB of the rest for up to 4 s, so
// that a client that writes everything before it reads still sees the answer
// (RFC 9112 §9.6).
func boundBody(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.ContentLength == 0 {
		next.ServeHTTP(w, r)
		return
	}
	rc := http.NewResponseController(w)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if r.ContentLength < 0 && dropEmptyBody(rc, r) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close") // lets the answer out before the body has arrived
		NewProblem(http.StatusBadRequest, "A GET has no body; put what it says into the query.").Write(w)
		if lingers(r) {
			linger(w, r.Body)
		}
		_ = rc.SetReadDeadline(time.Now()) // not every writer has deadlines; the rest stays unread
		return
	}
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
	if !lingers(r) {
		next.ServeHTTP(w, r)
		return
	}
	body := &sentBody{ReadCloser: r.Body}
	noting := r.WithContext(r.Context()) // the server examines the Body of its own request
	noting.Body = body
	next.ServeHTTP(w, noting)
	if !body.ended {
		linger(w, r.Body)
	}
}

// emptyBodyTimeout is how long the end of an empty body may take to arrive. It normally
// follows the head at once.
const emptyBodyTimeout = 5 * time.Second

// dropEmptyBody reports whether a body of unknown length is empty, and removes it from
// r if so. Some clients and proxies send a chunked body without chunks, or a DATA frame
// without data, with each GET.
func dropEmptyBody(rc *http.ResponseController, r *http.Request) bool {
	_ = rc.SetReadDeadline(time.Now().Add(emptyBodyTimeout))
	if _, err := io.ReadFull(r.Body, make([]byte, 1)); !errors.Is(err, io.EOF) {
		return false
	}
	_ = rc.SetReadDeadline(time.Time{}) // a stream outlasts the deadline
	r.Body, r.ContentLength = http.NoBody, 0
	return true
}

// A timedWriter is the ResponseWriter that [Bound] passes on.
type timedWriter struct {
	http.ResponseWriter
	request *http.Request // the server's own, which w answers
	timeout time.Duration
	renewed time.Time   // when the deadline was last set; zero: nothing was written
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

// renew sets the deadline, unless that was done a moment ago: most answers are a head and
// one piece, and setting a deadline costs as much as writing one.
func (w *timedWriter) renew() {
	now := time.Now()
	if now.Sub(w.renewed) < w.timeout/64 {
		return
	}
	if w.renewed = now; !w.own.Load() {
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(now.Add(w.timeout)) // not every writer has deadlines
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
