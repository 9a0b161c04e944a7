//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// A crowd is several audiences, each with its own publisher.
type crowd []*audience

// crowdSelector selects the topics of all publishers of crowds.
const crowdSelector = "honest/{publisher}"

// gatherCrowd connects the members of all audiences.
func gatherCrowd(ctx context.Context, h *process, publishers, members int, token string) (crowd, error) {
	var c crowd
	for i := range publishers {
		p := newSpeaker(h, fmt.Sprint("honest/", i))
		p.num, p.token = uint32(i), token
		a, err := gather(ctx, h, p, members/publishers, 0)
		if err != nil {
			return nil, err
		}
		c = append(c, a)
	}
	return c, nil
}

// hub returns the hub that all are connected to.
func (c crowd) hub() *process { return c[0].publisher.hub }

// measure measures all audiences at once, each at rate events a second. It returns the
// latencies even with an error.
func (c crowd) measure(ctx context.Context, rate float64, during func() error) (*rig.Latency, error) {
	l, over := rig.NewLatency(), make(chan struct{})
	errs := make([]error, len(c))
	var wg sync.WaitGroup
	for i, a := range c {
		wg.Go(func() {
			errs[i] = a.measureInto(ctx, l, rate, func() error { <-over; return nil })
		})
		time.Sleep(time.Duration(float64(time.Second) / rate / float64(len(c)))) // spreads their events
	}
	err := during()
	close(over)
	wg.Wait()
	return l, errors.Join(err, errors.Join(errs...))
}

// dismiss dismisses every audience and returns the sums.
func (c crowd) dismiss(ctx context.Context, patience time.Duration) (v verdict, missing int, err error) {
	var mu sync.Mutex
	err = all(len(c), func(i int) error {
		one, n, err := c[i].dismiss(ctx, patience)
		mu.Lock()
		defer mu.Unlock()
		v.add(one)
		missing += n
		return err
	})
	return v, missing, err
}

func (c crowd) publishers() (ps []*publisher) {
	for _, a := range c {
		ps = append(ps, a.publisher)
	}
	return ps
}

// reconnects returns how often streams had to reconnect.
func (c crowd) reconnects() (n int) {
	for _, a := range c {
		for _, m := range a.members {
			n += int(m.opens.Load()) - 1
		}
	}
	return n
}
