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

// A process in the background stands for machines elsewhere. At idle priority it runs
// on processors that nothing else wants; a nice one gets a little time in any case,
// however busy the hub is.
var (
	idle = []string{"chrt", "--idle", "0"}
	nice = []string{"nice", "-n", "19"}
)

// background returns a command that runs this program again at a priority.
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

// spinCmd keeps every processor busy and does nothing else. Even at the lowest priority
// this slows other programs on the machine down: a thread that wakes up waits until the
// kernel notices that it can preempt another processor. The process of the resuming
// clients has the same cost, whatever the hub does, and this measures it.
type spinCmd struct{}

func (spinCmd) Run(ctx context.Context) error {
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for ctx.Err() == nil { // Err takes a lock that nothing else contends for
			}
		}()
	}
	<-ctx.Done()
	return nil
}

// besides runs do while a spinning process runs.
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
	_ = cmd.Wait() // the context has killed it
	return err
}
