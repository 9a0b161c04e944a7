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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/internal/daemon"
	"github.com/tidings-sse/tidings/sse"
)

type subCmd struct {
	Target []string `arg:"" optional:"" name:"topic|url" help:"Topics to subscribe to; or the address of any event stream, as in https://…, unless --server names a hub."`

	Topic       []string        `sep:"none" placeholder:"TOPIC" help:"A topic, even one that looks like an address. May be repeated."`
	JSON        bool            `name:"json" help:"Print one JSON object per event: id, type and data."`
	LastEventID string          `name:"last-event-id" placeholder:"ID" help:"Begin after the event with this id; earliest means everything retained."`
	Since       string          `placeholder:"TIME" help:"Begin with events since a time (RFC 3339, Unix seconds, or a duration as in 15m)."`
	Last        int             `placeholder:"N" help:"Begin with the newest N events of each topic."`
	Count       int             `placeholder:"N" help:"End after N events."`
	Timeout     time.Duration   `placeholder:"DURATION" help:"End after this time, with exit code 3."`
	MaxEvent    daemon.ByteSize `default:"16MiB" help:"The largest event to accept; a larger one ends the command."`
	Header      []string        `short:"H" sep:"none" placeholder:"'KEY: VALUE'" help:"Send a header. May be repeated."`
	hubFlags
}

// Run prints events until it ends by --count, --timeout, a signal, or a 204 response.
func (c *subCmd) Run(ctx context.Context, s streams) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	ctx = untilClosed(ctx, s.out) // for example with | head -1
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
	if err := c.setHeaders(req); err != nil {
		return err
	}
	client := sse.Client{
		LastEventID: c.LastEventID,
		ReadLimit:   int64(c.MaxEvent),
		OnError: func(err error, next time.Duration) {
			fmt.Fprintf(s.err, "tidings: %s; reconnecting in %s\n", failure(err), next.Round(time.Millisecond))
		},
	}
	n := 0
	for e, err := range client.Events(req) {
		switch {
		case errors.Is(err, sse.ErrNoContent), cause.Err() != nil:
			return nil // ended by the server or the user
		case context.Cause(ctx) != nil:
			return context.Cause(ctx)
		case errors.Is(err, sse.ErrEventTooLarge):
			return fmt.Errorf("an event is larger than %s: allow more, as in --max-event %s", c.MaxEvent, strings.ReplaceAll((2*c.MaxEvent).String(), " ", ""))
		case err != nil:
			return errors.New(failure(err))
		}
		printed, err := c.print(s, e)
		if err != nil {
			return err
		}
		if printed {
			n++
		}
		if n > 0 && n == c.Count {
			return nil
		}
	}
	return nil
}

// target returns the address to request.
func (c *subCmd) target() (string, error) {
	if c.Last < 0 || c.Count < 0 || c.Timeout < 0 {
		return "", usageError{errors.New("--last, --count and --timeout must not be negative")}
	}
	if c.MaxEvent == 0 {
		return "", usageError{errors.New("--max-event must not be 0")}
	}
	places := 0
	for _, given := range []bool{c.LastEventID != "", c.Since != "", c.Last > 0} {
		if given {
			places++
		}
	}
	if places > 1 {
		return "", usageError{errors.New("give one of --last-event-id, --since and --last")}
	}
	if slices.ContainsFunc(c.Target, isAddress) && !c.namesHub() {
		if len(c.Target) > 1 {
			return "", usageError{errors.New("give one address, or topics; a topic that looks like an address goes with --topic")}
		}
		if len(c.Topic) > 0 || c.Since != "" || c.Last > 0 {
			return "", usageError{errors.New("--topic, --since and --last are for a hub: put the server's own parameters into its address, or name a hub with --server")}
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
	scheme, _, ok := strings.Cut(s, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// setHeaders refuses headers that net/http would refuse at every attempt.
func (c *subCmd) setHeaders(req *http.Request) error {
	c.authorize(req.Header)
	for _, line := range c.Header {
		k, v, ok := strings.Cut(line, ":")
		v = strings.TrimSpace(v)
		if !ok || k == "" || strings.ContainsFunc(k, notInToken) || strings.ContainsFunc(v, isControl) {
			return usageError{fmt.Errorf("-H %q: write a header as 'Key: value'", line)}
		}
		if strings.EqualFold(k, "Host") {
			req.Host = v
			continue
		}
		req.Header.Add(k, v)
	}
	if strings.ContainsFunc(c.LastEventID, isControl) {
		return usageError{fmt.Errorf("--last-event-id %q has a control character, which no header can carry", c.LastEventID)}
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// notInToken reports whether a character is not allowed in a header's name (RFC 9110
// §5.6.2).
func notInToken(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// print prints e. A gap is not an event of the topics: without --json it goes to standard
// error and does not count.
func (c *subCmd) print(s streams, e sse.Event) (printed bool, err error) {
	var gap hub.Gap
	switch {
	case c.JSON:
		enc := json.NewEncoder(s.out)
		enc.SetEscapeHTML(false)
		err = enc.Encode(struct {
			ID   string `json:"id"`
			Type string `json:"type"`
			Data string `json:"data"`
		}{e.ID, e.Type, e.Data})
	case e.Type == hub.GapType && json.Unmarshal([]byte(e.Data), &gap) == nil:
		fmt.Fprintf(s.err, "tidings: gap (%s): events after %s are not there; resuming after %s\n", gap.Reason, gap.Requested, gap.ResumedAfter)
		return false, nil
	case e.Type != sse.DefaultType:
		_, err = fmt.Fprintf(s.out, "[%s] %s\n", e.Type, e.Data)
	default:
		_, err = io.WriteString(s.out, e.Data+"\n")
	}
	return true, err
}

// failure describes the error that ended a connection, in the server's words if possible.
func failure(err error) string {
	var status *sse.StatusError
	var content *sse.ContentTypeError
	switch {
	case errors.As(err, &status):
		name := strings.TrimSpace(fmt.Sprint(status.Code, " ", http.StatusText(status.Code))) // 529 has none
		return "the server answered " + problemText(name, status.Body)
	case errors.As(err, &content):
		return problemText(fmt.Sprintf("the response is not an event stream (Content-Type %q)", content.Header.Get("Content-Type")), content.Body)
	case errors.Is(err, io.EOF):
		return "the server ended the stream"
	}
	return strings.TrimPrefix(err.Error(), "sse: ")
}

// namesHub reports whether --server was given. The environment variable alone does not
// turn an address into a topic.
func (f *hubFlags) namesHub() bool { return f.Server != "" && f.Server != os.Getenv("TIDINGS_SERVER") }
