package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// A Publish puts one event into the hub; typ "" is unnamed. It is called from
// several goroutines.
type Publish func(ctx context.Context, topic, typ string, data []byte) error

// Run publishes the clock and this host's figures until ctx ends, and returns
// after all that it started has stopped. A publish that fails is logged once
// and tried anew with the next second's figures.
func Run(ctx context.Context, publish Publish, log *slog.Logger) {
	var wg sync.WaitGroup
	// Reading the host can take long on a busy machine; the clock must not wait for it.
	for topic, generate := range map[string]func(time.Time, emit){
		"clock": newClock().generate,
		"host":  newMachine(log).generate,
	} {
		out := &outlet{ctx: ctx, topic: topic, publish: publish, log: log}
		wg.Go(func() {
			everySecond(ctx, func(now time.Time) { generate(now, out.emit) })
		})
	}
	wg.Wait()
}

// An emit publishes v as JSON, or as it is if it is a string.
type emit func(typ string, v any)

// everySecond calls f at each full second of the wall clock. What f delays is
// skipped, never made up for.
func everySecond(ctx context.Context, f func(now time.Time)) {
	for {
		now := time.Now()
		timer := time.NewTimer(now.Truncate(time.Second).Add(time.Second).Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			f(time.Now())
		}
	}
}

// An outlet publishes to one topic, and logs the first failure of a row only.
type outlet struct {
	ctx     context.Context
	topic   string
	publish Publish
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
	if ok {
		return o.publish(o.ctx, o.topic, typ, []byte(data))
	}
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", typ, err)
	}
	return o.publish(o.ctx, o.topic, typ, body)
}
