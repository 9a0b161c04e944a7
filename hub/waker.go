package hub

// A signal is the [feed.Waker] of a goroutine that waits on the channel. It holds one token
// when there may be something to do.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) Wake() {
	select {
	case s <- struct{}{}:
	default: // a token is there already
	}
}

// wakeStreams wakes every stream so that it notices the hub's state.
func (h *Hub) wakeStreams() {
	h.eachStream(StreamFilter{}, func(st *Stream) { st.cursor.Wake() })
}
