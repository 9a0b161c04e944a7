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
	// minRetry is the least that a server's retry field may ask for. Without
	// it, "retry: 0" and one event a connection make a thousand connections a
	// second. Firefox holds the field to 500 ms.
	minRetry = 100 * time.Millisecond

	minSpread     = 100 * time.Millisecond // what backoff doubles, if the base is shorter
	maxRetryAfter = time.Hour

	// settled is how long a stream without events must have been open for its
	// end not to count as a failure: a quiet topic behind a proxy that cuts
	// connections every minute is none, a server that closes at once is.
	settled = 5 * time.Second
)

// A backoff decides how long to wait between attempts.
type backoff struct {
	base     time.Duration // the reconnection time
	min, max time.Duration // what the server may make of it
	failures int           // in a row
	worked   bool          // the latest attempt brought something about
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

// setBase sets the reconnection time that the server asks for, within the
// bounds of the caller.
func (b *backoff) setBase(d time.Duration) { b.base = min(max(d, b.min), b.max) }

func (b *backoff) success() { b.worked, b.failures = true, 0 }

// next returns how long to wait after an attempt. To the standard the
// reconnection time is a minimum, which is kept after a connection that
// worked. Each failure in a row doubles the time over which the clients of a
// server that is down spread at random ("full jitter").
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

// retryAfter returns the wait that an answer asks for in seconds or by a date
// (RFC 9110 §10.2.3), or 0. The field counts with any status: APIs and proxies
// send it with 529, 502, 500 and 408 as well as with 429 and 503.
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

// No further attempt can mend these.
var (
	errURL       = errors.New("sse: not an http or https URL")
	errMethod    = errors.New("sse: the method is not idempotent, so the request is not sent again")
	errNoGetBody = errors.New("sse: the body cannot be sent again, for GetBody is nil")
)

// temporary reports whether a new attempt may mend err. A server sends an event
// that is too large again, whether it resumes or begins anew.
func temporary(err error) bool {
	if status, ok := errors.AsType[*StatusError](err); ok {
		return status.temporary()
	}
	return !slices.ContainsFunc([]error{ErrNoContent, ErrContentType, ErrEventTooLarge, errURL, errMethod, errNoGetBody},
		func(target error) bool { return errors.Is(err, target) })
}
