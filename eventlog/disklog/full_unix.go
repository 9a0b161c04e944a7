//go:build unix

package disklog

import "syscall"

func isFullErrno(e syscall.Errno) bool { return e == syscall.ENOSPC || e == syscall.EDQUOT }
