package hub

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrExpired ends a stream whose grant has come to its end.
	ErrExpired = errors.New("hub: the stream's grant has expired")
	// ErrKicked ends a stream that an operator wants gone. Its client may come
	// back.
	ErrKicked = errors.New("hub: the stream was ended by an operator")
	// ErrRevoked ends a stream whose client is refused from now on.
	ErrRevoked = errors.New("hub: the stream was ended for good by an operator")
	// ErrStalled ends a stream whose peer takes nothing.
	ErrStalled = errors.New("hub: the stream's peer takes nothing")
	// ErrEventTrimmed ends a stream that has sent a part of an event which retention
	// has dropped since. Its client discards the part, resumes, and gets a gap.
	ErrEventTrimmed = errors.New("hub: retention has dropped an event that was being sent")
	// ErrEventDeleted ends a stream that has sent a part of an event which an operator
	// has deleted since. Its client discards the part and resumes after it.
	ErrEventDeleted = errors.New("hub: an event that was being sent has been deleted")
)

// WasEnded reports whether a stream's error is an end that was wanted, between
// two events: by a drain, by its grant, or by an operator.
func WasEnded(err error) bool {
	return errors.Is(err, ErrDrained) || errors.Is(err, ErrExpired) || errors.Is(err, ErrKicked) || IsFinal(err)
}

// IsFinal reports whether a stream's end is the last word to its client. Some
// clients take a response that ends as it should for that, and stay away: the
// response of any other stream must end as a broken one does.
func IsFinal(err error) bool { return errors.Is(err, ErrRevoked) }

// End has the stream end between two events, as soon as it can: [Stream.Next]
// then returns cause. Any goroutine may call it, at any time; the first cause
// counts.
func (st *Stream) End(cause error) {
	st.end.CompareAndSwap(nil, &cause)
	st.over()
}

// Refuse returns all that is sent on a stream which cannot be served after all: where
// it begins, so that its client misses nothing, and a time after which to come back.
func (st *Stream) Refuse(retry time.Duration) []byte {
	st.namePosition(retry)
	return st.own
}

// OnOver has f called when the stream has to end, for a caller of [Stream.Next] that
// may be waiting for its peer then. Any goroutine may call f, and more than once.
func (st *Stream) OnOver(f func()) { st.onOver.Store(&f) }

// over wakes the goroutine or shard that serves the stream, because it has to end.
func (st *Stream) over() {
	st.wake()
	if f := st.onOver.Load(); f != nil {
		(*f)()
	}
}

// ended tells why the stream has to end, or nil.
func (st *Stream) ended() error {
	if cause := st.end.Load(); cause != nil {
		return *cause
	}
	return nil
}

// LostEvent reports whether a stream's error is that the event it was sending is
// retained no more. The stream has ended within that event.
func LostEvent(err error) bool {
	return errors.Is(err, ErrEventTrimmed) || errors.Is(err, ErrEventDeleted)
}

// A DisconnectReason is why a stream ended, as it is counted.
type DisconnectReason uint8

const (
	ClientGone   DisconnectReason = iota // the peer closed it, or its network did
	Stalled                              // [ErrStalled]: the peer took not one byte for the write timeout
	Drained                              // [ErrDrained]: the hub shuts down
	Kicked                               // [ErrKicked], [ErrRevoked]: an operator ended it
	TokenExpired                         // [ErrExpired]
	EventTrimmed                         // [ErrEventTrimmed]
	EventDeleted                         // [ErrEventDeleted]
	Failed                               // the hub or its log did
	reasons
)

var reasonNames = [reasons]string{"client_gone", "stalled", "drained", "kicked", "token_expired", "trimmed", "deleted", "error"}

func (r DisconnectReason) String() string { return reasonNames[r] }

// reasonOf is the reason for a cause that [Stream.End] was given, or for none.
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
