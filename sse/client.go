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
// It must not be changed once in use, and any number of loops may share it. Each
// loop calls the Client's functions itself, between events.
type Client struct {
	// HTTPClient sends the requests. Nil means [http.DefaultClient]. Leave its
	// Timeout at zero, because it would also cut streams.
	HTTPClient *http.Client

	// LastEventID is the ID of the event to resume after. If it is empty, the
	// request's own Last-Event-ID header is used.
	LastEventID string

	// ReconnectionTime is the least time from the end of one attempt to the
	// next, until the server's retry field replaces it. Zero means 3 s, a
	// negative value no wait. A retry field cannot make it shorter than 100 ms, or
	// than ReconnectionTime if that is shorter.
	ReconnectionTime time.Duration

	// MaxBackoff bounds the random wait after repeated failures, and the
	// server's retry field. Zero means a minute. It does not bound
	// Retry-After, which may ask for up to an hour.
	MaxBackoff time.Duration

	// IdleTimeout is how long an attempt may go without a byte from the
	// server before it fails with [ErrIdleTimeout]. The wait for the
	// response's headers counts; time spent in the body of the caller's loop
	// does not. Zero means no limit.
	IdleTimeout time.Duration

	// ReadLimit is the decoder's limit in bytes: see [Decoder.SetReadLimit].
	// A larger event ends the loop with [ErrEventTooLarge].
	ReadLimit int64

	// Positions makes the loop yield position events too: those of type
	// "position" whose data is exactly {}. A Tidings hub sends them so that
	// their ID is the stream's position in the hub's log. By default they move
	// the last event ID and are not yielded. Either way they do not count as
	// events in the backoff.
	Positions bool

	// Resend allows a request to be sent again even if its method is not
	// idempotent (RFC 9110 §9.2.2), such as POST.
	Resend bool

	// Prepare, unless nil, may change the URL and the headers of each request
	// before it is sent, for example to set a fresh token. After a redirect to
	// another origin, the client removes credentials again. An error fails the
	// attempt like a network error; to give up, cancel the request's context.
	Prepare func(*http.Request) error

	// OnOpen, unless nil, is called when a stream has opened, before its
	// first event. It must not read the response's body.
	OnOpen func(*http.Response)

	// OnError, unless nil, is called when an attempt has failed and another
	// follows, with the error and the time until the next attempt. At a clean
	// end of the stream the error is [io.EOF].
	OnError func(err error, next time.Duration)

	// OnComment, unless nil, is called with each comment: see [Decoder].
	OnComment func(string)
}

var (
	// ErrNoContent reports a 204 response, which ends the stream for good
	// (WHATWG HTML §9.2.1).
	ErrNoContent = errors.New("sse: the server ended the stream (204 No Content)")

	// ErrContentType reports a response that is not an event stream. The error
	// that wraps it is a [ContentTypeError].
	ErrContentType = errors.New("sse: not an event stream")

	// ErrIdleTimeout reports an attempt that [Client.IdleTimeout] ended.
	ErrIdleTimeout = errors.New("sse: idle timeout")
)

// A StatusError reports a response whose status is not 200.
type StatusError struct {
	Code   int
	Header http.Header
	Body   []byte // the first 4 KiB at most, as far as they arrived within a second
}

func (e *StatusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("sse: unexpected status %d %s", e.Code, http.StatusText(e.Code))) // 529 has no name
}

// temporary reports whether the same request may succeed later. The standard
// gives up at any status but 200, because a user can reload a page. A program has
// no user to do so, and must outlive a server's restart or overload.
func (e *StatusError) temporary() bool {
	switch e.Code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.Code >= 500
}

// A ContentTypeError reports a response of status 200 that is not an event stream,
// such as a page or an API's {"error":…}. It wraps [ErrContentType].
type ContentTypeError struct {
	Header http.Header
	Body   []byte // the first 4 KiB at most, as far as they arrived within a second
}

func (e *ContentTypeError) Error() string {
	return fmt.Sprintf("%v: Content-Type %q", ErrContentType, e.Header.Get("Content-Type"))
}

func (e *ContentTypeError) Unwrap() error { return ErrContentType }

// Events returns the events of one logical stream, over any number of
// connections. It is c.Source(req).Events().
//
// The iterator's only error is its last element, the reason why it gave up: the
// context's error, [ErrNoContent], a [ContentTypeError], a [StatusError],
// [ErrEventTooLarge], or the error of a request that must not be sent again,
// which is [io.EOF] after a clean end. Errors that a new connection may resolve go
// to [Client.OnError] instead.
//
// The request's context ends the loop. Its headers are sent each time; Accept and
// Cache-Control are added unless it has its own. Its body is sent again by means
// of GetBody.
func (c *Client) Events(req *http.Request) iter.Seq2[Event, error] {
	return c.Source(req).Events()
}

// Once returns the events of a single response, such as the output of a model. It
// never sends the request again. A clean end of the stream is success; any other
// end is an error, the iterator's last element.
func (c *Client) Once(req *http.Request) iter.Seq2[Event, error] {
	s := c.Source(req)
	s.once = true
	return s.Events()
}

// Source returns the stream that answers req. It sends nothing until the loop over
// its events begins.
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

// isEventStream compares only what comes before the parameters. None of them
// matters, because an event stream is always UTF-8. Like browsers, it also stops at
// a comma, because "text/event-stream,utf-8" is common.
func isEventStream(contentType string) bool {
	if i := strings.IndexAny(contentType, ";,"); i >= 0 {
		contentType = contentType[:i]
	}
	return strings.EqualFold(strings.Trim(contentType, " \t"), MediaType)
}

// beginning returns the first 4 KiB of body, as far as they arrive within a
// second, because the body of a refusal may never end.
func beginning(body io.Reader, cancel context.CancelCauseFunc) []byte {
	defer time.AfterFunc(time.Second, func() { cancel(nil) }).Stop()
	b, _ := io.ReadAll(io.LimitReader(body, 4<<10))
	return b
}
