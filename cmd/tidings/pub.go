package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
)

// maxLine is how long a line of --lines may be. The hub's own limit is lower.
const maxLine = 16 << 20

type pubCmd struct {
	Topic string  `arg:"" help:"Topic to publish to."`
	Data  *string `arg:"" optional:"" help:"The event's data; - or nothing reads standard input, without its last line end."`

	Type    string `placeholder:"TYPE" help:"The event's type."`
	ID      string `name:"id" placeholder:"ID" help:"The event's id, which also keeps it from being published twice."`
	Private bool   `help:"Deliver only to subscribers whose token grants the topic."`
	Lines   bool   `help:"Publish each line of standard input as an event of its own, as it comes."`
	hubFlags
}

// Run publishes, and prints the id of each event.
func (c *pubCmd) Run(ctx context.Context, s streams) error {
	if c.Lines {
		if c.Data != nil && *c.Data != "-" {
			return usageError{errors.New("--lines reads standard input: leave the data out")}
		}
		if c.ID != "" {
			return usageError{errors.New("--lines publishes many events, which cannot share one --id")}
		}
		return c.publishLines(ctx, s)
	}
	data, err := c.data(s.in)
	if err != nil {
		return err
	}
	return c.publish(ctx, s.out, data)
}

func (c *pubCmd) data(in io.Reader) ([]byte, error) {
	if c.Data != nil && *c.Data != "-" {
		return []byte(*c.Data), nil
	}
	if f, ok := in.(*os.File); ok && c.Data == nil {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return nil, usageError{errors.New("no data: give it as an argument, or pipe it in")}
		}
	}
	data, err := io.ReadAll(in)
	return bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r")), err
}

func (c *pubCmd) publishLines(ctx context.Context, s streams) error {
	lines := bufio.NewScanner(s.in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := c.publish(ctx, s.out, lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c *pubCmd) publish(ctx context.Context, out io.Writer, data []byte) error {
	q := url.Values{"topic": {c.Topic}}
	if c.Type != "" {
		q.Set("type", c.Type)
	}
	if c.ID != "" {
		q.Set("id", c.ID)
	}
	if c.Private {
		q.Set("private", "true")
	}
	target, err := c.events(q)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	c.authorize(req.Header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	body, err := answer(resp)
	if err != nil {
		return err
	}
	var published struct{ ID string }
	if err := json.Unmarshal(body, &published); err != nil {
		return fmt.Errorf("the hub's answer cannot be read: %w", err)
	}
	_, err = fmt.Fprintln(out, published.ID)
	return err
}
