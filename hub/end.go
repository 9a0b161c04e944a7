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
)

// WasEnded reports whether a stream's error is an end that was wanted: by a
// drain, by its grant, or by an operator.
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
	st.wake()
}

// ended tells why the stream has to end, or nil.
func (st *Stream) ended() error {
	if cause := st.end.Load(); cause != nil {
		return *cause
	}
	return nil
}

// A DisconnectReason is why a stream ended, as it is counted.
type DisconnectReason uint8

const (
	ClientGone   DisconnectReason = iota // the peer closed it, or its network did
	Stalled                              // [ErrStalled]: the peer took not one byte for the write timeout
	Drained                              // [ErrDrained]: the hub shuts down
	Kicked                               // [ErrKicked], [ErrRevoked]: an operator ended it
	TokenExpired                         // [ErrExpired]
	Failed                               // the hub or its log did
	reasons
)

var reasonNames = [reasons]string{"client_gone", "stalled", "drained", "kicked", "token_expired", "error"}

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
	}
	return Failed
}

// endAt has the stream end at a time; the zero time is never.
func (st *Stream) endAt(t time.Time) {
	if !t.IsZero() {
		st.expiry = time.AfterFunc(time.Until(t), func() { st.End(ErrExpired) })
	}
}
