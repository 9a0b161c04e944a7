package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"
)

// A Client is an EventSource for Go programs. Its zero value is ready to use.
// It must not be changed once in use; any number of loops may use it at once.
// The functions it holds are called by the loop itself, between events.
type Client struct {
	// HTTPClient sends the requests; nil means [http.DefaultClient]. Leave its
	// Timeout at zero: it would cut streams too.
	HTTPClient *http.Client

	// LastEventID is where to start. If it is empty, the request's own
	// Last-Event-ID header says so.
	LastEventID string

	// ReconnectionTime is the least time from the end of one attempt to the
	// next, until the server's retry field replaces it. Zero means 3 s, a
	// negative value none. A retry field cannot go below 100 ms, or below
	// ReconnectionTime if that is shorter.
	ReconnectionTime time.Duration

	// MaxBackoff bounds the random wait after repeated failures, and what the
	// server may ask for by its retry field. Zero means a minute. It does not
	// bound Retry-After, which may ask for up to an hour.
	MaxBackoff time.Duration

	// IdleTimeout is how long an attempt may go without a byte from the
	// server, the answer's headers included, before it counts as broken. Time
	// spent in the body of the caller's loop does not count. Zero means for
	// ever.
	IdleTimeout time.Duration

	// ReadLimit is the decoder's: see [Decoder.SetReadLimit]. An event beyond
	// it ends the loop with [ErrEventTooLarge].
	ReadLimit int64

	// Positions hands out position events as well: those of type "position"
	// whose data is exactly {}. A Tidings hub sends them to say, by their id,
	// where a stream stands in the hub's log. Unless Positions is set, they
	// move the last event ID and the loop does not see them. Either way they
	// do not count as events in the backoff.
	Positions bool

	// Resend allows sending a request again whose method is not idempotent
	// (RFC 9110 §9.2.2), such as POST.
	Resend bool

	// Prepare, unless nil, may change the URL and the headers of each request
	// before it is sent, to put in a fresh token, say; after a redirect to
	// another origin, credentials are taken out again. If it fails, so does
	// the attempt, as for a network error: to give up, cancel the request's
	// context.
	Prepare func(*http.Request) error

	// OnOpen, unless nil, is called when a stream has opened, before its
	// first event. The response's body is not for it to read.
	OnOpen func(*http.Response)

	// OnError, unless nil, is called with what ended an attempt when another
	// will follow, and the time until then. At a clean end of the stream that
	// is [io.EOF].
	OnError func(err error, next time.Duration)

	// OnComment, unless nil, is called with each comment: see [Decoder].
	OnComment func(string)
}

var (
	// ErrNoContent reports a 204 answer, by which a server ends the stream for
	// good (WHATWG HTML §9.2.1).
	ErrNoContent = errors.New("sse: the server ended the stream (204 No Content)")

	// ErrContentType reports an answer that is no event stream. The error that
	// wraps it is a [ContentTypeError].
	ErrContentType = errors.New("sse: not an event stream")

	// ErrIdleTimeout reports an attempt that [Client.IdleTimeout] ended.
	ErrIdleTimeout = errors.New("sse: idle timeout")
)

// A StatusError reports an answer whose status is not 200.
type StatusError struct {
	Code   int
	Header http.Header
	Body   []byte // its first 4 KiB, as far as they came within a second
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("sse: unexpected status %d %s", e.Code, http.StatusText(e.Code))
}

// temporary reports whether the same request may succeed later. The standard
// gives up at any status but 200, for a page has a user who can reload it. A
// program has none and must outlive a server's restart or overload.
func (e *StatusError) temporary() bool {
	switch e.Code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.Code >= 500
}

// A ContentTypeError reports an answer of status 200 that is no event stream,
// such as a page or an API's {"error":…}. It wraps [ErrContentType].
type ContentTypeError struct {
	Header http.Header
	Body   []byte // its first 4 KiB, as far as they came within a second
}

func (e *ContentTypeError) Error() string {
	return fmt.Sprintf("%v: Content-Type %q", ErrContentType, e.Header.Get("Content-Type"))
}

func (e *ContentTypeError) Unwrap() error { return ErrContentType }

// Events returns the events of one logical stream, over any number of
// connections. The iterator's only error is its last element, and says why it
// gave up: the context's error, [ErrNoContent], a [ContentTypeError], a
// [StatusError], [ErrEventTooLarge], or what broke a request that must not be
// sent again, which is [io.EOF] after a clean end. What a new connection may
// mend goes to [Client.OnError] instead. It is c.Source(req).Events().
//
// The request's context ends the loop. Its headers are sent each time, with
// Accept and Cache-Control unless it has its own; its body is sent again by
// means of GetBody.
func (c *Client) Events(req *http.Request) iter.Seq2[Event, error] {
	return c.Source(req).Events()
}

// Once returns the events of one answer to one request, as of a model that
// streams its output: there, a clean end of the stream is success and nothing
// is sent again. Any other end is an error, the iterator's last element.
func (c *Client) Once(req *http.Request) iter.Seq2[Event, error] {
	s := c.Source(req)
	s.once = true
	return s.Events()
}

// Source returns the stream that answers req. It does nothing until its events
// are asked for.
func (c *Client) Source(req *http.Request) *Source {
	s := &Source{client: c, req: req, backoff: newBackoff(c.ReconnectionTime, c.MaxBackoff)}
	id := c.LastEventID
	if id == "" {
		id = req.Header.Get(lastEventID)
	}
	s.setID(id)
	return s
}

func (c *Client) httpClient() *http.Client {
	if c.HTTPClient == nil {
		return http.DefaultClient
	}
	return c.HTTPClient
}

const lastEventID = "Last-Event-ID"

// check returns nil if resp opens a stream. It may call cancel to end the
// attempt.
func check(resp *http.Response, cancel context.CancelCauseFunc) error {
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		return ErrNoContent
	default:
		return &StatusError{Code: resp.StatusCode, Header: resp.Header, Body: beginning(resp.Body, cancel)}
	}
	if !isEventStream(resp.Header.Get("Content-Type")) {
		return &ContentTypeError{Header: resp.Header, Body: beginning(resp.Body, cancel)}
	}
	return nil
}

// isEventStream compares only what stands before the parameters, of which none
// matters: an event stream is always UTF-8. A comma ends it too, as browsers
// have it, for "text/event-stream,utf-8" is common.
func isEventStream(contentType string) bool {
	if i := strings.IndexAny(contentType, ";,"); i >= 0 {
		contentType = contentType[:i]
	}
	return strings.EqualFold(strings.Trim(contentType, " \t"), MediaType)
}

// beginning returns the first 4 KiB of body, as far as they arrive within a
// second: a refusal may have a body that never ends.
func beginning(body io.Reader, cancel context.CancelCauseFunc) []byte {
	defer time.AfterFunc(time.Second, func() { cancel(nil) }).Stop()
	b, _ := io.ReadAll(io.LimitReader(body, 4<<10))
	return b
}
