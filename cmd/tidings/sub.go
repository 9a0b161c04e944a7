package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/sse"
)

type subCmd struct {
	Target []string `arg:"" optional:"" name:"topic|url" help:"Topics to subscribe to; or the address of any event stream, as in https://…, unless --server names a hub."`

	Topic       []string      `sep:"none" placeholder:"TOPIC" help:"A topic, also one that looks like an address. May be repeated."`
	JSON        bool          `name:"json" help:"Print one JSON object per event: id, type and data."`
	LastEventID string        `name:"last-event-id" placeholder:"ID" help:"Begin just after the event with this id; earliest is everything retained."`
	Since       string        `placeholder:"TIME" help:"Begin with events since a time (RFC 3339, Unix seconds, or a duration as in 15m)."`
	Last        int           `placeholder:"N" help:"Begin with the newest N events of each topic."`
	Count       int           `placeholder:"N" help:"End after N events."`
	Timeout     time.Duration `placeholder:"DURATION" help:"End after so long, with exit code 3."`
	Header      []string      `short:"H" sep:"none" placeholder:"'KEY: VALUE'" help:"Send a header. May be repeated."`
	hubFlags
}

// Run prints events until it is told to end: by --count, --timeout, a signal,
// or a server that wants no more of it.
func (c *subCmd) Run(ctx context.Context, s streams) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	cause := ctx
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, errTimeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return usageError{err}
	}
	if err := c.setHeaders(req.Header); err != nil {
		return err
	}
	client := sse.Client{
		LastEventID: c.LastEventID,
		OnError: func(err error, next time.Duration) {
			fmt.Fprintf(s.err, "tidings: %s; reconnecting in %s\n", failure(err), next.Round(time.Millisecond))
		},
	}
	n := 0
	for e, err := range client.Events(req) {
		switch {
		case errors.Is(err, sse.ErrNoContent), cause.Err() != nil:
			return nil // the server's word, or the user's
		case context.Cause(ctx) != nil:
			return context.Cause(ctx)
		case err != nil:
			return errors.New(failure(err))
		}
		if err := c.print(s, e); err != nil {
			return err
		}
		if n++; n == c.Count {
			return nil
		}
	}
	return nil
}

// target is the address to ask.
func (c *subCmd) target() (string, error) {
	if c.Last < 0 || c.Count < 0 || c.Timeout < 0 {
		return "", usageError{errors.New("--last, --count and --timeout must not be negative")}
	}
	if len(c.Target) == 1 && isAddress(c.Target[0]) && !c.namesHub() {
		if len(c.Topic) > 0 || c.Since != "" || c.Last > 0 {
			return "", usageError{errors.New("--topic, --since and --last are for a hub: put what this server knows into its address, or name a hub with --server")}
		}
		return c.Target[0], nil
	}
	topics := append(c.Target, c.Topic...)
	if len(topics) == 0 {
		return "", usageError{errors.New("name a topic, or the address of an event stream")}
	}
	q := url.Values{"topic": topics}
	if c.Since != "" {
		q.Set("since", c.Since)
	}
	if c.Last > 0 {
		q.Set("last", strconv.Itoa(c.Last))
	}
	return c.events(q)
}

func isAddress(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}

func (c *subCmd) setHeaders(h http.Header) error {
	c.authorize(h)
	for _, line := range c.Header {
		k, v, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(k) == "" {
			return usageError{fmt.Errorf("-H %q: write a header as 'Key: value'", line)}
		}
		h.Add(strings.TrimSpace(k), strings.TrimSpace(v))
	}
	return nil
}

func (c *subCmd) print(s streams, e sse.Event) error {
	if c.JSON {
		enc := json.NewEncoder(s.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(struct {
			ID   string `json:"id"`
			Type string `json:"type"`
			Data string `json:"data"`
		}{e.ID, e.Type, e.Data})
	}
	var gap hub.Gap
	if e.Type == hub.GapType && json.Unmarshal([]byte(e.Data), &gap) == nil {
		fmt.Fprintf(s.err, "tidings: gap (%s): events after %s are not there; going on after %s\n", gap.Reason, gap.Requested, gap.ResumedAfter)
		return nil
	}
	if e.Type != sse.DefaultType {
		_, err := fmt.Fprintf(s.out, "[%s] %s\n", e.Type, e.Data)
		return err
	}
	_, err := io.WriteString(s.out, e.Data+"\n")
	return err
}

// failure says what ended a connection, in the server's own words if it has any.
func failure(err error) string {
	var status *sse.StatusError
	switch {
	case errors.As(err, &status):
		return "the server answered " + problemText(fmt.Sprintf("%d %s", status.Code, http.StatusText(status.Code)), status.Body)
	case errors.Is(err, io.EOF):
		return "the server ended the stream"
	}
	return strings.TrimPrefix(err.Error(), "sse: ")
}

// namesHub reports whether --server was given: the environment alone does not
// make an address a topic.
func (f *hubFlags) namesHub() bool { return f.Server != "" && f.Server != os.Getenv("TIDINGS_SERVER") }
