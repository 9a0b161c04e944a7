package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bufferSize is how many bytes one read may return. A thread uses one buffer for all streams.
const bufferSize = 256 << 10

// startReaders starts a few threads with an epoll set each. For TLS and HTTP/2, which they
// do not support, it starts a goroutine for each stream.
func (a *audience) startReaders(ctx context.Context) {
	if a.endpoint.subscribe.Scheme == "https" || a.endpoint.HTTP2 > 0 {
		a.startConnReaders(ctx)
		return
	}
	for t := range a.threads {
		var mine []int
		for i := t; i < len(a.streams); i += a.threads {
			mine = append(mine, i)
		}
		r := a.addReader(mine)
		a.wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if err := r.poll(ctx); err != nil {
				a.fail(err)
			}
		})
	}
}

// poll opens the reader's streams and reads them until the audience is closed.
func (r *reader) poll(ctx context.Context) (err error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	defer func() {
		for _, i := range r.mine {
			if fd := r.streams[i].fd; fd >= 0 {
				err = errors.Join(err, unix.Close(fd))
			}
		}
		err = errors.Join(err, unix.Close(ep))
	}()
	events := make([]unix.EpollEvent, 512)
	buf := make([]byte, bufferSize)
	for next, settled := 0, 0; ; {
		for ; next < len(r.mine) && next-settled < r.inFlight; next++ {
			if err := r.dial(ep, r.mine[next]); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		n, err := unix.EpollWait(ep, events, 50)
		if err != nil && err != unix.EINTR {
			return os.NewSyscallError("epoll_wait", err)
		}
		for _, ev := range events[:max(n, 0)] {
			s := &r.streams[ev.Fd]
			before := s.state
			if s.state == connecting {
				err = r.ask(ep, int(ev.Fd))
			} else {
				buf, err = r.read(s, buf)
			}
			if err != nil {
				return err
			}
			if before != open && s.state >= open {
				settled++
			}
		}
		r.delivered.Store(r.tally.delivered)
	}
}

// dial starts to open stream i.
func (r *reader) dial(ep, i int) error {
	s := &r.streams[i]
	family := unix.AF_INET6
	if r.addr.IP.To4() != nil {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return explain(os.NewSyscallError("socket", err))
	}
	s.fd, s.opened = fd, r.clock()
	if source := sourceAddress(r.addr.IP, i); source != nil {
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
			unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte(source)}))
		if err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	if err := unix.Connect(fd, sockaddr(r.addr)); err != nil && err != unix.EINPROGRESS {
		return explain(os.NewSyscallError("connect", err))
	}
	ev := unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(i)} // Fd is user data; we store the index
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &ev))
}

// ask sends the request over a connection that has been established.
func (r *reader) ask(ep, i int) error {
	s := &r.streams[i]
	code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		return explain(os.NewSyscallError("connect", err))
	}
	request := r.request(i)
	if n, err := unix.Write(s.fd, request); err != nil || n < len(request) {
		return fmt.Errorf("send a subscriber's request: %w", err)
	}
	s.state = waiting
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(ep, unix.EPOLL_CTL_MOD, s.fd, &ev))
}

// read reads once. If more data is left, epoll reports the descriptor again.
func (r *reader) read(s *stream, buf []byte) ([]byte, error) {
	if len(s.rest) > len(buf)/2 {
		buf = make([]byte, 2*len(buf))
	}
	at := copy(buf, s.rest)
	// The call does not block, so the scheduler need not be informed.
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(&buf[at])), uintptr(len(buf)-at))
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return buf, nil
	}
	r.now = r.clock()
	if errno == 0 && n > 0 && r.take(s, buf[:at+int(n)]) {
		return buf, nil
	}
	r.gone(s)
	fd := s.fd
	s.fd = -1
	return buf, unix.Close(fd)
}

func sockaddr(a *net.TCPAddr) unix.Sockaddr {
	if ip := a.IP.To4(); ip != nil {
		return &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}
	}
	return &unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16())}
}

// streamsPerSource is less than the number of ports that Linux assigns for one source and
// destination, 32768 to 60999.
const streamsPerSource = 25_000

// sourceAddress returns a loopback address for stream i, so that there are ports for all
// streams, or nil if the system may choose the address.
func sourceAddress(to net.IP, i int) net.IP {
	if to.To4() == nil || !to.IsLoopback() || i < streamsPerSource {
		return nil
	}
	return net.IPv4(127, 0, 0, byte(1+i/streamsPerSource)).To4()
}
