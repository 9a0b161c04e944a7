package hub

import (
	"errors"
	"time"
)

var (
	// ErrExpired ends a stream whose grant has come to its end.
	ErrExpired = errors.New("hub: the stream's grant has expired")
	// ErrKicked ends a stream that an operator wants gone.
	ErrKicked = errors.New("hub: the stream was ended by an operator")
)

// WasEnded reports whether a stream's error is an end that was wanted: by a
// drain, by its grant, or by an operator.
func WasEnded(err error) bool {
	return errors.Is(err, ErrDrained) || errors.Is(err, ErrExpired) || errors.Is(err, ErrKicked)
}

// End has the stream end between two events, as soon as it can: [Stream.Next]
// then returns cause. Any goroutine may call it, at any time; the first cause
// counts.
func (st *Stream) End(cause error) {
	st.end.CompareAndSwap(nil, &cause)
	st.cursor.notify()
}

// ended tells why the stream has to end, or nil.
func (st *Stream) ended() error {
	if cause := st.end.Load(); cause != nil {
		return *cause
	}
	return nil
}

// endAt has the stream end at a time; the zero time is never.
func (st *Stream) endAt(t time.Time) {
	if !t.IsZero() {
		st.expiry = time.AfterFunc(time.Until(t), func() { st.End(ErrExpired) })
	}
}
