//go:build linux

package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
)

// Beside the hub, a process in the background stands for machines elsewhere. An
// idle one gets processors that nobody else wants; a nice one gets a little in
// any case, whatever the hub is made to do.
var (
	idle = []string{"chrt", "--idle", "0"}
	nice = []string{"nice", "-n", "19"}
)

// background returns a command that runs this program again, at a priority.
func background(ctx context.Context, priority []string, command ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := slices.Concat(priority[1:], []string{self}, command)
	cmd := exec.CommandContext(ctx, priority[0], args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// spinCmd keeps every processor busy, and does nothing else. Even at the lowest
// priority this costs whoever shares the machine: a thread that wakes up waits
// for the kernel to notice that another processor could be had. The process of
// those who resume costs that too, whatever the hub does about them.
type spinCmd struct{}

func (spinCmd) Run(ctx context.Context) error {
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for ctx.Err() == nil { // takes a lock that nobody else wants
			}
		}()
	}
	<-ctx.Done()
	return nil
}

// besides does something while such a process runs.
func besides(ctx context.Context, do func() error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd, err := background(ctx, idle, "spin")
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = do()
	stop()
	_ = cmd.Wait() // it was killed
	return err
}
