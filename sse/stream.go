package sse

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// ErrNotAcceptable reports a request whose Accept header excludes an event
// stream. [Accept] has answered it with 406.
var ErrNotAcceptable = errors.New("sse: the request does not accept " + MediaType)

// ErrStreamClosed reports a write after [Stream.Close].
var ErrStreamClosed = errors.New("sse: stream closed")

// AcceptOptions configures a [Stream]. Nil and the zero value work.
type AcceptOptions struct {
	// Heartbeat is how long the stream may be silent before it sends a
	// comment, which keeps proxies from timing out and detects dead peers.
	// 0 means 15 s, as WHATWG HTML §9.2.7 advises; negative means never.
	Heartbeat time.Duration

	// WriteTimeout is how long a peer may take no bytes of a write before the write
	// fails. It replaces the server's WriteTimeout, which would end every stream
	// after a fixed time. Time in which the process does not run does not count.
	// 0 means 30 s; negative means no limit.
	WriteTimeout time.Duration
}

// A Stream is one open response that carries events. Its methods are safe for
// concurrent use, and each write ends with one flush.
type Stream struct {
	w           http.ResponseWriter
	rc          *http.ResponseController
	ctx         context.Context
	cancel      context.CancelCauseFunc
	lastEventID string
	stall       stall
	heartbeat   time.Duration // 0: none

	mu    sync.Mutex // guards all below, and w
	buf   []byte     // reused by Send and other methods that encode
	err   error      // of the first failed write, or ErrStreamClosed
	timer *time.Timer
}

// Accept answers r with an event stream: it sends the headers at once, lifts
// the server's read and write timeouts, and starts the heartbeat. Headers already
// set on w stay, so middleware may set cookies or CORS. A request body must be
// read before the call.
//
// If Accept returns an error before it has sent the headers, it has answered the
// request: with 406 and [ErrNotAcceptable], or with 500 if w cannot flush. Any other
// error is that of sending the headers.
//
// The handler must call [Stream.Close] before it returns.
func Accept(w http.ResponseWriter, r *http.Request, o *AcceptOptions) (*Stream, error) {
	if o == nil {
		o = new(AcceptOptions)
	}
	if !Accepts(r) {
		http.Error(w, "This resource is an event stream; ask for it with Accept: "+MediaType+".", http.StatusNotAcceptable)
		return nil, ErrNotAcceptable
	}
	if !canFlush(w) {
		http.Error(w, "This server cannot stream: a wrapped http.ResponseWriter has neither Flush nor Unwrap.", http.StatusInternalServerError)
		return nil, errors.New("sse: the http.ResponseWriter has neither Flush nor Unwrap")
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	s := &Stream{
		w:           w,
		rc:          http.NewResponseController(w),
		ctx:         ctx,
		cancel:      cancel,
		lastEventID: r.Header.Get("Last-Event-ID"),
		heartbeat:   orDefault(o.Heartbeat, 15*time.Second),
	}
	s.stall = newStall(s.rc, orDefault(o.WriteTimeout, 30*time.Second))
	h := w.Header()
	h.Set("Content-Type", MediaType)
	if h.Get("Cache-Control") == "" {
		// no-transform keeps proxies from compressing, which buffers.
		h.Set("Cache-Control", "no-cache, no-transform")
	}
	h.Set("X-Accel-Buffering", "no") // makes nginx forward each write at once
	h.Del("Content-Length")
	// A read deadline that passes ends the request's context, and with it the stream.
	// net/http lifts the server's own as soon as the body has been read, but not one
	// that middleware has set since. Writers without deadlines have none that could pass.
	_ = s.rc.SetReadDeadline(time.Time{})
	_ = s.rc.SetWriteDeadline(time.Time{}) // stall replaces the server's
	s.stall.begin()
	w.WriteHeader(http.StatusOK)
	err := s.rc.Flush()
	s.stall.end()
	if err != nil {
		cancel(err)
		return nil, err
	}
	if s.heartbeat > 0 {
		s.mu.Lock() // it may fire at once
		s.timer = time.AfterFunc(s.heartbeat, s.beat)
		s.mu.Unlock()
	}
	return s, nil
}

// Stop answers with 204, upon which an EventSource stops reconnecting for good
// (WHATWG HTML §9.2.3).
func Stop(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }

// Send sends e. An error that wraps [ErrInvalidField] concerns e alone; any
// other has ended the stream.
func (s *Stream) Send(e Event) error {
	return s.append(func(b []byte) ([]byte, error) { return AppendEvent(b, e) })
}

// Comment sends text as a comment, which receivers ignore.
func (s *Stream) Comment(text string) error {
	return s.append(func(b []byte) ([]byte, error) { return AppendComment(b, text), nil })
}

// SetReconnectionTime sets how long the client waits before it reconnects: see
// [AppendRetry].
func (s *Stream) SetReconnectionTime(d time.Duration) error {
	return s.append(func(b []byte) ([]byte, error) { return AppendRetry(b, d), nil })
}

// SetLastEventID sets the client's last event ID without an event; the empty id
// resets it. Not every client supports this: see [AppendID].
func (s *Stream) SetLastEventID(id string) error {
	return s.append(func(b []byte) ([]byte, error) { return AppendID(b, id) })
}

// Write sends p, which must consist of whole blocks as the Append functions encode
// them: several events at once, or an event encoded once for many streams.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(p)
}

// LastEventID returns the request's Last-Event-ID header: the ID of the event to
// resume after, or empty.
func (s *Stream) LastEventID() string { return s.lastEventID }

// Context ends when the peer disconnects, a write fails, or the stream is closed.
// [context.Cause] returns the reason.
func (s *Stream) Context() context.Context { return s.ctx }

// Hurry limits the current write, however long it has waited, and each later one to
// 100 ms; then they fail. Call it when the stream must end and another goroutine may be
// writing.
func (s *Stream) Hurry() { s.stall.hurry() }

// Close stops the heartbeat and makes later writes fail. The response itself
// ends when the handler returns.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(ErrStreamClosed)
	return nil
}

func (s *Stream) append(block func([]byte) ([]byte, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := block(s.buf[:0])
	if err != nil {
		return err
	}
	if cap(b) <= 64<<10 { // one large event must not stay for the stream's life
		s.buf = b
	}
	_, err = s.write(b)
	return err
}

// writeSize is how many bytes must be sent within one write timeout, the least that
// net/http passes on. A slow peer that takes this much in time is alive, however long
// the whole write takes.
const writeSize = 4 << 10

func (s *Stream) write(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	for n < len(p) && err == nil {
		s.stall.begin()
		var m int
		m, err = s.w.Write(p[n:min(n+writeSize, len(p))])
		n += m
	}
	if err == nil {
		err = s.rc.Flush()
	}
	s.stall.end()
	if err != nil {
		s.fail(err)
		return n, err
	}
	if s.timer != nil {
		s.timer.Reset(s.heartbeat)
	}
	return n, nil
}

// beat runs on the timer's goroutine, so that an idle stream needs none.
func (s *Stream) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		_, _ = s.write(append(s.buf[:0], ":\n"...)) // a failure has ended the context
	}
}

func (s *Stream) fail(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.cancel(err)
	if s.timer != nil {
		s.timer.Stop()
	}
}

// canFlush reports whether an [http.ResponseController] will find a flusher in w. It
// is asked before anything is sent, while the response can still become an error.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Flusher, interface{ FlushError() error }:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}
