package park

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls here do not block and take a few microseconds, so they bypass the
// scheduler. The scheduler takes the processor from a goroutine whose call lasts longer,
// as happens whenever the kernel preempts its thread, and gives it to another thread. The
// threads started for that, about a hundred in a storm of connects, never end.

// send writes without blocking, and returns how many bytes the socket accepted: 0 if it
// is full.
func send(fd int32, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EAGAIN:
			return 0, nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}

// writable reports whether a socket would accept data now.
func writable(fd int32) bool {
	asked := []unix.PollFd{{Fd: fd, Events: unix.POLLOUT}}
	n, err := unix.Poll(asked, 0)
	return err == nil && n > 0 && asked[0].Revents&unix.POLLOUT != 0
}

// receive reads without blocking. It returns EAGAIN if there is nothing to read, and 0 at
// the end.
func receive(fd int32, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// shut closes a descriptor.
func shut(fd int32) { _, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// dup returns a duplicate of a descriptor, closed on exec.
func dup(fd uintptr) (int32, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_FCNTL, fd, unix.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int32(n), nil
}

// setTCP sets an option of a TCP socket and ignores errors.
func setTCP(fd int32, option, value int) {
	v := int32(value)
	_, _, _ = syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, uintptr(option), uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
}

// watch adds a descriptor to an epoll set.
func watch(epoll int, fd int32, e unix.EpollEvent) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), unix.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// look returns the number of pending events without waiting, or 0 on an error.
func look(epoll int, events []unix.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}
