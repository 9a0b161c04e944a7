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

// background returns a command that runs this program again at idle priority. It stands
// for machines elsewhere, and so takes only the time of processors that nothing else
// wants.
func background(ctx context.Context, command ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := slices.Concat([]string{"--idle", "0", self}, command)
	cmd := exec.CommandContext(ctx, "chrt", args...)
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
	cmd, err := background(ctx, "spin")
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
