package park

import "github.com/tidings-sse/tidings/hub"

// A sink writes, as a [hub.Sink], for the streams in a shard's Fanout.
type sink struct{ s *shard }

var _ hub.Sink = sink{}

// Wake implements [hub.Sink].
func (k sink) Wake() {
	s := k.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awake = true
	s.rouse()
}

// Write implements [hub.Sink].
func (k sink) Write(slot int32, b []byte) (int, error) {
	at := &k.s.table[slot]
	n, err := send(at.fd, b)
	if n > 0 {
		at.last = k.s.now
	}
	if n < len(b) && err == nil {
		k.s.block(at.p)
	}
	return n, err
}

// Leave implements [hub.Sink].
func (k sink) Leave(slot int32, err error) {
	s, p := k.s, k.s.table[slot].p
	p.together = false
	switch {
	case err != nil:
		s.close(p, cause(err))
	case p.full:
		p.st.Rest()
	default:
		s.enqueue(p)
	}
}
