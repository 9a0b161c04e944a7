//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/tidings-sse/tidings/internal/checker/attack"
	"github.com/tidings-sse/tidings/internal/rig"
)

type attackCheck struct {
	Only        []string      `placeholder:"NAME" help:"Only these attacks; all there are unless given."`
	Each        bool          `help:"Not all at once, but one after the other, each on a hub of its own, to see what each costs. One alone is run like this."`
	Publishers  int           `default:"100" help:"How many honest publishers there are."`
	Streams     int           `default:"1000" help:"How many honest streams listen to them."`
	Rate        float64       `default:"1" help:"Events a second of each honest publisher."`
	For         time.Duration `default:"10m" help:"How long the hub is attacked."`
	Quiet       time.Duration `default:"20s" help:"How long the honest are measured before."`
	Settle      time.Duration `default:"2m" help:"How long the hub may take afterwards until its memory is back."`
	Scale       float64       `default:"1" help:"Multiplies the sizes of attacks."`
	Files       int           `default:"8000" help:"How many descriptors the hub may have."`
	MemoryLimit string        `placeholder:"BYTES" help:"The hub's --memory-limit, which its memory must stay below; it is only reported unless given."`
	Noise       float64       `default:"3" help:"The p99 of the honest under attack may be so many times that of as many on a hub beside it that nobody attacks, at the same time; 0 does not judge, and starts no such hub."`
}

// memoryRetained is how much a hub with a memory limit retains when its store is
// memory.
const memoryRetained = "100MiB"

// maxKept is how many bytes more than before a hub without a memory limit may have
// after an attack. With a limit it may also keep the store's part, a quarter, because
// the store's cache is full then and was empty before.
const maxKept = 128 << 20

func (c *attackCheck) maxKept() (int64, error) {
	if c.MemoryLimit == "" {
		return maxKept, nil
	}
	limit, err := humanize.ParseBytes(c.MemoryLimit)
	return maxKept + int64(limit/4), err
}

func (c *attackCheck) check(ctx context.Context, s *setup) (*report, error) {
	r := &report{Check: "attack"}
	attacks := attack.All
	if len(c.Only) > 0 {
		attacks = nil
	}
	for _, name := range c.Only {
		a, err := attack.Find(name)
		if err != nil {
			return nil, err
		}
		attacks = append(attacks, a)
	}
	if !c.Each && len(attacks) != 1 {
		return r, c.run(ctx, s, r, attacks)
	}
	for _, a := range attacks {
		own := *s
		if a.Store != "" {
			own.Store = a.Store
		}
		one := &report{part: a.Name + ": "}
		if err := c.run(ctx, &own, one, []attack.Attack{a}, a.Flags...); err != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		r.Figures = append(r.Figures, one.brief()...)
	}
	return r, nil
}

// An attackRun is one hub under attack.
type attackRun struct {
	*attackCheck
	hub    *process
	target attack.Target
	token  string // of the honest clients
	honest crowd
	beside crowd // of a hub that nobody attacks; nil: there is none
	begun  time.Duration
	trims  bool // the hub drops some of what is published

	quiet, attacked, spared, after *rig.Latency // spared is that of the crowd beside
	before, peak, end              int64        // the hub's memory
	cpu                            time.Duration
	attacks                        []*assailant
	newcomer                       string // how a new client fared under attack
}

func (c *attackCheck) run(ctx context.Context, s *setup, r *report, attacks []attack.Attack, flags ...string) error {
	key := rand.Text() + rand.Text()
	flags = append([]string{"--jwt-key", key, "--anonymous", "--mercure-subscriptions", "--retain-bytes", "16GiB", "--retry", "100ms"}, flags...)
	if c.MemoryLimit != "" {
		flags = append(flags, "--memory-limit", c.MemoryLimit)
		if s.Store == "memory" { // events may take half of the limit
			flags = append(flags, "--retain-bytes", memoryRetained)
		}
	}
	own := *s
	own.files = c.Files
	h, err := own.startHub(flags...)
	if err != nil {
		return err
	}
	defer h.kill()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // without a hub there is nothing left to measure
		<-h.exited
		cancel()
	}()
	token, err := exec.Command(h.bin, "token", "--key", key, "--publish", crowdSelector).Output()
	if err != nil {
		return fmt.Errorf("make a token: %w", err)
	}
	run := &attackRun{attackCheck: c, hub: h, begun: now(), trims: s.Store == "memory"}
	run.token = strings.TrimSpace(string(token))
	run.target = attack.Target{Addr: h.addr, Key: key, Files: c.Files, Scale: c.Scale}
	if run.honest, err = gatherCrowd(ctx, h, c.Publishers, c.Streams, run.token); err != nil {
		return err
	}
	if c.Noise > 0 {
		if run.beside, err = c.gatherBeside(ctx, &own, run.token, flags); err != nil {
			return err
		}
		defer run.beside.hub().kill()
	}
	err = run.measure(ctx, attacks)
	select {
	case <-h.exited:
		r.must("the hub lives", h.lastWords(), false, "true")
		return nil
	default:
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil { // the report has the reason
		r.must("the honest are served", err.Error(), false, "true")
		return run.judgeCost(ctx, r)
	}
	return run.judge(ctx, r)
}

// gatherBeside starts another hub and connects as many honest clients to it.
func (c *attackCheck) gatherBeside(ctx context.Context, s *setup, token string, flags []string) (crowd, error) {
	h, err := s.startHub(flags...)
	if err != nil {
		return nil, err
	}
	them, err := gatherCrowd(ctx, h, c.Publishers, c.Streams, token)
	if err != nil {
		h.kill()
	}
	return them, err
}

// measure measures the honest clients before, during and after the attacks.
func (r *attackRun) measure(ctx context.Context, attacks []attack.Attack) (err error) {
	if r.quiet, err = r.honest.measure(ctx, r.Rate, pause(ctx, r.Quiet)); err != nil {
		return err
	}
	pid := r.hub.pid()
	if r.before, err = rss(pid); err != nil {
		return err
	}
	cpuBefore, err := cpuTime(pid)
	if err != nil {
		return err
	}
	if err := resetPeak(pid); err != nil {
		return err
	}
	var errs [4]error
	r.attacked, errs[0] = r.honest.measure(ctx, r.Rate, func() (err error) {
		if r.beside == nil {
			return r.attack(ctx, attacks)
		}
		r.spared, err = r.beside.measure(ctx, r.Rate, func() error { return r.attack(ctx, attacks) })
		return err
	})
	r.cpu, errs[1] = cpuTime(pid)
	r.cpu -= cpuBefore
	r.after, errs[2] = r.honest.measure(ctx, r.Rate, func() error { return r.settle(ctx) })
	r.peak, errs[3] = peakRSS(pid)
	return errors.Join(errs[:]...)
}

// attack runs the attacks at the same time, the late ones in the second half.
func (r *attackRun) attack(ctx context.Context, attacks []attack.Attack) error {
	start := func(late bool) error {
		for _, a := range attacks {
			if a.Late != late {
				continue
			}
			t := r.target
			t.From = fmt.Sprintf("127.0.1.%d", 1+len(r.attacks))
			one, err := assail(ctx, a, t)
			if err != nil {
				return err
			}
			r.attacks = append(r.attacks, one)
		}
		return pause(ctx, r.For/2)()
	}
	if err := errors.Join(start(false), start(true)); err != nil {
		return err
	}
	r.newcomer = r.welcome(ctx)
	for _, a := range r.attacks {
		a.callOff()
	}
	for _, a := range r.attacks {
		if err := a.wait(); err != nil {
			return err
		}
	}
	return nil
}

// welcome reports how the hub serves an honest client that is new to it.
func (r *attackRun) welcome(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := freshTemplate(r.hub.addr); err != nil {
		return fmt.Sprintf("no stream: %.200s", err)
	}
	resp, _, err := request(ctx, prober, "POST", r.hub.url("/tickets"), http.Header{"Authorization": {"Bearer " + r.token}}, nil)
	if err != nil {
		return fmt.Sprintf("no ticket: %.200s", err)
	}
	if resp.StatusCode != http.StatusCreated {
		return "no ticket: " + resp.Status
	}
	return "served"
}

// settle waits until the hub's memory is back where it was.
func (r *attackRun) settle(ctx context.Context) error {
	kept, err := r.maxKept()
	if err != nil {
		return err
	}
	for begin := now(); now()-begin < r.Settle; {
		if err := pause(ctx, time.Second)(); err != nil {
			return err
		}
		if r.end, err = rss(r.hub.pid()); err != nil || r.end <= r.before+kept && now()-begin > r.Settle/10 {
			return err
		}
	}
	return nil
}

func (r *attackRun) judge(ctx context.Context, rep *report) error {
	if err := r.judgeCost(ctx, rep); err != nil {
		return err
	}
	published := now() - r.begun
	v, missing, err := r.honest.dismiss(ctx, time.Minute)
	if err != nil {
		return err
	}
	rep.zero("honest streams that did not reach the end", missing)
	log, err := r.hub.retained(crowdSelector)
	if err != nil {
		return err
	}
	if r.trims {
		rep.add("acknowledged, and dropped by retention", forgetTrimmed(r.honest.publishers(), log))
	}
	judgeLog(rep, r.honest.publishers(), published, log)
	v.report(rep)
	r.hub.judge(rep)
	return nil
}

// forgetTrimmed removes from the ledgers what retention has dropped: each publisher's
// events before its oldest one in the log. It returns how many those were.
func forgetTrimmed(publishers []*publisher, log []logged) (n int) {
	oldest := map[uint32]uint32{}
	for _, e := range log {
		if _, seen := oldest[e.pub]; !seen {
			oldest[e.pub] = e.seq
		}
	}
	for _, p := range publishers {
		for seq := range oldest[p.num] {
			if p.ledger[seq].acked {
				p.ledger[seq].acked = false
				n++
			}
		}
	}
	return n
}

// judgeCost reports what the attacks cost the hub and the honest clients.
func (r *attackRun) judgeCost(ctx context.Context, rep *report) error {
	for _, a := range r.attacks {
		rep.add(a.name+" was answered", a.answers)
	}
	mib := func(n int64) string { return humanize.IBytes(uint64(n)) }
	rep.add("hub memory before", mib(r.before))
	if r.MemoryLimit == "" {
		rep.add("hub memory at most", mib(r.peak))
	} else {
		limit, err := humanize.ParseBytes(r.MemoryLimit)
		if err != nil {
			return err
		}
		rep.must("hub memory at most", mib(r.peak), uint64(r.peak) <= limit, "≤ "+r.MemoryLimit)
	}
	kept, err := r.maxKept()
	if err != nil {
		return err
	}
	rep.must("hub memory after", mib(r.end), r.end <= r.before+kept, "≤ "+mib(kept)+" more than before")
	rep.add("hub processor time, s", fmt.Sprintf("%.1f", r.cpu.Seconds()))
	rep.latencies("before", []*rig.Latency{r.quiet})
	if r.spared != nil {
		rep.latencies("beside, not attacked", []*rig.Latency{r.spared})
	}
	rep.latenciesWithin("under attack", []*rig.Latency{r.attacked}, r.Noise, []*rig.Latency{r.spared})
	rep.add("publish to receive, longest, under attack", millis(r.attacked.Max()))
	rep.latencies("after", []*rig.Latency{r.after})
	rep.add("honest streams that reconnected", r.honest.reconnects())
	rep.add("a newcomer under attack", r.newcomer)
	newcomer := r.welcome(ctx)
	rep.must("a newcomer after", newcomer, newcomer == "served", "served")
	return nil
}
