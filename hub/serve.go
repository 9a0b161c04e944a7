package hub

import (
	"context"
	"sync"
	"time"
)

// takeSize is how many bytes Serve writes at a time. They are copied, so that a stream
// whose peer is slow keeps no page of the log, and no part of a window, while it waits.
const takeSize = 16 << 10

var takeBuffers = sync.Pool{New: func() any { return new([takeSize]byte) }}

// Serve writes the stream until ctx ends, the stream has to end, or write fails, and
// returns the reason: the context's error, write's, [ErrDrained], [ErrExpired], the cause
// that [Stream.End] was given, [ErrEventTrimmed], [ErrEventDeleted] or the hub's error.
// If write fails when the stream has to end, the latter is the reason.
//
// What write gets is whole blocks, or a part of an event that is large, at most 16 KiB.
// It must not keep the bytes. It may block; the stream then lags, as one does whose
// peer reads slowly, and Serve drops nothing.
func (st *Stream) Serve(ctx context.Context, write func([]byte) error) error {
	for {
		b, err := st.await(ctx)
		if err != nil {
			return err
		}
		if err := st.writeSome(b, write); err != nil {
			if over := st.Over(); over != nil {
				return over
			}
			return err
		}
	}
}

// writeSome writes the first of what Peek returned.
func (st *Stream) writeSome(b []byte, write func([]byte) error) error {
	buf := takeBuffers.Get().(*[takeSize]byte)
	defer takeBuffers.Put(buf)
	n := copy(buf[:], b[:st.whole(len(b), takeSize)])
	s := st.step(n)
	st.Rest() // the peer may take its time
	if err := write(buf[:n]); err != nil {
		return err
	}
	st.advance(s)
	return nil
}

// await blocks until there is something to write, and returns it as Peek does.
func (st *Stream) await(ctx context.Context) ([]byte, error) {
	var heartbeat *time.Timer
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, err := st.Peek()
		if err != nil {
			st.End(err)
			return nil, err
		}
		if len(b) > 0 {
			return b, nil
		}
		if heartbeat == nil {
			heartbeat = time.NewTimer(st.heartbeat)
			defer heartbeat.Stop()
		}
		select {
		case <-st.cursor.waker.(signal):
		case <-ctx.Done():
		case <-heartbeat.C:
			st.Beat()
			heartbeat.Reset(st.heartbeat)
		}
	}
}
