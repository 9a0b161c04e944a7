package park

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"

	"github.com/tidings-sse/tidings/hub"
)

// maxInput is how much a peer may send on a connection that is only written to.
const maxInput = 64 << 10

// A parked stream is one descriptor and what it is sent. Its shard's loop alone
// touches it, apart from Wake.
type parked struct {
	st    *hub.Stream
	shard *shard
	fd    int32
	input int // bytes that the peer has sent
	key   key // among the shard's

	queued   atomic.Bool // it is in the shard's inbox or its queue
	parked   bool        // it is in the epoll set, and the table
	together bool        // it is served with others of its feed
	gone     bool        // it has been closed
	full     bool        // the socket takes no more for now
	jitter   int32       // ticks that its heartbeats come early
	ring     links       // in a slot of the wheel of heartbeats,
	slot     int64       // which is this one
	stuck    links       // in the list of those that are full
}

// entry is p's in the table. It has been parked.
func (p *parked) entry() *entry { return &p.shard.table[p.key.slot] }

// A key finds a parked stream for an event of its descriptor, unless another has
// taken its place since.
type key struct{ slot, generation int32 }

// Wake has the shard look at the stream.
func (p *parked) Wake() {
	if p.queued.CompareAndSwap(false, true) {
		p.shard.push(p)
	}
}

// turns is how many writes a stream gets before it is the next one's turn.
const turns = 4

// run writes what there is to write, and reports whether there is more.
func (p *parked) run() (more bool, err error) {
	for range turns {
		b, err := p.st.Peek()
		if len(b) == 0 || err != nil {
			return false, err
		}
		n, err := send(p.fd, b)
		if err != nil {
			return false, err
		}
		more := true
		if n > 0 {
			more = p.st.Advance(n)
			p.entry().last = p.shard.now
		}
		if n < len(b) {
			p.st.Rest()
			p.shard.block(p)
			return false, nil
		}
		if !more {
			return false, nil
		}
	}
	return true, nil
}

// drain discards what the peer has sent. A peer that has closed its half has
// gone: no browser does that and reads on.
func (p *parked) drain() error {
	for {
		n, err := receive(p.fd, p.shard.scratch[:])
		switch {
		case n > 0:
			if p.input += n; p.input > maxInput {
				return errInput
			}
		case n == 0 && err == nil:
			return context.Canceled
		case errors.Is(err, syscall.EAGAIN):
			return nil
		case !errors.Is(err, syscall.EINTR):
			return err
		}
	}
}

var errInput = errors.New("park: the peer sends, on a stream that is only written to")

// cause tells why a stream ended, of what came of reading or writing it.
func cause(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, errInput):
		return context.Canceled
	case errors.Is(err, syscall.ETIMEDOUT): // what TCP_USER_TIMEOUT gives
		return hub.ErrStalled
	case errors.As(err, &errno): // the peer's end, in one of many forms
		return context.Canceled
	}
	return err
}
