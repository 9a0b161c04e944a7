//go:build linux

package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

type stormCheck struct {
	archive
	Resumes int           `default:"2000" help:"How many resume at the same time."`
	Live    int           `default:"200" help:"How many listen to what is published meanwhile."`
	Rate    float64       `default:"50" help:"Live events a second."`
	Phase   time.Duration `default:"10s" help:"How long live delivery is measured without a storm, each time, and beside spinning processes."`
	Rounds  int           `default:"2" help:"How many measurements without and with a storm, by turns."`
	Noise   float64       `default:"1.5" help:"The best p99 in a storm may be so many times the worst one beside spinning processes; 0 does not judge."`
}

// A stormRun is one run of the check.
type stormRun struct {
	*stormCheck
	hub     *process
	history *publisher
	end     *publisher // marks the end of each storm
	live    *audience
}

// A stormRound is the result of one storm.
type stormRound struct {
	quiet, beside, stormy *rig.Latency
	resumeResult
}

func (c *stormCheck) check(ctx context.Context, s *setup) (*report, error) {
	h, err := s.startHub("--retain-bytes", "16GiB", "--retry", "100ms")
	if err != nil {
		return nil, err
	}
	defer h.kill()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	run := &stormRun{stormCheck: c, hub: h, end: newPublisher(h, endOfRun, jsonWithKey)}
	run.end.topics = c.endTopics
	begin := now()
	if run.history, err = c.publish(ctx, h); err != nil {
		return nil, err
	}
	r := &report{Check: "storm"}
	r.add("events of history", c.Events)
	r.add("published a second, by one publisher", int(float64(c.Events)/(now()-begin).Seconds()))
	if run.live, err = gather(ctx, h, newSpeaker(h, "live"), c.Live, 0); err != nil {
		return nil, err
	}
	rounds := make([]stormRound, c.Rounds)
	for i := range rounds {
		if err := run.round(ctx, &rounds[i]); err != nil {
			return nil, err
		}
	}
	v, missing, err := run.live.dismiss(ctx, time.Minute)
	if err != nil {
		return nil, err
	}
	r.zero("listeners that did not reach the end", missing)
	c.report(r, rounds, v)
	peak, err := peakRSS(h.pid())
	if err != nil {
		return nil, err
	}
	r.add("hub memory at most", kib(peak))
	h.judge(r)
	return r, nil
}

func (r *stormRun) round(ctx context.Context, s *stormRound) (err error) {
	if s.quiet, err = r.live.measure(ctx, r.Rate, pause(ctx, r.Phase)); err != nil {
		return err
	}
	if err := besides(ctx, func() (err error) {
		s.beside, err = r.live.measure(ctx, r.Rate, pause(ctx, r.Phase))
		return err
	}); err != nil {
		return err
	}
	var storm *resuming
	s.stormy, err = r.live.measure(ctx, r.Rate, func() (err error) {
		if storm, err = startResuming(ctx, r.plan()); err == nil {
			s.resumeResult, err = storm.next()
		}
		return err
	})
	if err != nil {
		return err
	}
	progress("p99 %s without, %s beside spinning processes and %s in a storm, which took %s for %d events",
		millis(s.quiet.Quantile(0.99)), millis(s.beside.Quantile(0.99)), millis(s.stormy.Quantile(0.99)), s.Took.Round(time.Millisecond), s.Replayed)
	for range r.ends() {
		if err := r.end.publish(ctx, 1); err != nil {
			return err
		}
	}
	r.end.client.CloseIdleConnections()
	if s.resumeResult, err = storm.next(); err != nil {
		return err
	}
	return storm.cmd.Wait()
}

// plan resumes half of the clients on the hot topic and half on pairs of other topics.
// Half of each resume after the same event, half after any event.
func (r *stormRun) plan() *resumePlan {
	pair := func() []int {
		p := []int{rand.IntN(r.Topics), rand.IntN(r.Topics)}
		slices.Sort(p)
		return slices.Compact(p)
	}
	commonPair, commonPlace := pair(), uint32(rand.IntN(r.Events/2))
	plan := &resumePlan{archive: r.archive, Addr: r.hub.addr, Ended: uint32(len(r.end.ledger))}
	for i := range r.Resumes {
		place := resumePlace{Topics: []int{r.Topics}, After: commonPlace}
		if i%2 == 1 {
			place.Topics = commonPair
		}
		if i%4 >= 2 {
			place.After = uint32(rand.IntN(r.Events))
			if i%2 == 1 {
				place.Topics = pair()
			}
		}
		place.ID = r.history.ledger[place.After].id
		plan.Resumers = append(plan.Resumers, place)
	}
	return plan
}

func (c *stormCheck) report(r *report, rounds []stormRound, v verdict) {
	var quiet, beside, stormy []*rig.Latency
	var took []time.Duration
	var total time.Duration
	replayed, missing := 0, 0
	for i := range rounds {
		quiet, beside, stormy = append(quiet, rounds[i].quiet), append(beside, rounds[i].beside), append(stormy, rounds[i].stormy)
		took = append(took, rounds[i].Took)
		total += rounds[i].Took
		replayed += rounds[i].Replayed
		missing += rounds[i].Missing
		v.add(rounds[i].Verdict)
	}
	r.add("resumes at the same time", c.Resumes)
	r.add("events replayed", replayed)
	r.add("until all had their history", millisOf(took))
	r.add("replayed a second", int(float64(replayed)/total.Seconds()))
	r.latencies("without a storm", quiet)
	r.latencies("beside spinning processes", beside)
	r.latenciesWithin("in a storm", stormy, c.Noise, beside)
	r.zero("resumed subscribers that did not reach the end", missing)
	v.report(r)
}
