//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"time"
)

// resumeCmd is the process of a storm's resuming clients. They read hundreds of
// megabytes at a time, and their own work must not show in the latencies of the live
// subscribers.
type resumeCmd struct{}

// A resumePlan is what the process reads from standard input.
type resumePlan struct {
	archive
	Addr     string
	Ended    uint32 // the first number of the events that mark the end
	Resumers []resumePlace
}

// A resumePlace is one client's topics and the event after which it resumes.
type resumePlace struct {
	Topics []int
	After  uint32
	ID     string // of the event with that number
}

// A resumeResult is what the process prints to standard output: once when all clients
// have their history or resumePatience has passed, and again with a verdict after the
// end.
type resumeResult struct {
	Took     time.Duration // since the first request
	Replayed int
	Missing  int
	Verdict  verdict
}

const resumePatience = 10 * time.Minute

func (c *resumeCmd) Run(ctx context.Context) error {
	var plan resumePlan
	if err := json.NewDecoder(os.Stdin).Decode(&plan); err != nil {
		return err
	}
	answers := json.NewEncoder(os.Stdout)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var r resumeResult
	var ready sync.WaitGroup
	resumers := plan.resumers(&ready)
	for _, m := range resumers {
		r.Replayed += len(m.expected)
	}
	begin := now()
	for _, m := range resumers {
		if err := m.start(ctx, &process{addr: plan.Addr}); err != nil {
			return err
		}
	}
	if err := waitFor(ctx, &ready, resumePatience); err != nil {
		return err
	}
	r.Took = now() - begin
	if err := answers.Encode(r); err != nil {
		return err
	}
	subs := make([]*subscriber, len(resumers))
	for i, m := range resumers {
		subs[i] = &m.subscriber
	}
	r.Missing = wait(subs, time.Minute)
	for _, m := range resumers {
		m.source.Close()
		<-m.ended
		m.end(uint32(plan.Events))
		r.Verdict.add(m.sequence.verdict)
		r.Verdict.add(m.subscriber.verdict())
	}
	return answers.Encode(r)
}

// A resumer is a subscriber that was away for a long time.
type resumer struct {
	subscriber
	sequence
}

func (p *resumePlan) resumers(ready *sync.WaitGroup) []*resumer {
	byTopic := p.byTopic()
	transport := newTransport(0)
	resumers := make([]*resumer, len(p.Resumers))
	for i, place := range p.Resumers {
		q := url.Values{}
		for _, t := range place.Topics {
			q.Add("topic", p.name(t))
		}
		m := &resumer{sequence: sequence{expected: after(place.After, byTopic, place.Topics)}}
		m.query, m.from, m.transport = q, place.ID, transport
		ready.Add(1)
		done := sync.OnceFunc(ready.Done)
		if len(m.expected) == 0 {
			done()
		}
		m.each = func(e event, _ string) bool {
			if e.pub == endOfRun { // events of earlier storms are history by now
				return e.seq >= p.Ended
			}
			m.see(e.seq)
			if len(m.expected) == 0 {
				done()
			}
			return false
		}
		resumers[i] = m
	}
	return resumers
}

// waitFor waits for a group, but at most for patience: missing events will be counted.
func waitFor(ctx context.Context, wg *sync.WaitGroup, patience time.Duration) error {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		progress("some do not have their history after %s", patience)
	case <-ctx.Done():
	}
	return ctx.Err()
}

// A resuming is the running process of the resuming clients.
type resuming struct {
	cmd     *exec.Cmd
	answers *json.Decoder
}

// startResuming starts the process, in the background.
func startResuming(ctx context.Context, plan *resumePlan) (*resuming, error) {
	cmd, err := background(ctx, "resume")
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	err = json.NewEncoder(in).Encode(plan)
	return &resuming{cmd, json.NewDecoder(out)}, err
}

// next returns the process's next answer.
func (r *resuming) next() (result resumeResult, err error) {
	if err := r.answers.Decode(&result); err == io.EOF {
		return result, fmt.Errorf("the resuming clients have failed: %w", r.cmd.Wait())
	} else if err != nil {
		return result, err
	}
	return result, nil
}
