//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

type stallCheck struct {
	Healthy      int           `default:"1000" help:"How many read at once what they get."`
	Stalled      int           `default:"1000" help:"How many read nothing."`
	Rate         float64       `default:"20" help:"Events a second."`
	Phase        time.Duration `default:"10s" help:"How long each measurement takes, and how long readers are stalled at least; less than the hub's write timeout of 30s."`
	Rounds       int           `default:"3" help:"How many measurements without and with stalled readers, by turns."`
	WriteTimeout time.Duration `default:"3s" help:"The hub's --write-timeout where stalled readers are to be cut."`
	Noise        float64       `default:"1.5" help:"The best p99 with stalled readers may be so many times the worst one without; 0 does not judge."`
}

// maxPerStream is how many bytes one stalled stream may cost the hub and the kernel
// together.
const maxPerStream = 512 << 10

// receiveBuffer is how many bytes of buffer a stalled reader asks the kernel for: the
// minimum.
const receiveBuffer = 2 << 10

// stallTopic is the topic of all readers, so that they share one feed.
const stallTopic = "stall"

func (c *stallCheck) check(ctx context.Context, s *setup) (*report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &report{Check: "stall"}
	r.add("healthy readers", c.Healthy)
	r.add("stalled readers", c.Stalled)
	if err := c.beside(ctx, s, r); err != nil {
		return nil, err
	}
	return r, c.cut(ctx, s, r)
}

// A stallRound is the result of one round of measurements.
type stallRound struct {
	quiet, stalled     *rig.Latency
	rss, kernel        int64 // growth with stalled readers
	blocked, reconnect int
	verdict
	missing int
}

// beside measures healthy readers without stalled ones and then with them. The stalled
// readers then go on, on the same connections.
func (c *stallCheck) beside(ctx context.Context, s *setup, r *report) error {
	h, err := s.startHub()
	if err != nil {
		return err
	}
	defer h.kill()
	p := newSpeaker(h, stallTopic)
	healthy, err := gather(ctx, h, p, c.Healthy, 0)
	if err != nil {
		return err
	}
	// A process's first events are slower than all that follow.
	if err := c.fill(ctx, healthy); err != nil {
		return err
	}
	rounds := make([]stallRound, c.Rounds)
	for i := range rounds {
		if err := c.round(ctx, h, healthy, &rounds[i]); err != nil {
			return err
		}
	}
	v, missing, err := healthy.dismiss(ctx, time.Minute)
	if err != nil {
		return err
	}
	c.report(r, rounds)
	r.zero("healthy readers that did not reach the end", missing)
	for i := range rounds {
		v.add(rounds[i].verdict)
	}
	v.report(r)
	h.judge(r)
	return nil
}

func (c *stallCheck) round(ctx context.Context, h *process, healthy *audience, r *stallRound) (err error) {
	if r.quiet, err = healthy.measure(ctx, c.Rate, pause(ctx, c.Phase)); err != nil {
		return err
	}
	rssBefore, err := rss(h.pid())
	if err != nil {
		return err
	}
	kernelBefore, err := tcpMemory()
	if err != nil {
		return err
	}
	stalled, err := gather(ctx, h, healthy.publisher, c.Stalled, receiveBuffer)
	if err != nil {
		return err
	}
	if err := c.fill(ctx, healthy); err != nil {
		return err
	}
	if r.stalled, err = healthy.measure(ctx, c.Rate, pause(ctx, c.Phase)); err != nil {
		return err
	}
	if r.rss, err = rss(h.pid()); err != nil {
		return err
	}
	if r.kernel, err = tcpMemory(); err != nil {
		return err
	}
	r.rss, r.kernel = r.rss-rssBefore, r.kernel-kernelBefore
	if r.blocked, _, err = unsent(h.addr); err != nil {
		return err
	}
	progress("p99 %s without and %s with stalled readers, of whom %d are blocked",
		millis(r.quiet.Quantile(0.99)), millis(r.stalled.Quantile(0.99)), r.blocked)
	stalled.release()
	r.verdict, r.missing, err = stalled.dismiss(ctx, time.Minute)
	for _, m := range stalled.members {
		r.reconnect += int(m.opens.Load()) - 1
	}
	return err
}

// fill publishes more than fits the buffers between a hub and a stalled reader.
func (c *stallCheck) fill(ctx context.Context, a *audience) error {
	small := a.publisher.size
	defer func() { a.publisher.size = small }()
	a.publisher.size = func(uint32) int { return 8 << 10 }
	for range 32 {
		if err := a.publisher.publish(ctx, 1); err != nil {
			return err
		}
	}
	return a.caughtUp(ctx)
}

func (c *stallCheck) report(r *report, rounds []stallRound) {
	var quiet, stalled []*rig.Latency
	var perUser, perKernel int64
	blocked, reconnects, missing := c.Stalled, 0, 0
	for i := range rounds {
		quiet, stalled = append(quiet, rounds[i].quiet), append(stalled, rounds[i].stalled)
		perUser = max(perUser, rounds[i].rss/int64(c.Stalled))
		perKernel = max(perKernel, rounds[i].kernel/int64(c.Stalled))
		blocked = min(blocked, rounds[i].blocked)
		reconnects += rounds[i].reconnect
		missing += rounds[i].missing
	}
	r.latencies("without stalled readers", quiet)
	r.latenciesWithin("with them", stalled, c.Noise, quiet)
	r.must("stalled readers that really were, at least", blocked, blocked == c.Stalled, "all")
	r.must("hub memory for each stalled stream", kib(perUser), perUser <= maxPerStream, "≤ 512 KiB")
	r.must("kernel memory for each stalled stream", kib(perKernel), perKernel <= maxPerStream, "≤ 512 KiB")
	r.zero(fmt.Sprintf("stalled readers cut within %s", c.Phase), reconnects)
	r.zero("stalled readers that did not reach the end", missing)
}

// cut stalls readers for longer than the hub's write timeout: the hub ends their
// streams, and they resume by reconnecting.
func (c *stallCheck) cut(ctx context.Context, s *setup, r *report) error {
	h, err := s.startHub("--write-timeout", c.WriteTimeout.String(), "--retry", "100ms")
	if err != nil {
		return err
	}
	defer h.kill()
	p := newSpeaker(h, stallTopic)
	healthy, err := gather(ctx, h, p, 1, 0)
	if err != nil {
		return err
	}
	idle, err := descriptors(h.pid())
	if err != nil {
		return err
	}
	stalled, err := gather(ctx, h, p, c.Stalled, receiveBuffer)
	if err != nil {
		return err
	}
	if err := c.fill(ctx, healthy); err != nil {
		return err
	}
	left, begin := c.Stalled, now()
	_, err = healthy.measure(ctx, c.Rate, func() error {
		for left > 0 && now()-begin < 3*c.WriteTimeout+10*time.Second {
			time.Sleep(20 * time.Millisecond)
			open, err := descriptors(h.pid())
			if err != nil {
				return err
			}
			left = max(open-idle-1, 0) // the publisher's own connection
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	took := now() - begin
	stalled.release()
	v, missing, err := stalled.dismiss(ctx, time.Minute)
	if err != nil {
		return err
	}
	resumed := 0
	for _, m := range stalled.members {
		if m.opens.Load() > 1 {
			resumed++
		}
	}
	r.part = "past the write timeout: "
	r.add("it is", c.WriteTimeout)
	r.zero(fmt.Sprintf("streams not ended %s after they were full", took.Round(100*time.Millisecond)), left)
	r.must("readers that resumed by reconnecting", resumed, resumed == c.Stalled, "all")
	r.zero("readers that did not reach the end", missing)
	healthyVerdict, _, err := healthy.dismiss(ctx, time.Minute)
	if err != nil {
		return err
	}
	v.add(healthyVerdict)
	v.report(r)
	h.judge(r)
	return nil
}
