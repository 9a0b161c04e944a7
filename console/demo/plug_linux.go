package demo

import "syscall"

// diesWithUs has the system end a child when this process ends, however that
// comes about.
func diesWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
