package hub

import (
	"context"
	"errors"
	"time"

	"github.com/tidings-sse/tidings/internal/feed"
)

var (
	// ErrExpired ends a stream when its grant expires.
	ErrExpired = errors.New("hub: the stream's grant has expired")
	// ErrKicked ends a stream on an operator's order. Its client may reconnect.
	ErrKicked = errors.New("hub: the stream was ended by an operator")
	// ErrRevoked ends a stream whose client will be refused from now on.
	ErrRevoked = errors.New("hub: the stream was ended for good by an operator")
	// ErrStalled ends a stream whose peer accepts no data.
	ErrStalled = errors.New("hub: the stream's peer takes nothing")
	// ErrEventTrimmed ends a stream that has sent a part of an event when retention drops
	// that event. The client discards the part, resumes, and receives a gap.
	ErrEventTrimmed = errors.New("hub: retention has dropped an event that was being sent")
	// ErrEventDeleted ends a stream that has sent a part of an event when an operator
	// deletes that event. The client discards the part and resumes after the event.
	ErrEventDeleted = feed.ErrDeleted
)

// WasEnded reports whether a stream's error is an intended end between two events: a
// drain, the expiry of its grant, or an operator's order.
func WasEnded(err error) bool {
	return errors.Is(err, ErrDrained) || errors.Is(err, ErrExpired) || errors.Is(err, ErrKicked) || IsFinal(err)
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

// LostEvent reports whether a stream ended within an event because that event is no
// longer retained.
func LostEvent(err error) bool {
	return errors.Is(err, ErrEventTrimmed) || errors.Is(err, ErrEventDeleted)
}

// A DisconnectReason is why a stream ended, as metrics count it.
type DisconnectReason uint8

const (
	ClientGone   DisconnectReason = iota // the peer or its network closed the connection
	Stalled                              // [ErrStalled]: the peer accepted not one byte during the write timeout
	Drained                              // [ErrDrained]: the hub is shutting down
	Kicked                               // [ErrKicked], [ErrRevoked]: an operator ended it
	TokenExpired                         // [ErrExpired]
	EventTrimmed                         // [ErrEventTrimmed]
	EventDeleted                         // [ErrEventDeleted]
	Failed                               // the hub or its log failed, or any other cause
	reasons
)

var reasonNames = [reasons]string{"client_gone", "stalled", "drained", "kicked", "token_expired", "trimmed", "deleted", "error"}

func (r DisconnectReason) String() string { return reasonNames[r] }

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
