package httpapi

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/sse"
)

const (
	// maxRefusing is how many requests of HTTP/2 are answered at a time that there is no
	// memory for. Others are reset, which costs nothing.
	maxRefusing = 64
	// soon is how long a request has lasted that counts as one whose client asked for
	// nothing: an event stream that somebody leaves mostly took longer.
	soon = time.Second
	// refuseWithin is how long a client may take nothing of such an answer.
	refuseWithin = 5 * time.Second
)

// BoundRequests serves requests of HTTP/2 while held has memory for them, each as many
// bytes as size says. HTTP/1 has one request a connection, which is counted with that.
// A request that its client has reset before its turn came is not served. Such requests,
// and those that are reset soon after, are handed to reset.
func BoundRequests(next http.Handler, held *budget.Share, size func(*http.Request) int64, retry time.Duration, reset func(*http.Request)) http.Handler {
	refusing := make(chan struct{}, maxRefusing)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 {
			next.ServeHTTP(w, r)
			return
		}
		if r.Context().Err() != nil {
			reset(r)
			return
		}
		n := size(r)
		if held.Take(n) {
			begun := time.Now()
			defer func() {
				held.Give(n)
				if r.Context().Err() != nil && time.Since(begun) < soon {
					reset(r)
				}
			}()
			next.ServeHTTP(w, r)
			return
		}
		select {
		case refusing <- struct{}{}:
			defer func() { <-refusing }()
			refuseRequest(w, r, retry)
		default:
			panic(http.ErrAbortHandler) // an EventSource comes back after that, too
		}
	})
}

// refuseRequest answers that there is no memory for a request: an EventSource is told
// to come back, see §"Promises".
func refuseRequest(w http.ResponseWriter, r *http.Request, retry time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(refuseWithin)) // not every writer has one
	if !wantsStream(r) {
		NewProblem(http.StatusServiceUnavailable, "The hub serves as many requests as it has memory for; try again later.").Write(w)
		return
	}
	w.Header().Set("Content-Type", sse.MediaType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = fmt.Fprintf(w, "retry: %d\n\n", (retry + rand.N(4*retry)).Milliseconds()) // a client that it does not reach comes back anyway
	_ = http.NewResponseController(w).Flush()
	breakOff(r)
}
