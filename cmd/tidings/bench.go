package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/tidings-sse/tidings/internal/load"
)

type benchCmd struct {
	Fanout  fanoutCmd  `cmd:"" help:"Publish to many streams."`
	Publish publishCmd `cmd:"" help:"Publish without subscribers, then read the events back."`
	Resume  resumeCmd  `cmd:"" help:"Resume many streams at once."`
	Connect connectCmd `cmd:"" help:"Open and close many streams."`
}

// A measurement is a benchmark. An error means that it could not be carried out.
type measurement interface {
	Measure(ctx context.Context) (*load.Report, error)
}

type fanoutCmd struct {
	load.Fanout
	benchOutput
}

func (c *fanoutCmd) Run(ctx context.Context, s streams) error {
	c.Progress = s.err
	return c.print(ctx, s, &c.Fanout)
}

type publishCmd struct {
	load.Publish
	benchOutput
}

func (c *publishCmd) Run(ctx context.Context, s streams) error {
	c.Progress = s.err
	return c.print(ctx, s, &c.Publish)
}

type resumeCmd struct {
	load.Resume
	benchOutput
}

func (c *resumeCmd) Run(ctx context.Context, s streams) error {
	c.Progress = s.err
	return c.print(ctx, s, &c.Resume)
}

type connectCmd struct {
	load.Connect
	benchOutput
}

func (c *connectCmd) Run(ctx context.Context, s streams) error {
	c.Progress = s.err
	return c.print(ctx, s, &c.Connect)
}

type benchOutput struct {
	JSON bool `name:"json" help:"Print one JSON object instead of a table."`
}

func (o *benchOutput) print(ctx context.Context, s streams, m measurement) error {
	report, err := m.Measure(ctx)
	if err != nil {
		return err
	}
	if o.JSON {
		err = json.NewEncoder(s.out).Encode(report)
	} else {
		err = report.Print(s.out)
	}
	if err == nil && !report.OK {
		err = errors.New("the result is invalid: not every stream received every event once, whole and in order")
	}
	return err
}
