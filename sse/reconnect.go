package sse

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

const (
	// minRetry is the shortest time that a server's retry field may ask for. Without
	// it, "retry: 0" and one event per connection make a thousand connections a
	// second. Firefox's minimum is 500 ms.
	minRetry = 100 * time.Millisecond

	minSpread     = 100 * time.Millisecond // doubled by the backoff if the base is shorter
	maxRetryAfter = time.Hour

	// settled is how long a stream without events must have been open for its end
	// not to count as a failure. A quiet topic behind a proxy that cuts connections
	// every minute is not a failure; a server that closes at once is.
	settled = 5 * time.Second
)

// A backoff decides how long to wait between attempts.
type backoff struct {
	base     time.Duration // the reconnection time
	min, max time.Duration // bounds of what the server may set it to
	failures int           // in a row
	worked   bool          // the latest attempt brought an event or stayed open
}

func newBackoff(base, limit time.Duration) backoff {
	if base == 0 {
		base = 3 * time.Second
	}
	if limit <= 0 {
		limit = time.Minute
	}
	base = max(base, 0)
	return backoff{base: base, min: min(base, minRetry), max: limit}
}

// setBase sets the reconnection time that the server asked for, within the
// caller's bounds.
func (b *backoff) setBase(d time.Duration) { b.base = min(max(d, b.min), b.max) }

func (b *backoff) success() { b.worked, b.failures = true, 0 }

// next returns how long to wait before the next attempt. The standard defines the
// reconnection time as a minimum; after a connection that worked, next returns just
// that. Each failure in a row doubles the time over which the clients of a server
// that is down spread at random ("full jitter").
func (b *backoff) next(atLeast time.Duration) time.Duration {
	wait := max(b.base, atLeast)
	if b.worked {
		return wait
	}
	b.failures++
	if spread := b.spread(); spread > 0 {
		wait += min(rand.N(spread), math.MaxInt64-wait)
	}
	return wait
}

func (b *backoff) spread() time.Duration {
	top := max(b.base, minSpread)
	for range b.failures {
		if top > b.max/2 {
			top = b.max
			break
		}
		top *= 2
	}
	return top - b.base
}

// retryAfter returns the wait that a response asks for in seconds or by a date
// (RFC 9110 §10.2.3), or 0. It ignores the status, because APIs and proxies send the
// field with 529, 502, 500 and 408 as well as with 429 and 503.
func retryAfter(err error) time.Duration {
	status, ok := errors.AsType[*StatusError](err)
	if !ok {
		return 0
	}
	value := status.Header.Get("Retry-After")
	if t, ok := parseRetry([]byte(value)); ok { // in seconds here, not milliseconds
		return min(t, maxRetryAfter/1000) * 1000
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(time.Until(at), 0), maxRetryAfter)
}

// Another attempt cannot resolve these.
var (
	errURL       = errors.New("sse: not an http or https URL")
	errMethod    = errors.New("sse: the method is not idempotent, so the request is not sent again")
	errNoGetBody = errors.New("sse: the body cannot be sent again, for GetBody is nil")
)

// temporary reports whether a new attempt may succeed after err. ErrEventTooLarge
// is final, because a server sends the same event again, whether it resumes or
// starts over.
func temporary(err error) bool {
	if status, ok := errors.AsType[*StatusError](err); ok {
		return status.temporary()
	}
	return !slices.ContainsFunc([]error{ErrNoContent, ErrContentType, ErrEventTooLarge, errURL, errMethod, errNoGetBody},
		func(target error) bool { return errors.Is(err, target) })
}
