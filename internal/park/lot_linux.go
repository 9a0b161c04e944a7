package park

import (
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/hub"
)

// A Lot holds parked streams. Its methods may be called by several goroutines
// at once.
type Lot struct {
	hub    *hub.Hub
	o      Options
	start  sync.Once
	shards []*shard // empty if the system gives no epoll
	next   atomic.Uint32
	loops  sync.WaitGroup
	stop   chan struct{}
	closed sync.Once
	full   rate.Sometimes // in the log: a stream cannot be parked
}

// New returns a lot for the streams of a hub. It costs nothing until it is used.
func New(h *hub.Hub, o Options) *Lot {
	if o.Shards == 0 {
		o.Shards = min(runtime.GOMAXPROCS(0), runtime.NumCPU()) // more would only take turns
	}
	return &Lot{hub: h, o: o, stop: make(chan struct{}), full: rate.Sometimes{Interval: time.Minute}}
}

// Suits reports whether a request's stream can be parked: whether it is HTTP/1
// in the clear, nothing between us and the connection changes what is written,
// and the connection may be taken over.
func (l *Lot) Suits(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	return r.TLS == nil && r.ProtoMajor == 1 && r.Method == http.MethodGet &&
		h.Get("Content-Encoding") == "" && h.Get("Transfer-Encoding") == "" && hijackable(w) && l.started()
}

// hijackable reports whether an [http.ResponseController] will find a hijacker.
func hijackable(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// started starts the shards, and reports whether there are any.
func (l *Lot) started() bool {
	l.start.Do(func() {
		for range l.o.Shards {
			s, err := newShard(l.hub, l.o)
			if err != nil {
				break // no descriptors left: those there are have to do
			}
			l.shards = append(l.shards, s)
			l.loops.Go(s.loop)
		}
		if len(l.shards) > 0 {
			l.loops.Go(l.wait)
		}
	})
	return len(l.shards) > 0
}

// wait ends the shards when the hub ends or the lot is closed.
func (l *Lot) wait() {
	select {
	case <-l.hub.Done():
	case <-l.stop:
	}
	for _, s := range l.shards {
		s.shut()
	}
}

// Close ends the streams that are left and waits for the shards.
func (l *Lot) Close() {
	l.closed.Do(func() { close(l.stop) })
	l.start.Do(func() {})
	l.loops.Wait()
}

// Take parks st, the stream of a response whose headers have been sent, and
// reports whether it could. If so, the connection and st are the lot's, and the
// handler returns.
func (l *Lot) Take(w http.ResponseWriter, st *hub.Stream) bool {
	if w.Header().Get("Content-Encoding") != "" { // set by a wrapper, with the headers
		return false
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	fd, err := l.dup(conn)
	hold(l.o.Held, parkedSize) // while what the connection took is still counted, so that no other takes it
	if err == nil {
		err = conn.Close() // of two descriptors; the connection lives on
	}
	if err != nil {
		hold(l.o.Held, -parkedSize)
		l.turnAway(conn, st, err)
		return true // there is no response to go on with
	}
	p := l.newParked(st, fd)
	p.input = rw.Reader.Buffered() // what the peer sent early stays in the reader, and counts as input
	st.Park(p)
	p.hand()
	return true
}

// turnAway ends a response whose headers are sent and whose stream cannot be parked:
// mostly, because there is no descriptor left. The client comes back to where the stream
// was to begin. There is no last chunk, which clients may take for the stream's end.
func (l *Lot) turnAway(conn net.Conn, st *hub.Stream, err error) {
	l.full.Do(func() {
		l.o.Logger.Error("cannot park a stream; its client is told to come back", "err", err)
	})
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // it takes nothing only if its peer has gone
	_, _ = conn.Write(st.Refuse(l.o.Retry + rand.N(4*l.o.Retry+1)))
	_ = conn.Close()
	st.End(err)
	st.Close()
}

// newParked returns a stream that is about to be handed to its shard. It counts
// as queued from the start: a wake that comes before the shard has it pushes
// nothing, so that hand alone decides which side closes the descriptor.
func (l *Lot) newParked(st *hub.Stream, fd int32) *parked {
	s := l.shards[l.next.Add(1)%uint32(len(l.shards))]
	p := &parked{st: st, shard: s, fd: fd, jitter: rand.Int32N(int32(max(s.beats.beat/4, 1)))}
	p.queued.Store(true)
	return p
}

// hand gives the stream and its descriptor to the shard, which closes both. If
// the shard has ended, hand closes them.
func (p *parked) hand() {
	if !p.shard.push(p) {
		shut(p.fd)
		p.st.Close()
		hold(p.shard.held, -parkedSize)
	}
}

// parkedSize is how many bytes a parked stream takes, what it asks for aside: itself, its
// place in tables, and its share of what the hub keeps of streams.
const parkedSize = 3 << 10

// hold counts memory of parked streams.
func hold(held *budget.Share, n int64) {
	if held != nil {
		held.Add(n)
	}
}

// dup returns a descriptor of our own for a connection that net/http has taken
// from the runtime's poller, and sets what the listener may not have set: a
// bound on what the kernel takes from us before the peer has taken it, and an
// end to a peer that leaves data unacknowledged (RFC 5482).
func (l *Lot) dup(conn net.Conn) (fd int32, err error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return -1, syscall.ENOTSUP
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	ctlErr := raw.Control(func(from uintptr) {
		if fd, err = dup(from); err != nil {
			return
		}
		if _, isTCP := conn.LocalAddr().(*net.TCPAddr); isTCP {
			setTCP(fd, unix.TCP_NODELAY, 1)
			setTCP(fd, unix.TCP_NOTSENT_LOWAT, notSentLowWater)
			setTCP(fd, unix.TCP_USER_TIMEOUT, int(l.o.WriteTimeout.Milliseconds()))
		}
	})
	if ctlErr != nil {
		return -1, ctlErr
	}
	return fd, err
}

const notSentLowWater = 16 << 10

// tick is how finely time is told: heartbeats and timeouts come this much late.
func (o Options) tick() time.Duration {
	return max(min(o.Heartbeat, o.WriteTimeout)/wheelSlots, time.Millisecond)
}
