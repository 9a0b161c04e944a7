package park

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"

	"github.com/tidings-sse/tidings/hub"
)

// maxInput is how many bytes a peer may send on a connection that is only written to.
const maxInput = 64 << 10

// A parked is a parked stream: its descriptor and its state. Only its shard's loop may
// use it, apart from Wake.
type parked struct {
	st    *hub.Stream
	shard *shard
	fd    int32
	input int // bytes that the peer has sent so far
	key   key // its key in the shard's table

	queued atomic.Bool // it is in the shard's inbox or one of its queues
	parked bool        // it is in the epoll set and in the table
	gone   bool        // it has been closed
	full   bool        // the socket accepts no more for now
	jitter int32       // how many ticks early its heartbeats come
	ring   links       // its links in a slot of the wheel
	slot   int64       // the index of that slot
	stuck  links       // its links in the list of full streams
}

// entry returns p's entry in the table. p must be parked.
func (p *parked) entry() *entry { return &p.shard.table[p.key.slot] }

// A key finds the parked stream of an epoll event. The generation shows whether another
// stream has the slot by now.
type key struct{ slot, generation int32 }

// Wake makes the shard serve the stream.
func (p *parked) Wake() {
	if p.queued.CompareAndSwap(false, true) {
		p.shard.push(p)
	}
}

// turns is how many writes a stream makes before the next one is served.
const turns = 4

// run writes what there is to send, at most turns times, and reports whether there is
// more.
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
			p.st.Cursor().Rest()
			p.shard.block(p)
			return false, nil
		}
		if !more {
			return false, nil
		}
	}
	return true, nil
}

// drain discards what the peer has sent. A peer that has closed its half of the
// connection counts as gone: browsers never do that and read on.
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

// cause returns the cause of a stream's end, given the error from reading or writing.
func cause(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, errInput):
		return context.Canceled
	case errors.Is(err, syscall.ETIMEDOUT): // TCP_USER_TIMEOUT has expired
		return hub.ErrStalled
	case errors.As(err, &errno): // the peer has gone, in one of many ways
		return context.Canceled
	}
	return err
}
