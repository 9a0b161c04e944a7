package park

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime"

	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/hub"
)

const (
	// batch is how many streams a shard serves before it polls its descriptors again and
	// lets other goroutines run.
	batch = 256
	// maxEvents is how many epoll events are read at a time.
	maxEvents = 256
	// wakeSlot stands for the descriptor that wakes the shard.
	wakeSlot = -1
)

// A shard is a loop that serves the streams parked on it.
type shard struct {
	hub    *hub.Hub
	logger *slog.Logger
	held   *budget.Share // see Options
	epoll  int
	waker  int // an eventfd

	mu       sync.Mutex // guards what follows; push locks it with locks of the hub held
	inbox    []*parked  // streams to be served
	called   []*group   // groups to be served
	sleeping bool       // the loop waits in epoll_wait, and has to be woken
	shutting bool
	ended    bool

	// Only the loop uses what follows.
	batch      int       // see the constant
	groups     groups    // streams to be served together
	queue      queue     // streams to be served alone, from their windows
	history    queue     // streams to be served from the log
	restsUntil time.Time // when history may be served again
	begun      time.Time
	tick       time.Duration
	now        int64 // ticks since begun
	stall      int64 // the write timeout, in ticks
	table      []entry
	free       []int32 // free slots of table
	beats      wheel
	stuck      list // full streams, the longest ones first
	events     [maxEvents]unix.EpollEvent
	scratch    [4 << 10]byte
}

// An entry is a slot of a shard's table. It holds all that a write needs, so that the
// parked stream itself need not be touched.
type entry struct {
	p          *parked
	last       int64 // the tick when the socket last accepted data, or became full
	fd         int32
	generation int32
}

func newShard(h *hub.Hub, o Options) (*shard, error) {
	s := &shard{
		hub:    h,
		logger: o.Logger,
		held:   o.Held,
		batch:  batch,
		begun:  time.Now(),
		tick:   o.tick(),
		stuck:  list{in: stuckOf},
	}
	s.stall = max(int64(o.WriteTimeout/s.tick), 1)
	s.beats = newWheel(max(int64(o.Heartbeat/s.tick), 1))
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if s.waker, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(s.epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err := s.watch(int32(s.waker), unix.EPOLLIN, key{slot: wakeSlot}); err != nil {
		_, _ = unix.Close(s.epoll), unix.Close(s.waker)
		return nil, err
	}
	return s, nil
}

func (s *shard) watch(fd int32, events uint32, k key) error {
	e := unix.EpollEvent{Events: events, Fd: k.slot, Pad: k.generation}
	return os.NewSyscallError("epoll_ctl", watch(s.epoll, fd, e))
}

// push queues p to be served, and reports false if the shard has ended.
func (s *shard) push(p *parked) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.inbox = append(s.inbox, p)
	s.rouse()
	return true
}

// shut makes the loop end its streams and return.
func (s *shard) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shutting = true
	s.rouse()
}

// rouse wakes the loop if it sleeps. s.mu is held.
func (s *shard) rouse() {
	if !s.sleeping {
		return
	}
	s.sleeping = false
	one := [8]byte{1}
	_, _ = unix.Write(s.waker, one[:]) // fails only if the loop has been woken already
}

func (s *shard) loop() {
	for !s.turn() {
	}
	s.end()
}

// turn waits until there is something to do and does some of it. It reports whether the
// shard is to end.
func (s *shard) turn() (shut bool) {
	wait, shut := s.collect()
	if shut {
		return true
	}
	s.poll(wait)
	s.keepTime()
	if s.queue.take(s.batch, s.serve)+s.serveHistory()+s.serveGroups() > 0 {
		runtime.Gosched() // let publishers run
	}
	return false
}

// historySlice is how long streams that catch up are served at a time, before live
// streams are served again.
const historySlice = 250 * time.Microsecond

// serveHistory serves streams that catch up. While events are being published it then
// rests for at least as long, because publishers and the peers' side of the network need
// the CPU as well.
func (s *shard) serveHistory() (n int) {
	if len(s.history) == 0 {
		return 0
	}
	begun := time.Now()
	if begun.Before(s.restsUntil) {
		return 0
	}
	now := begun
	for len(s.history) > 0 && now.Sub(begun) < historySlice {
		n += s.history.take(1, s.serve)
		now = time.Now()
	}
	if s.hub.Live() {
		s.restsUntil = now.Add(now.Sub(begun))
	}
	return n
}

// serveGroups serves groups when one is due, and returns how often it did.
func (s *shard) serveGroups() int {
	now := time.Now()
	if s.groups.next.IsZero() || now.Before(s.groups.next) {
		return 0
	}
	s.groups.serve(s.batch, now)
	return 1
}

// write writes to the socket of a stream in a group, and returns how many bytes it
// accepted.
func (s *shard) write(slot int32, b []byte) (int, error) {
	at := &s.table[slot]
	n, err := send(at.fd, b)
	if n > 0 {
		at.last = s.now
	}
	if n < len(b) && err == nil {
		s.block(at.p)
	}
	return n, err
}

// alone makes a stream go on alone that has left its group, with the error from writing to
// it, if any.
func (s *shard) alone(slot int32, err error) {
	p := s.table[slot].p
	switch {
	case err != nil:
		s.close(p, cause(err))
	case p.full:
		p.st.Cursor().Rest()
	default:
		s.enqueue(p)
	}
}

// collect queues what is in the inbox, and returns for how many milliseconds the shard
// may sleep: -1 means until it is woken.
func (s *shard) collect() (wait int, shut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inbox)+len(s.queue)+len(s.history) == 0 && len(s.free) == len(s.table) { // release the memory that a crowd needed
		s.table, s.free, s.inbox, s.queue, s.history = nil, nil, nil, nil, nil
		s.called, s.groups = nil, groups{}
	}
	for _, p := range s.inbox {
		s.sort(p)
	}
	clear(s.inbox)
	s.inbox = s.inbox[:0]
	if len(s.called) > 0 {
		s.groups.call(s.called)
		clear(s.called)
		s.called, s.groups.next = s.called[:0], s.begun
	}
	if s.shutting || len(s.queue) > 0 {
		return 0, s.shutting
	}
	rest := s.rest()
	switch {
	case rest <= 0:
		return 0, false
	case rest == forever:
		wait = -1
	default:
		wait = int(rest/time.Millisecond) + 1
	}
	s.sleeping = true
	return wait, false
}

const forever time.Duration = math.MaxInt64

// rest returns how long there is nothing to do unless the shard is woken or a descriptor
// has an event.
func (s *shard) rest() time.Duration {
	rest := forever
	if len(s.free) < len(s.table) {
		rest = time.Until(s.begun.Add(time.Duration(s.now+1) * s.tick))
	}
	if len(s.history) > 0 {
		rest = min(rest, time.Until(s.restsUntil))
	}
	if !s.groups.next.IsZero() {
		rest = min(rest, time.Until(s.groups.next))
	}
	return rest
}

// sort appends p to the queue it belongs to.
func (s *shard) sort(p *parked) {
	if p.st.Cursor().CatchingUp() {
		s.history = append(s.history, p)
	} else {
		s.queue = append(s.queue, p)
	}
}

// A queue holds streams in the order in which they are to be served.
type queue []*parked

// take serves the first n streams, or all if there are fewer, and returns how many.
// Streams may be added meanwhile.
func (q *queue) take(n int, serve func(*parked)) int {
	first := (*q)[:min(n, len(*q))]
	n = len(first)
	for _, p := range first {
		serve(p)
	}
	left := copy(*q, (*q)[n:])
	clear((*q)[left:]) // do not keep streams that have gone in memory
	*q = (*q)[:left]
	return n
}

// poll handles the events of descriptors. It waits for the first, at most wait
// milliseconds.
func (s *shard) poll(wait int) {
	// EpollWait blocks a thread instead of using the runtime's poller. That one looks at
	// its descriptors when a processor is idle, and otherwise only every 10 ms.
	n := 0
	if wait == 0 {
		n = look(s.epoll, s.events[:])
	} else {
		n, _ = unix.EpollWait(s.epoll, s.events[:], wait) // an error, such as EINTR, counts as no event
		s.mu.Lock()
		s.sleeping = false
		s.mu.Unlock()
	}
	for _, e := range s.events[:max(n, 0)] {
		if e.Fd == wakeSlot {
			_, _ = unix.Read(s.waker, s.scratch[:8])
			continue
		}
		if slot := int(e.Fd); slot < len(s.table) && s.table[slot].p != nil && s.table[slot].generation == e.Pad {
			s.handle(s.table[slot].p, e.Events)
		}
	}
}

func (s *shard) handle(p *parked, events uint32) {
	switch {
	case events&unix.EPOLLERR != 0:
		if errno, err := unix.GetsockoptInt(int(p.fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno == int(unix.ETIMEDOUT) {
			s.close(p, hub.ErrStalled)
			return
		}
		s.close(p, context.Canceled)
	case events&(unix.EPOLLHUP|unix.EPOLLRDHUP) != 0:
		s.close(p, context.Canceled)
	default:
		if events&unix.EPOLLIN != 0 {
			if err := p.drain(); err != nil {
				s.close(p, cause(err))
				return
			}
		}
		if events&unix.EPOLLOUT != 0 && p.full {
			s.unblock(p)
		}
	}
}

// unblock queues a stream whose socket accepts data again.
func (s *shard) unblock(p *parked) {
	p.full = false
	s.stuck.remove(p)
	s.enqueue(p)
}

func (s *shard) enqueue(p *parked) {
	if p.queued.CompareAndSwap(false, true) {
		s.sort(p)
	}
}

func (s *shard) serve(p *parked) {
	p.queued.Store(false)
	if p.gone {
		return
	}
	s.groups.remove(p)
	if !p.parked {
		if err := s.add(p); err != nil {
			s.logger.Error("cannot park a stream", "err", err)
			s.close(p, err)
			return
		}
	}
	if p.full {
		if err := p.st.Over(); err != nil {
			s.close(p, err)
		}
		return
	}
	more, err := p.run()
	if err != nil {
		s.close(p, cause(err))
	} else if more {
		s.enqueue(p)
	} else if !p.full {
		s.groups.add(p)
	}
}

// add adds p to the epoll set: once, for all events and edge-triggered, so that neither a
// write nor a full socket needs another system call.
func (s *shard) add(p *parked) error {
	if n := len(s.free); n > 0 {
		p.key.slot, s.free = s.free[n-1], s.free[:n-1]
	} else {
		p.key.slot = int32(len(s.table))
		s.table = append(s.table, entry{})
	}
	at := &s.table[p.key.slot]
	*at = entry{p: p, last: s.now, fd: p.fd, generation: at.generation + 1}
	p.parked, p.key.generation = true, at.generation
	s.beats.put(p)
	return s.watch(p.fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET, p.key)
}

// close ends and closes p.
func (s *shard) close(p *parked, cause error) {
	p.gone = true
	s.groups.remove(p)
	p.st.End(cause)
	if p.parked {
		s.table[p.key.slot].p = nil
		s.free = append(s.free, p.key.slot)
		s.beats.remove(p)
		s.stuck.remove(p)
	}
	if end := p.st.Farewell(); end != "" && !p.full {
		_, _ = send(p.fd, []byte(end)) // a client that does not receive it sees a broken response, and is refused when it reconnects
	}
	if !hub.WasEnded(cause) && s.hub.Err() == nil && cause != context.Canceled && cause != hub.ErrStalled {
		s.logger.Error("a stream ended", "err", cause)
	}
	shut(p.fd)
	p.st.Close()
	hold(s.held, -parkedSize)
}

// block records that p's socket is full from now on.
func (s *shard) block(p *parked) {
	p.entry().last = s.now
	s.stuck.push(p)
	p.full = true
}

// keepTime sends heartbeats that are due, and ends streams that have stalled. After the
// process has been suspended for a while, a peer may have read everything without poll
// having seen the event yet, so keepTime asks the socket before it ends a stream.
func (s *shard) keepTime() {
	now := int64(time.Since(s.begun) / s.tick)
	if now == s.now {
		return
	}
	s.now = now
	s.beats.turn(now, func(p *parked) {
		if !p.full {
			s.groups.remove(p)
			p.st.Beat()
			s.enqueue(p)
		}
	})
	for p := s.stuck.head; p != nil && now-p.entry().last > s.stall; p = s.stuck.head {
		if writable(p.fd) {
			s.unblock(p)
		} else {
			s.close(p, hub.ErrStalled)
		}
	}
}

// end closes all remaining streams and the shard's descriptors.
func (s *shard) end() {
	cause := s.hub.Err()
	if cause == nil {
		cause = context.Canceled
	}
	for _, p := range append(s.queue, s.history...) {
		if !p.parked && !p.gone {
			s.close(p, cause)
		}
	}
	for _, at := range s.table {
		if at.p != nil {
			s.close(at.p, cause)
		}
	}
	s.mu.Lock()
	late := s.inbox // streams that were woken or parked meanwhile
	s.ended, s.inbox = true, nil
	s.mu.Unlock()
	for _, p := range late {
		if !p.parked && !p.gone {
			s.close(p, cause)
		}
	}
	_, _ = unix.Close(s.epoll), unix.Close(s.waker)
}
