//go:build !linux

package demo

import "syscall"

// diesWithUs returns nil: on this system a child survives if its parent is killed, though
// not if its parent is stopped.
func diesWithUs() *syscall.SysProcAttr { return nil }
