//go:build unix

package main

import (
	"context"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// untilClosed returns a context that ends when out is a pipe and its reader is gone. On
// a quiet topic, the next write, which would report that, may be hours away.
func untilClosed(ctx context.Context, out io.Writer) context.Context {
	f, ok := out.(*os.File)
	if !ok {
		return ctx
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with the process
		fds := []unix.PollFd{{Fd: int32(f.Fd())}} // poll always reports errors and hang-ups
		for {
			n, err := unix.Poll(fds, -1)
			if err == nil && n > 0 {
				cancel()
				return
			}
			if err != nil && err != unix.EINTR {
				return
			}
		}
	}()
	return ctx
}
