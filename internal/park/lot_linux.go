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

// A Lot holds parked streams. [New] makes one. Several goroutines may call its methods at
// once.
type Lot struct {
	hub    *hub.Hub
	o      Options
	start  sync.Once
	shards []*shard // empty if epoll is unavailable
	next   atomic.Uint32
	loops  sync.WaitGroup
	stop   chan struct{}
	closed sync.Once
	full   rate.Sometimes // limits the log line about streams that cannot be parked
}

// New returns a lot for the streams of a hub. It starts no goroutine and opens no
// descriptor until [Lot.Suits] first accepts a request.
func New(h *hub.Hub, o Options) *Lot {
	if o.Shards == 0 {
		o.Shards = min(runtime.GOMAXPROCS(0), runtime.NumCPU()) // more shards would only compete for processors
	}
	return &Lot{hub: h, o: o, stop: make(chan struct{}), full: rate.Sometimes{Interval: time.Minute}}
}

// Suits reports whether the stream of a request can be parked: it is a GET over
// unencrypted HTTP/1, no wrapper of w encodes what is written, the connection can be
// hijacked, and epoll is available.
func (l *Lot) Suits(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	return r.TLS == nil && r.ProtoMajor == 1 && r.Method == http.MethodGet &&
		h.Get("Content-Encoding") == "" && h.Get("Transfer-Encoding") == "" && hijackable(w) && l.started()
}

// hijackable reports whether an [http.ResponseController] will find a [http.Hijacker].
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

// started starts the shards at the first call, and reports whether there are any.
func (l *Lot) started() bool {
	l.start.Do(func() {
		for range l.o.Shards {
			s, err := newShard(l.hub, l.o)
			if err != nil {
				break // no descriptors left: use the shards there are
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

// Close ends the remaining streams and waits for the shards to end. It may be called more
// than once; streams are not parked afterwards.
func (l *Lot) Close() {
	l.closed.Do(func() { close(l.stop) })
	l.start.Do(func() {})
	l.loops.Wait()
}

// Take parks st, the stream of a response whose headers have been sent, and reports
// whether it took over. If so, the lot owns the connection and st, and the handler must
// return; that includes the case that the stream could not be parked and its client was
// asked to reconnect. If not, the handler must serve the stream itself.
func (l *Lot) Take(w http.ResponseWriter, st *hub.Stream) bool {
	if w.Header().Get("Content-Encoding") != "" { // a wrapper set it when the headers were sent
		return false
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	fd, err := l.dup(conn)
	hold(l.o.Held, parkedSize) // before the connection's own memory is uncounted, so that no other connection takes the room
	if err == nil {
		err = conn.Close() // closes one of two descriptors; the connection stays open
	}
	if err != nil {
		hold(l.o.Held, -parkedSize)
		l.turnAway(conn, st, err)
		return true // the response has ended
	}
	p := l.newParked(st, fd)
	p.input = rw.Reader.Buffered() // bytes that the peer sent early stay in the reader, and count as input
	st.Cursor().SetWaker(p)
	p.hand()
	return true
}

// turnAway ends a response whose headers are sent and whose stream cannot be parked,
// usually because no descriptor is left. The client is asked to reconnect where the
// stream was to begin. There is no last chunk, because clients may take it for the final
// end of the stream.
func (l *Lot) turnAway(conn net.Conn, st *hub.Stream, err error) {
	l.full.Do(func() {
		l.o.Logger.Error("cannot park a stream; its client has to come back", "err", err)
	})
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // a new connection has room for this unless its peer has gone
	_, _ = conn.Write(st.Refuse(l.o.Retry + rand.N(4*l.o.Retry+1)))
	_ = conn.Close()
	st.End(err)
	st.Close()
}

// newParked returns a stream to be handed to a shard. It counts as queued from the start,
// so that a wake before the shard has it pushes nothing. So hand alone decides which side
// closes the descriptor.
func (l *Lot) newParked(st *hub.Stream, fd int32) *parked {
	s := l.shards[l.next.Add(1)%uint32(len(l.shards))]
	p := &parked{st: st, shard: s, fd: fd, jitter: rand.Int32N(int32(max(s.beats.beat/4, 1)))}
	p.queued.Store(true)
	return p
}

// hand passes the stream and its descriptor to the shard, which will close both. If the
// shard has ended, hand closes them.
func (p *parked) hand() {
	if !p.shard.push(p) {
		shut(p.fd)
		p.st.Close()
		hold(p.shard.held, -parkedSize)
	}
}

// parkedSize is about how many bytes a parked stream takes, apart from what it asks for:
// the stream, its entries in tables, and its share of what the hub keeps for streams.
const parkedSize = 3 << 10

// hold counts n bytes of memory of parked streams; n may be negative.
func hold(held *budget.Share, n int64) {
	if held != nil {
		held.Add(n)
	}
}

// dup returns a second descriptor for a hijacked connection, which the runtime's poller
// does not watch. It sets what the listener may not have set: a bound on what the kernel
// buffers before it has sent it (TCP_NOTSENT_LOWAT), and a timeout for data that the peer
// leaves unacknowledged (TCP_USER_TIMEOUT, RFC 5482).
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

// tick returns the resolution of time in a shard: heartbeats and timeouts come up to this
// much late.
func (o Options) tick() time.Duration {
	return max(min(o.Heartbeat, o.WriteTimeout)/wheelSlots, time.Millisecond)
}
