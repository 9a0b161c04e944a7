//go:build !linux

package demo

import "syscall"

// diesWithUs asks for nothing: elsewhere a child outlives a parent that is
// killed, as none does that is stopped.
func diesWithUs() *syscall.SysProcAttr { return nil }
