package demo

import "syscall"

// diesWithUs makes the system kill a child when this process ends for any reason.
func diesWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
