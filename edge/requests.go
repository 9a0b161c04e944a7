package edge

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/sse"
)

const (
	// maxRefusing is how many HTTP/2 requests without memory are answered at a time.
	// Others are reset, which costs nothing.
	maxRefusing = 64
	// soon is how long a request must last to count as genuine. An event stream that
	// its user leaves has mostly lasted longer.
	soon = time.Second
	// refuseWithin is how long a client may take no byte of such an answer.
	refuseWithin = 5 * time.Second
)

// BoundRequests serves HTTP/2 requests while held has memory for them; size returns how
// many bytes a request takes. An HTTP/1 connection has one request at a time, and its
// memory is counted with the connection, so HTTP/1 passes.
//
// A request without memory is answered with 503. If it asks for a stream, it is
// answered with 200 and a reconnection time between retry and five times retry
// (WHATWG HTML §9.2.3). Beyond 64 such answers at a time, requests are reset.
//
// BoundRequests calls reset for each request that its client resets within a second,
// which a flood of resets consists of. It does not serve one that was reset before its
// turn came.
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
			panic(http.ErrAbortHandler) // an EventSource reconnects after that, too
		}
	})
}

// refuseRequest answers a request that there is no memory for. An EventSource gets a
// reconnection time, see the package's promises.
func refuseRequest(w http.ResponseWriter, r *http.Request, retry time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(refuseWithin)) // not every writer has deadlines
	if !WantsStream(r) {
		NewProblem(http.StatusServiceUnavailable, "The hub serves as many requests as it has memory for; try again later.").Write(w)
		return
	}
	w.Header().Set("Content-Type", sse.MediaType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = fmt.Fprintf(w, "retry: %d\n\n", (retry + rand.N(4*retry)).Milliseconds()) // a client that misses it reconnects anyway
	_ = http.NewResponseController(w).Flush()
	breakOff(r)
}
