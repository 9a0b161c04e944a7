package daemon

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"sync"

	"github.com/tidings-sse/tidings/console/demo"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/examples/llm"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"
)

// demoOptions returns the demos' options, with the configured files read.
func demoOptions(c *Config, logger *slog.Logger) (o demo.Options, err error) {
	o.Logger = logger
	o.Feeds = c.DemoFeeds
	if program, err := os.Executable(); err == nil {
		dir := ""
		if c.Store == "disk" {
			dir = c.Data + "-demo-plug" // beside our own directory, which only this hub has open
		}
		o.Plug = demo.NewPlug(program, dir, logger)
	} else {
		logger.Warn("the demo dashboard has no hub to kill: this program does not know its own file", "error", err)
	}
	o.LLM = llm.Model{URL: c.DemoLLMURL, Name: c.DemoLLMModel, Key: c.DemoLLMKey}
	if c.DemoPrices != "" {
		if o.Prices, err = demo.ReadPrices(c.DemoPrices); err != nil {
			return o, fmt.Errorf("--demo-prices: %w", err)
		}
	}
	return o, nil
}

// startDemos starts the demos' publishers. The returned function stops them and waits.
func startDemos(c *Config, h *hub.Hub, o demo.Options) (stop func()) {
	if !c.Demo {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { demo.Run(ctx, demoHub{h}, o) })
	return func() { cancel(); wg.Wait() }
}

// demoHub adapts the hub to the demos' interface.
type demoHub struct{ hub *hub.Hub }

func (d demoHub) Publish(ctx context.Context, e demo.Event) error {
	r := eventlog.Record{Topics: e.Topics, Type: e.Type, Data: e.Data, PublisherID: e.ID}
	if e.ID != "" {
		r.Key = "demo " + e.ID
	}
	results, err := d.hub.Publish(ctx, r)
	if err != nil {
		return err
	}
	if e.ID != "" && errors.Is(results[0].Err, eventlog.ErrKeyReused) {
		return nil // the log has an earlier edition
	}
	return results[0].Err
}

func (d demoHub) Retained(ctx context.Context, name string, last int) (events []demo.Event, place string, err error) {
	sel, err := topic.Parse(name)
	if err != nil {
		return nil, "", err
	}
	past, end, err := d.hub.Retained(ctx, hub.Subscription{Selectors: sel, From: hub.From{Last: last}})
	if err != nil {
		return nil, "", err
	}
	for e, err := range past {
		if err != nil {
			return nil, "", err
		}
		events = append(events, event(e))
	}
	return events, end.String(), nil
}

func (d demoHub) Follow(ctx context.Context, name, position string) iter.Seq2[demo.Event, error] {
	return func(yield func(demo.Event, error) bool) {
		sel, err := topic.Parse(name)
		if err != nil {
			yield(demo.Event{}, err)
			return
		}
		for e, err := range d.hub.Subscribe(ctx, hub.Subscription{Selectors: sel, From: hub.From{LastEventID: position}}) {
			if errors.Is(err, hub.ErrDrained) {
				return // the hub drains, so the demos end
			} else if err != nil {
				yield(demo.Event{}, err)
				return
			}
			if !yield(event(e), nil) {
				return
			}
		}
	}
}

func event(e *eventlog.Event) demo.Event {
	return demo.Event{Topics: e.Topics, Type: e.Type, ID: e.PublisherID, Data: e.Data}
}
