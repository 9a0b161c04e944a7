package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/tidings-sse/tidings/internal/load"
)

type benchCmd struct {
	Fanout  fanoutCmd  `cmd:"" help:"Publish to many streams."`
	Publish publishCmd `cmd:"" help:"Publish with nobody there to receive, then read it back."`
	Resume  resumeCmd  `cmd:"" help:"Have many streams resume at once."`
	Connect connectCmd `cmd:"" help:"Open and close many streams."`
}

// A measurement measures something. An error means that it could not.
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
		err = errors.New("not all events came to all streams, once, whole and in order: this is no result")
	}
	return err
}
