package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/tidings-sse/tidings/edge"
)

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
	body, err := c.post(ctx, q, "text/plain; charset=utf-8", data)
	if err != nil {
		return err
	}
	_, err = printID(out, body)
	return err
}

// post sends a body to the hub and returns the body of the response.
func (f *hubFlags) post(ctx context.Context, q url.Values, contentType string, body []byte) ([]byte, error) {
	target, err := f.events(q)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	f.authorize(req.Header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	return answer(resp)
}

// printID prints the id in the response for one event, or returns its problem.
func printID(out io.Writer, line []byte) (n int, err error) {
	var published struct {
		ID string
		edge.Problem
	}
	if err := json.Unmarshal(line, &published); err != nil {
		return 0, fmt.Errorf("the hub's answer cannot be read: %w", err)
	}
	if published.Status != 0 {
		return 0, fmt.Errorf("the hub answered %d %s: %s", published.Status, published.Title, published.Detail)
	}
	return fmt.Fprintln(out, published.ID)
}
