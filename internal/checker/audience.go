//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// An audience listens live to one publisher, whose events are numbered from 0, and
// measures the latency of each event.
type audience struct {
	publisher *publisher
	members   []*listener
	hold      chan struct{} // closed by release; nil if members read from the start

	latency atomic.Pointer[rig.Latency] // where durations are added; nil: nowhere
	until   atomic.Uint32               // the number of the event at which members leave
}

// A listener is a member of an audience.
type listener struct {
	subscriber
	sequence
	at atomic.Int64 // the newest number received, or -1
}

// live has more numbers than any audience receives.
var live = ascending(0, 1<<20)

// newSpeaker returns a publisher to one topic, for audiences.
func newSpeaker(h *process, topic string) *publisher {
	p := newPublisher(h, 0, jsonWithKey)
	p.topics = func(uint32) []string { return []string{topic} }
	return p
}

// gather connects n members, whose first event is the next one of p. If receive, the
// size of their receive buffers in bytes, is not 0, members do not read until they are
// released.
func gather(ctx context.Context, h *process, p *publisher, n, receive int) (*audience, error) {
	a := &audience{publisher: p, members: make([]*listener, n)}
	a.until.Store(math.MaxUint32)
	if receive > 0 {
		a.hold = make(chan struct{})
	}
	transport := newTransport(receive)
	topic := p.topics(0)[0]
	first := len(p.ledger)
	err := all(n, func(i int) error {
		m := &listener{sequence: sequence{expected: live[first:]}}
		m.query, m.transport, m.hold = url.Values{"topic": {topic}}, transport, a.hold
		m.each = func(e event, _ string) bool { return a.hear(m, e) }
		m.at.Store(-1)
		a.members[i] = m
		return m.start(ctx, h)
	})
	if err != nil {
		return nil, err
	}
	return a, placed(ctx, a.subscribers())
}

func (a *audience) hear(m *listener, e event) (last bool) {
	if l := a.latency.Load(); l != nil {
		l.Add(now() - e.at)
	}
	m.see(e.seq)
	m.at.Store(int64(e.seq))
	return e.seq >= a.until.Load()
}

func (a *audience) subscribers() []*subscriber {
	subs := make([]*subscriber, len(a.members))
	for i, m := range a.members {
		subs[i] = &m.subscriber
	}
	return subs
}

// measure publishes at a rate, in events a second, while during runs, and returns the
// latencies at the members.
func (a *audience) measure(ctx context.Context, rate float64, during func() error) (*rig.Latency, error) {
	l := rig.NewLatency()
	return l, a.measureInto(ctx, l, rate, during)
}

func (a *audience) measureInto(ctx context.Context, l *rig.Latency, rate float64, during func() error) error {
	a.latency.Store(l)
	defer a.latency.Store(nil)
	stop, spoken := make(chan struct{}), make(chan error, 1)
	go func() { spoken <- a.publisher.run(ctx, rate, stop) }()
	err := during()
	close(stop)
	if err := errors.Join(err, <-spoken); err != nil {
		return err
	}
	return a.caughtUp(ctx)
}

// pause returns a function that waits for d, so that nothing but the measurement goes
// on.
func pause(ctx context.Context, d time.Duration) func() error {
	return func() error {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
		return ctx.Err()
	}
}

// caughtUp waits until all members have received the publisher's newest event, for at
// most a minute.
func (a *audience) caughtUp(ctx context.Context) error {
	newest := int64(len(a.publisher.ledger)) - 1
	timeout := time.After(time.Minute)
	for i, m := range a.members {
		for m.at.Load() < newest {
			select {
			case <-timeout:
				return fmt.Errorf("listener %d is at event %d of %d, and has been for a minute", i, m.at.Load(), newest)
			case <-m.ended:
				return fmt.Errorf("listener %d has ended: %w", i, m.err)
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
	}
	return nil
}

func (a *audience) release() { close(a.hold) }

// dismiss publishes a last event and waits until all members have received it. It
// returns what was wrong with their events, and how many never received the last one.
func (a *audience) dismiss(ctx context.Context, patience time.Duration) (v verdict, missing int, err error) {
	last := uint32(len(a.publisher.ledger))
	a.until.Store(last)
	if err := a.publisher.publish(ctx, 1); err != nil {
		return v, 0, err
	}
	missing = wait(a.subscribers(), patience)
	for _, m := range a.members {
		m.source.Close()
	}
	for _, m := range a.members {
		<-m.ended
		m.end(last)
		v.add(m.sequence.verdict)
		v.add(m.subscriber.verdict())
	}
	return v, missing, nil
}
