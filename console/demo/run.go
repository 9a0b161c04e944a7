package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/examples/llm"
)

// A Hub is the hub that the demos publish to, and from which they receive pages' requests.
// It must be safe for concurrent use.
type Hub = llm.Hub

// An Event is an event of a hub.
type Event = llm.Event

// Options configures the demos. Its zero value works.
type Options struct {
	LLM    llm.Model    // answers questions; without a URL, a generator in this program does
	Feeds  []string     // URLs and files of feeds for the news; none: news about the market
	Plug   *Plug        // the hub that viewers can kill; nil: none
	Prices *Prices      // the prices of the stocks; nil: a simulated market
	Logger *slog.Logger // nil: slog.Default()
}

// Run runs the demos until ctx ends, and returns after all goroutines that it started have
// ended. A failing publish is logged once; the next figures are published as usual.
func Run(ctx context.Context, hub Hub, o Options) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	var wg sync.WaitGroup
	var silent outages
	wg.Go(func() { silent.follow(ctx, hub) })
	// Reading the host's figures can take long on a busy machine; the clock must not wait.
	for topic, generate := range map[string]func(time.Time, emit){
		"clock": newClock().generate,
		"host":  silent.guard(newMachine(o.Logger).generate),
	} {
		out := &outlet{ctx: ctx, topic: topic, hub: hub, log: o.Logger}
		wg.Go(func() {
			every(ctx, time.Second, func(now time.Time) { generate(now, out.emit) })
		})
	}
	wg.Go(func() { answer(ctx, hub, o) })
	wg.Go(func() { trade(ctx, hub, o) })
	wg.Go(func() { report(ctx, hub, o) })
	if o.Plug != nil {
		wg.Go(func() { o.Plug.run(ctx, hub) })
	}
	wg.Wait()
}

// An emit publishes v as JSON, or as it is if it is a string.
type emit func(typ string, v any)

// every calls f at each full step of the wall clock. Steps that pass while f runs are
// skipped.
func every(ctx context.Context, step time.Duration, f func(now time.Time)) {
	for {
		now := time.Now()
		timer := time.NewTimer(now.Truncate(step).Add(step).Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			f(time.Now())
		}
	}
}

// An outlet publishes to one topic. It logs only the first of several failures in a row.
type outlet struct {
	ctx     context.Context
	topic   string
	hub     Hub
	log     *slog.Logger
	failing bool
}

func (o *outlet) emit(typ string, v any) {
	err := o.send(typ, v)
	switch {
	case o.ctx.Err() != nil:
	case err != nil && !o.failing:
		o.failing = true
		o.log.Warn("demo: publishing fails", "topic", o.topic, "type", typ, "error", err)
	case err == nil && o.failing:
		o.failing = false
		o.log.Info("demo: publishing works again", "topic", o.topic)
	}
}

func (o *outlet) send(typ string, v any) error {
	data, ok := v.(string)
	body := []byte(data)
	if !ok {
		var err error
		if body, err = json.Marshal(v); err != nil {
			return fmt.Errorf("encode %s: %w", typ, err)
		}
	}
	return o.hub.Publish(o.ctx, Event{Topics: []string{o.topic}, Type: typ, Data: body})
}

// decode parses an event's JSON. Any client may publish to a topic, so the caller must
// ignore events that are not ok.
func decode[T any](e Event) (v T, ok bool) { return v, json.Unmarshal(e.Data, &v) == nil }
