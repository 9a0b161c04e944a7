package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"sync"
	"time"
)

// A State is what a [Source] is doing, like EventSource's readyState.
type State int

const (
	Connecting State = iota // or waiting to connect, or not started
	Open
	Closed
)

func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Open:
		return "open"
	}
	return "closed"
}

// A Source is one logical stream of events, like an EventSource. Its methods may be
// called from any goroutine, and from its client's functions.
type Source struct {
	client *Client
	req    *http.Request
	once   bool

	// Used by the loop's goroutine only.
	sent    bool    // req has been sent at least once
	target  *target // where redirects led; nil: none
	backoff backoff

	mu      sync.Mutex
	state   State
	looping bool
	closed  bool
	again   bool                    // Reconnect was called and has not taken effect yet
	cancel  context.CancelCauseFunc // ends the current round
	lastID  string
	sendID  string // the newest last event ID that a header can carry
}

var (
	errLooping   = errors.New("sse: the source's events are already being read")
	errStopped   = errors.New("sse: stopped")
	errReconnect = errors.New("sse: reconnecting as asked")
)

// ReadyState returns the source's state.
func (s *Source) ReadyState() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// LastEventID returns the last event ID: that of the newest event yielded to the
// loop, or of a position event or block without data after it.
func (s *Source) LastEventID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastID
}

// Close ends the loop for good, without an error. It does not wait for the loop.
func (s *Source) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.state = true, Closed
	if s.cancel != nil {
		s.cancel(errStopped)
	}
}

// Reconnect drops the connection, or ends the wait for one, and connects at once.
// If the server can resume, it sends again what was received but not yet yielded to
// the loop.
func (s *Source) Reconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = true
	if s.cancel != nil {
		s.cancel(errReconnect)
	}
}

// Events returns the source's events: see [Client.Events]. Only one loop at a time
// may read them; a loop that follows a break resumes where the last one stopped.
// After Close it yields none.
func (s *Source) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if !s.begin() {
			yield(Event{}, errLooping)
			return
		}
		defer s.end()
		err := s.loop(yield)
		s.setState(Closed)
		if err != nil {
			yield(Event{}, err)
		}
	}
}

func (s *Source) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looping {
		return false
	}
	s.looping = true
	return true
}

func (s *Source) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looping, s.state = false, Closed
}

// loop returns nil if the caller ended it, and otherwise the reason why it gave up.
func (s *Source) loop(yield func(Event, error) bool) error {
	var wait time.Duration
	for {
		err := s.round(wait, yield)
		if err == errStopped || s.once && err == io.EOF {
			return nil
		}
		if err := s.req.Context().Err(); err != nil {
			return err
		}
		if s.once || !temporary(err) {
			return err
		}
		if refused := s.mayResend(); refused != nil {
			return fmt.Errorf("%w: %w", refused, err)
		}
		if err == errReconnect {
			wait = 0
			continue
		}
		wait = s.backoff.next(retryAfter(err))
		if s.client.OnError != nil {
			s.client.OnError(err, wait)
		}
	}
}

// round waits, makes one attempt, and returns the error that ended it, which is
// never nil. Cancelling its context ends all that the attempt started.
func (s *Source) round(wait time.Duration, yield func(Event, error) bool) error {
	ctx, cancel := context.WithCancelCause(s.req.Context())
	defer cancel(nil)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errStopped
	}
	if s.again {
		s.again, wait = false, 0
	}
	s.cancel, s.state = cancel, Connecting
	s.mu.Unlock()

	err := sleep(ctx, wait)
	if err == nil {
		err = s.attempt(ctx, cancel, yield)
	}
	s.setState(Connecting)
	return err
}

func (s *Source) attempt(ctx context.Context, cancel context.CancelCauseFunc, yield func(Event, error) bool) error {
	s.backoff.worked = false
	req, err := s.request(ctx)
	if err != nil {
		return endedBy(ctx, err)
	}
	timeout := s.client.IdleTimeout
	var idle *time.Timer
	if timeout > 0 {
		idle = time.AfterFunc(timeout, func() { cancel(ErrIdleTimeout) })
		defer idle.Stop()
	}
	header := req.Header.Clone() // because a cookie jar adds to the request's header
	s.sent = true
	resp, err := s.client.httpClient().Do(req)
	if err != nil {
		s.goBack()
		return endedBy(ctx, err)
	}
	defer resp.Body.Close()
	body := io.Reader(resp.Body)
	if idle != nil {
		idle.Stop()
		body = idleReader{body, idle, timeout}
	}
	if err := check(resp, cancel); err != nil {
		return err
	}
	s.follow(header, resp.Request)
	s.setState(Open)
	if s.client.OnOpen != nil {
		s.client.OnOpen(resp)
	}
	return s.read(ctx, body, yield)
}

// read yields the events in body to the loop and returns the error that ended them.
func (s *Source) read(ctx context.Context, body io.Reader, yield func(Event, error) bool) error {
	d := NewDecoder(body)
	d.SetReadLimit(s.client.ReadLimit)
	d.OnComment = s.client.OnComment
	d.onID = s.setID
	d.lastID = s.LastEventID()
	opened := time.Now()
	for {
		e, err := d.Next()
		if t, ok := d.ReconnectionTime(); ok {
			s.backoff.setBase(t)
		}
		if err != nil {
			if time.Since(opened) >= settled {
				s.backoff.success()
			}
			return endedBy(ctx, err)
		}
		position := isPosition(e)
		if position && !s.client.Positions {
			s.setID(e.ID)
			continue
		}
		if err := s.accept(e); err != nil {
			return err
		}
		if !position { // a hub that fails right after its first block does not count as working
			s.backoff.success()
		}
		if !yield(e, nil) {
			return errStopped
		}
	}
}

// isPosition reports whether e is a hub's position event: see
// [Client.Positions]. Other servers may use the type for events of their own.
func isPosition(e Event) bool { return e.Type == "position" && e.Data == "{}" }

// accept moves the last event ID to that of an event about to be yielded. If the
// loop must end instead, it returns the reason and leaves the ID unchanged, so that
// the event is not lost.
func (s *Source) accept(e Event) error {
	if err := s.req.Context().Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errStopped
	case s.again:
		return errReconnect
	}
	s.moveTo(e.ID)
	return nil
}

func (s *Source) setID(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moveTo(id)
}

func (s *Source) moveTo(id string) {
	if id == s.lastID {
		return
	}
	s.lastID = id
	if sendable(id) {
		s.sendID = id
	}
}

func (s *Source) setState(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.state = state
	}
}

// sleep waits for d. It returns the cause if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return endedBy(ctx, nil)
	}
}

// endedBy returns the cause if ctx ended, because that explains more than err, which
// follows from it. Otherwise it returns err.
func endedBy(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// An idleReader runs its timer while a read blocks.
type idleReader struct {
	io.Reader
	timer   *time.Timer
	timeout time.Duration
}

func (r idleReader) Read(p []byte) (int, error) {
	r.timer.Reset(r.timeout)
	defer r.timer.Stop()
	return r.Reader.Read(p)
}
