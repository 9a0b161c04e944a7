package hub

import (
	"context"
	"sync"
	"time"
)

// takeSize is how many bytes Serve writes at a time. It copies them, so that a stream
// whose peer is slow keeps no page and no part of a window in memory while it waits.
const takeSize = 16 << 10

var takeBuffers = sync.Pool{New: func() any { return new([takeSize]byte) }}

// Serve writes the stream, with a heartbeat when it has been silent for
// [StreamOptions].Heartbeat. It blocks until ctx ends, the stream has to end, or write
// fails, and returns the reason: the context's error, write's, [ErrDrained],
// [ErrExpired], the cause given to [Stream.End], [ErrEventTrimmed], [ErrEventDeleted] or
// the hub's error. If write fails when the stream has to end anyway, Serve returns the
// reason for the end. It does not close the stream.
//
// Each call of write gets whole blocks, or a part of a large event, at most 16 KiB. write
// must not keep the bytes. It may block: the stream then lags like one whose peer reads
// slowly, and loses nothing.
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

// writeSome writes the first bytes of b, which Peek returned.
func (st *Stream) writeSome(b []byte, write func([]byte) error) error {
	buf := takeBuffers.Get().(*[takeSize]byte)
	defer takeBuffers.Put(buf)
	n := copy(buf[:], b[:st.whole(len(b), takeSize)])
	s := st.step(n)
	st.cursor.Rest() // write may block for long
	if err := write(buf[:n]); err != nil {
		return err
	}
	st.advance(s)
	return nil
}

// await blocks until there is something to write, and returns what Peek returns.
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
		case <-st.cursor.Waker().(signal):
		case <-ctx.Done():
		case <-heartbeat.C:
			st.Beat()
			heartbeat.Reset(st.heartbeat)
		}
	}
}
