package demo

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// published is an event as the hub would receive it.
type published struct {
	at         time.Time
	topic, typ string
	data       string
}

// A recorder is a hub that records events and returns none.
type recorder struct {
	mu     sync.Mutex
	events []published
	err    error
}

func (r *recorder) Publish(_ context.Context, e Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.events = append(r.events, published{time.Now(), e.Topics[0], e.Type, string(e.Data)})
	return nil
}

func (r *recorder) Retained(context.Context, string, int) ([]Event, string, error) {
	return nil, "", nil
}

func (r *recorder) Follow(ctx context.Context, _, _ string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		<-ctx.Done()
		yield(Event{}, ctx.Err())
	}
}

func (r *recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *recorder) of(topic, typ string) (found []published) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.topic == topic && e.typ == typ {
			found = append(found, e)
		}
	}
	return found
}

func TestClockTicksOnTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(300 * time.Millisecond) // start between two seconds
		var r recorder
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		Run(ctx, &r, Options{Logger: slog.New(slog.DiscardHandler)})

		dates, ticks := r.of("clock", ""), r.of("clock", "tick")
		if len(dates) != 5 || len(ticks) != 5 {
			t.Fatalf("%d dates and %d ticks in 5 s", len(dates), len(ticks))
		}
		for i := range ticks {
			at := ticks[i].at
			if at.Nanosecond() != 0 {
				t.Errorf("tick %d came %v past the second", i, time.Duration(at.Nanosecond()))
			}
			if date, err := time.Parse(time.RFC3339, dates[i].data); err != nil || !date.Equal(at) {
				t.Errorf("date %q at %v: %v", dates[i].data, at, err)
			}
			var tick Tick
			if err := json.Unmarshal([]byte(ticks[i].data), &tick); err != nil {
				t.Fatal(err)
			}
			if want := (Tick{T: at.UnixMilli(), N: int64(i + 1)}); tick != want {
				t.Errorf("tick %d: %+v, want %+v", i, tick, want)
			}
		}
	})
}

func TestClockSkipsWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 9500*time.Millisecond)
		defer cancel()
		var seconds []int
		every(ctx, time.Second, func(now time.Time) {
			seconds = append(seconds, now.Second())
			if now.Second() == 3 {
				time.Sleep(2500 * time.Millisecond)
			}
		})
		want := []int{1, 2, 3, 6, 7, 8, 9}
		if len(seconds) != len(want) {
			t.Fatalf("called at %v, want %v", seconds, want)
		}
		for i := range want {
			if seconds[i] != want[i] {
				t.Fatalf("called at %v, want %v", seconds, want)
			}
		}
	})
}

func TestFailingPublishIsLoggedOnceAndTriedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var r recorder
		r.fail(errors.New("no space"))
		o := &outlet{ctx: t.Context(), topic: "clock", hub: &r, log: slog.New(slog.NewTextHandler(&log, nil))}
		c := newClock()
		for range 3 {
			c.generate(time.Now(), o.emit)
		}
		r.fail(nil)
		c.generate(time.Now(), o.emit)
		if n := strings.Count(log.String(), "no space"); n != 1 {
			t.Errorf("logged %d times, want once:\n%s", n, &log)
		}
		if !strings.Contains(log.String(), "works again") {
			t.Errorf("the recovery is not logged:\n%s", &log)
		}
		if len(r.of("clock", "tick")) != 1 {
			t.Error("publishing stopped")
		}
	})
}
