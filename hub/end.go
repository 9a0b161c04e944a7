package hub

import (
	"context"
	"errors"
	"time"
)

// WasEnded reports whether a stream's error is no fault: a drain, the expiry of its grant,
// an operator's order, or that the event which was being sent is no longer retained.
func WasEnded(err error) bool {
	return errors.Is(err, ErrDrained) || errors.Is(err, ErrExpired) || errors.Is(err, ErrKicked) || IsFinal(err) ||
		errors.Is(err, ErrEventTrimmed) || errors.Is(err, ErrEventDeleted)
}

// IsFinal reports whether a stream's error means that its client should not reconnect.
// Some clients stay away after a response that ends properly, so the response of any
// other stream must end as a broken one does.
func IsFinal(err error) bool { return errors.Is(err, ErrRevoked) }

// End makes the stream end between two events, as soon as possible: [Stream.Serve] and
// [Stream.Peek] then return cause. Any goroutine may call it at any time. The first cause
// counts.
func (st *Stream) End(cause error) {
	st.end.CompareAndSwap(nil, &cause)
	st.over()
}

// Refuse returns the whole body for a stream that cannot be served after all: a
// reconnection time, and the position where the stream begins, so that its client misses
// nothing. The caller must still close the stream.
func (st *Stream) Refuse(retry time.Duration) []byte {
	st.namePosition(retry)
	return st.own
}

// OnOver makes the stream call f when it has to end, for a caller of [Stream.Serve] whose
// write may be blocked then. f may be called from any goroutine, and more than once.
func (st *Stream) OnOver(f func()) { st.onOver.Store(&f) }

// over wakes the goroutine or shard that serves the stream, because the stream has to
// end.
func (st *Stream) over() {
	st.cursor.Wake()
	if f := st.onOver.Load(); f != nil {
		(*f)()
	}
}

// ended returns the cause given to [Stream.End], or nil.
func (st *Stream) ended() error {
	if cause := st.end.Load(); cause != nil {
		return *cause
	}
	return nil
}

// A DisconnectReason is why a stream ended, as metrics count it.
type DisconnectReason string

const (
	ClientGone   DisconnectReason = "client_gone"   // the peer or its network closed the connection
	Stalled      DisconnectReason = "stalled"       // [ErrStalled]: the peer accepted not one byte during the write timeout
	Drained      DisconnectReason = "drained"       // [ErrDrained]: the hub is shutting down
	Kicked       DisconnectReason = "kicked"        // [ErrKicked], [ErrRevoked]: an operator ended it
	TokenExpired DisconnectReason = "token_expired" // [ErrExpired]
	EventTrimmed DisconnectReason = "trimmed"       // [ErrEventTrimmed]
	EventDeleted DisconnectReason = "deleted"       // [ErrEventDeleted]
	Failed       DisconnectReason = "error"         // the hub or its log failed, or any other cause
)

// reasonOf returns the reason for a cause given to [Stream.End]; nil means that none was.
func reasonOf(cause error) DisconnectReason {
	switch {
	case cause == nil, errors.Is(cause, context.Canceled), errors.Is(cause, context.DeadlineExceeded):
		return ClientGone
	case errors.Is(cause, ErrStalled):
		return Stalled
	case errors.Is(cause, ErrDrained):
		return Drained
	case errors.Is(cause, ErrKicked), errors.Is(cause, ErrRevoked):
		return Kicked
	case errors.Is(cause, ErrExpired):
		return TokenExpired
	case errors.Is(cause, ErrEventTrimmed):
		return EventTrimmed
	case errors.Is(cause, ErrEventDeleted):
		return EventDeleted
	}
	return Failed
}
