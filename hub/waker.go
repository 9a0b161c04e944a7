package hub

// A Waker is told that there may be something to do. Wake must not block, and
// may come for nothing.
type Waker interface{ Wake() }

// signal is the [Waker] of who waits in a goroutine of its own. It holds one
// token when there may be something to do.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) Wake() {
	select {
	case s <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// wakes wakes whoever reads a stream at the time.
type wakes struct{ st *Stream }

func (w wakes) Wake() { w.st.wake() }

// wakeStreams wakes every stream, so that it looks at the hub's state.
func (h *Hub) wakeStreams() {
	h.eachStream(StreamFilter{}, (*Stream).wake)
}
