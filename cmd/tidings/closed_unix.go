//go:build unix

package main

import (
	"context"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// untilClosed returns a context that ends when whoever reads the pipe out has
// gone: on a quiet topic, the next write that would tell may be hours away.
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
		fds := []unix.PollFd{{Fd: int32(f.Fd())}} // errors and hang-ups are always told
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
