//go:build linux

// Command checker drives a real hub, in its own process, into situations in which
// events could get lost, and counts all events at the end:
//
//	go run ./internal/checker kill    # kill -9 in a loop, under load
//	go run ./internal/checker stall   # readers that stop reading
//	go run ./internal/checker storm   # thousands resume at the same time
//	go run ./internal/checker churn   # connections that come, go and misbehave
//	go run ./internal/checker full    # a disk that runs full
//	go run ./internal/checker attack  # strangers that ask for more than is due
//
// Each prints a table of totals and exits with 1 if an event is lost, doubled, out of
// order or torn, or if a bound does not hold. It needs Linux, because it reads memory
// and descriptors from /proc.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Kill  killCheck  `cmd:"" help:"Kill the hub in a loop, under load; every acknowledged event must reach every subscriber once, in one order."`
	Stall stallCheck `cmd:"" help:"Stall readers beside healthy ones, which must not notice; memory stays bounded and nothing is lost."`
	Storm stormCheck `cmd:"" help:"Resume thousands at once over a long history; live delivery must not suffer."`
	Churn churnCheck `cmd:"" help:"Connect, disconnect and misbehave thousands of times; the hub must keep nothing of it."`
	Full  fullCheck  `cmd:"" help:"Fill a small file system; publishing must fail well, and recover by itself. Needs root."`

	Attack attackCheck `cmd:"" help:"Attack the hub in every way at once beside honest clients, which must lose nothing; or in one way at a time, which prints what each costs."`

	Assail assailCmd `cmd:"" hidden:"" help:"Be the other process of an attack."`
	Resume resumeCmd `cmd:"" hidden:"" help:"Be the other process of a storm."`
	Spin   spinCmd   `cmd:"" hidden:"" help:"Keep processors busy."`

	setup
	JSON bool `name:"json" help:"Print one JSON object instead of a table."`
}

// errFailed is the error of a check whose report says what is wrong.
var errFailed = errors.New("the check has failed")

func main() {
	var c cli
	k := kong.Parse(&c, kong.Name("checker"), kong.Description("Drives a real hub and counts every event at the end."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	if err := run(k, &c); err != nil {
		fmt.Fprintf(os.Stderr, "checker: %v\n", err)
		os.Exit(1)
	}
}

// A check drives a hub and reports what it counted. An error means that the check could
// not be completed.
type check interface {
	check(ctx context.Context, s *setup) (*report, error)
}

func run(k *kong.Context, c *cli) error {
	defer c.setup.clean()
	return k.Run(&c.setup, printer(c.JSON))
}

// printer prints reports, as JSON or as tables.
type printer bool

func (p printer) run(ctx context.Context, s *setup, c check) error {
	r, err := c.check(ctx, s)
	if err != nil {
		return err
	}
	if err := r.print(os.Stdout, bool(p)); err != nil {
		return err
	}
	if !r.OK() {
		return errFailed
	}
	return nil
}

func (c *killCheck) Run(ctx context.Context, s *setup, p printer) error   { return p.run(ctx, s, c) }
func (c *stallCheck) Run(ctx context.Context, s *setup, p printer) error  { return p.run(ctx, s, c) }
func (c *stormCheck) Run(ctx context.Context, s *setup, p printer) error  { return p.run(ctx, s, c) }
func (c *churnCheck) Run(ctx context.Context, s *setup, p printer) error  { return p.run(ctx, s, c) }
func (c *fullCheck) Run(ctx context.Context, s *setup, p printer) error   { return p.run(ctx, s, c) }
func (c *attackCheck) Run(ctx context.Context, s *setup, p printer) error { return p.run(ctx, s, c) }

// progress prints a line about the check's progress to standard error.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
