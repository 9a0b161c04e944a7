package park

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"
)

// A manualLot has one shard, whose turns the test runs. A tick is an hour, so that time
// passes only when the test moves it.
type manualLot struct {
	*Lot
	t     *testing.T
	shard *shard
}

const (
	manualTick = time.Hour
	beatTicks  = wheelSlots // the heartbeat,
	stallTicks = 100        // and the write timeout
)

// newManualLot returns a lot on a hub whose log holds the given events already.
func newManualLot(t *testing.T, before ...eventlog.Record) *manualLot {
	t.Helper()
	log := eventlog.NewMemory(eventlog.Retention{})
	if len(before) > 0 {
		if _, err := log.Append(t.Context(), before...); err != nil {
			t.Fatal(err)
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	h, err := hub.New(log, hub.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	l := &manualLot{t: t, Lot: New(h, Options{Heartbeat: beatTicks * manualTick, WriteTimeout: stallTicks * manualTick, Logger: quiet, Shards: 1})}
	l.start.Do(func() {}) // the test is the loop
	if l.shard, err = newShard(h, l.o); err != nil {
		t.Fatal(err)
	}
	l.shards = []*shard{l.shard}
	t.Cleanup(func() {
		l.shard.end()
		_, _ = h.Close(), log.Close()
	})
	return l
}

// until runs turns until a condition holds. Each turn blocks until there is something to
// do.
func (l *manualLot) until(so func() bool) {
	l.t.Helper()
	for !so() {
		if l.shard.turn() {
			l.t.Fatal("the shard ends")
		}
	}
}

// turn runs a turn that does not block.
func (l *manualLot) turn() {
	l.t.Helper()
	s := l.shard
	s.mu.Lock()
	s.sleeping = true
	s.rouse()
	s.mu.Unlock()
	if s.turn() {
		l.t.Fatal("the shard ends")
	}
}

// settle runs turns until there is nothing left to do, without blocking.
func (l *manualLot) settle() {
	l.t.Helper()
	s := l.shard
	for left := true; left; {
		l.turn()
		s.mu.Lock()
		left = len(s.called) > 0 || !s.groups.next.IsZero() || len(s.inbox)+len(s.queue)+len(s.history) > 0
		s.mu.Unlock()
	}
}

// pass moves the time forward by some ticks, then settles.
func (l *manualLot) pass(ticks int) {
	l.t.Helper()
	l.shard.begun = l.shard.begun.Add(-time.Duration(ticks) * manualTick)
	l.settle()
}

func (l *manualLot) publish(data string) {
	l.t.Helper()
	if _, err := l.hub.Publish(l.t.Context(), eventlog.Record{Topics: []string{"t"}, Data: []byte(data)}); err != nil {
		l.t.Fatal(err)
	}
}

// park parks a stream of all topics on one end of a connection.
func (l *manualLot) park(fd int, from hub.From) *parked {
	l.t.Helper()
	return l.subscribe(fd, hub.Subscription{Selectors: topic.Everything(), From: from})
}

// subscribe parks a stream of a subscription on one end of a connection.
func (l *manualLot) subscribe(fd int, s hub.Subscription) *parked {
	l.t.Helper()
	st, err := l.hub.Stream(l.t.Context(), s, hub.StreamOptions{Heartbeat: time.Hour})
	if err != nil {
		l.t.Fatal(err)
	}
	p := l.newParked(st, int32(fd))
	st.Cursor().SetWaker(p)
	p.hand()
	return p
}

// A peer is the other end of a parked stream's connection.
type peer struct {
	t    *testing.T
	fd   int
	took []byte
	gone bool // the stream has ended
}

// pair returns the two ends of a connection that has no timeout.
func pair(t *testing.T) (fd int, p *peer) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	p = &peer{t: t, fd: ends[1]}
	t.Cleanup(p.close)
	return ends[0], p
}

func (p *peer) close() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
		p.fd = -1
	}
}

// take reads what has arrived and returns how many bytes that was.
func (p *peer) take() (n int) {
	p.t.Helper()
	var b [64 << 10]byte
	for {
		m, err := receive(int32(p.fd), b[:])
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return n
		case err != nil:
			p.t.Fatal(err)
		case m == 0:
			p.gone = true
			return n
		}
		p.took, n = append(p.took, b[:m]...), n+m
	}
}

func (p *peer) has(text string) bool { return bytes.Contains(p.took, []byte(text)) }

// TestStalledPeersAreEnded parks a stream whose peer takes nothing and one whose peer is
// slow. A socket pair has no TCP_USER_TIMEOUT, so the shard alone can end them.
func TestStalledPeersAreEnded(t *testing.T) {
	l := newManualLot(t)
	fd, stalled := pair(t)
	a := l.park(fd, hub.From{})
	fd, slow := pair(t)
	b := l.park(fd, hub.From{})
	l.settle()
	l.publish(strings.Repeat("x", 4<<20))
	l.until(func() bool { return a.full && b.full })

	l.pass(stallTicks / 2)
	if slow.take() == 0 {
		t.Fatal("a peer gets nothing")
	}
	l.pass(1) // the stream notices that its peer reads
	if a.gone || b.gone {
		t.Fatal("a stream has ended before the write timeout")
	}
	l.pass(stallTicks / 2)
	if !a.gone || b.gone {
		t.Fatalf("after the write timeout the stream whose peer takes nothing has ended: %t; the one whose peer is slow: %t", a.gone, b.gone)
	}
	if stalled.take(); !stalled.gone {
		t.Error("the connection of a stream that has ended is open")
	}
	l.pass(stallTicks)
	if !b.gone {
		t.Error("a stream whose peer has stopped taking goes on")
	}
	if stats, err := l.hub.Stats(t.Context()); err != nil || stats.Disconnects[hub.Stalled] != 2 {
		t.Errorf("%d streams are counted as stalled (%v)", stats.Disconnects[hub.Stalled], err)
	}
}

// TestLastChance stops the shard while a peer reads everything. When the shard runs
// again, the write timeout has passed but the socket's event has not been read: the
// stream must not end.
func TestLastChance(t *testing.T) {
	l := newManualLot(t)
	fd, other := pair(t)
	p := l.park(fd, hub.From{})
	l.settle()
	l.publish(strings.Repeat("x", 1<<20))
	l.until(func() bool { return p.full })
	other.take()
	l.shard.begun = l.shard.begun.Add(-2 * stallTicks * manualTick)
	l.shard.keepTime()
	if p.gone || p.full {
		t.Errorf("its peer has taken all, but the stream has ended (%t) or waits (%t)", p.gone, p.full)
	}
}

// TestStaleEvents ends a stream whose connection stays in the epoll set because its
// descriptor has a copy, as a child process has between fork and exec. The connection's
// events then carry the slot of the next stream, which must not take them for its own.
func TestStaleEvents(t *testing.T) {
	l := newManualLot(t)
	fd, first := pair(t)
	was := l.park(fd, hub.From{})
	l.settle()
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(copied) }()
	was.st.End(hub.ErrKicked)
	l.settle()
	fd, second := pair(t)
	is := l.park(fd, hub.From{})
	l.settle()
	if !was.gone || was.key.slot != is.key.slot {
		t.Fatalf("the first stream has ended: %t; it was in slot %d, and the second one is in %d", was.gone, was.key.slot, is.key.slot)
	}
	first.close()
	l.settle()
	second.take()
	if is.gone || second.gone {
		t.Error("a stream ends when the peer goes of another that had its slot")
	}
}

// TestHeartbeatsAreSpread opens streams at the same tick, and then writes to all of them
// at the same tick. Their heartbeats spread over the last quarter of the interval.
func TestHeartbeatsAreSpread(t *testing.T) {
	const n = 64
	l := newManualLot(t)
	var peers [n]*peer
	for i := range peers {
		var fd int
		fd, peers[i] = pair(t)
		l.park(fd, hub.From{})
	}
	l.settle()
	for _, when := range []string{"opened", "written to"} {
		for _, p := range peers {
			p.take()
		}
		left := n
		for tick := 1; tick <= beatTicks; tick++ {
			l.pass(1)
			beats := 0
			for _, p := range peers {
				if p.take() > 0 {
					beats++
				}
			}
			left -= beats
			if beats > n/2 { // about n/16 are due at each of the last 16 ticks
				t.Errorf("%s at once: %d of %d streams beat at tick %d", when, beats, n, tick)
			}
			if beats > 0 && tick <= beatTicks*3/4 {
				t.Errorf("%s at once: %d streams beat at tick %d, long before they are due", when, beats, tick)
			}
		}
		if left != 0 {
			t.Errorf("%s at once: %d streams have not beaten once in a heartbeat, or some twice", when, left)
		}
		l.publish(when)
		l.until(func() bool {
			all := true
			for _, p := range peers {
				p.take()
				all = all && p.has("data: "+when)
			}
			return all
		})
	}
}

// TestCrowdTakesItsMemory opens many streams and closes all: the shard keeps no memory
// for them.
func TestCrowdTakesItsMemory(t *testing.T) {
	l := newManualLot(t)
	var peers [100]*peer
	for i := range peers {
		var fd int
		fd, peers[i] = pair(t)
		l.park(fd, hub.From{LastEventID: hub.Earliest})
	}
	l.settle()
	s := l.shard
	if len(s.table) != len(peers) || cap(s.inbox) < len(peers) {
		t.Fatalf("a table of %d, and an inbox for %d", len(s.table), cap(s.inbox))
	}
	for _, p := range peers {
		p.close()
	}
	l.settle()
	if _, shut := s.collect(); shut || cap(s.table)+cap(s.free)+cap(s.inbox)+cap(s.queue)+cap(s.history)+cap(s.called)+cap(s.groups.due) != 0 {
		t.Errorf("room for %d in the table, %d free, %d in the inbox, %d in the queue, %d in the history and %d and %d groups is left of a crowd that has gone",
			cap(s.table), cap(s.free), cap(s.inbox), cap(s.queue), cap(s.history), cap(s.called), cap(s.groups.due))
	}
}

// TestHistoryRests serves a stream from the log. After a slice of that the shard rests if
// events are being published.
func TestHistoryRests(t *testing.T) {
	old := eventlog.Record{Topics: []string{"t"}, Data: bytes.Repeat([]byte("x"), 1<<20)}
	begin := func(t *testing.T, l *manualLot) (*parked, *peer) {
		fd, other := pair(t)
		p := l.park(fd, hub.From{LastEventID: hub.Earliest})
		if _, shut := l.shard.collect(); shut || len(l.shard.history) != 1 {
			t.Fatalf("%d streams are to be served from the log", len(l.shard.history))
		}
		return p, other
	}
	t.Run("not while nothing is published", func(t *testing.T) {
		l := newManualLot(t, old)
		begin(t, l)
		if n := l.shard.serveHistory(); n == 0 || !l.shard.restsUntil.IsZero() {
			t.Errorf("%d were served, then there is a rest until %v", n, l.shard.restsUntil)
		}
	})
	t.Run("while something is published", func(t *testing.T) {
		l := newManualLot(t, old)
		fd, live := pair(t)
		l.park(fd, hub.From{})
		l.settle()
		p, _ := begin(t, l)
		for stillLive := false; !stillLive; { // else the test has taken too long
			live.took = nil
			l.publish("news")
			l.until(func() bool { live.take(); return live.has("news") })
			l.shard.history, l.shard.restsUntil = append(l.shard.history, p), time.Time{}
			begun := time.Now()
			l.shard.serveHistory()
			rests := l.shard.restsUntil.After(begun)
			if stillLive = l.hub.Live(); stillLive && !rests {
				t.Error("history goes on at once")
			}
		}
	})
	t.Run("nothing is served meanwhile", func(t *testing.T) {
		l := newManualLot(t, old)
		p, other := begin(t, l)
		l.shard.restsUntil = time.Unix(math.MaxInt32, 0)
		if n := l.shard.serveHistory(); n != 0 || p.parked {
			t.Errorf("%d were served", n)
		}
		l.shard.restsUntil = time.Now()
		l.until(func() bool { other.take(); return len(other.took) > len(old.Data) })
	})
}

// TestKernelHoldsLittle writes to a TCP peer that takes nothing. The listener has set no
// option, so the bounds on the connection are the lot's own.
func TestKernelHoldsLittle(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l := newManualLot(t)
	fd, err := l.dup(conn)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	timeout, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	if err != nil || timeout != int(l.o.WriteTimeout.Milliseconds()) {
		t.Errorf("a peer that acknowledges nothing is given up after %d ms (%v)", timeout, err)
	}
	p := l.park(int(fd), hub.From{})
	l.settle()
	l.publish(strings.Repeat("x", 16<<20)) // more than the kernel ever takes
	l.until(func() bool { return p.full })
	unsent, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQNSD)
	if err != nil || unsent > 4*notSentLowWater {
		t.Errorf("the kernel holds %d bytes that it has not sent (%v)", unsent, err)
	}
}
