//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type fullCheck struct {
	Size     int64         `default:"96" help:"Size of the file system, in MiB."`
	MinFree  int64         `default:"16" help:"The hub's --min-free, in MiB."`
	Live     int           `default:"20" help:"How many subscribers are to stay connected."`
	Patience time.Duration `default:"30s" help:"How long publishing may take to recover."`
}

// fileSystem mounts a small file system, because only a full disk behaves exactly like
// a full disk.
func (c *fullCheck) fileSystem(s *setup) (dir string, unmount func(), err error) {
	temp, err := s.tempDir()
	if err != nil {
		return "", nil, err
	}
	if dir, err = os.MkdirTemp(temp, "small-"); err != nil {
		return "", nil, err
	}
	err = syscall.Mount("tidings-checker", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", c.Size))
	return dir, func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }, err
}

func (c *fullCheck) check(ctx context.Context, s *setup) (*report, error) {
	r := &report{Check: "full"}
	dir, unmount, err := c.fileSystem(s)
	if errors.Is(err, os.ErrPermission) {
		r.add("skipped", "mounting a small file system needs root")
		return r, nil
	} else if err != nil {
		return nil, err
	}
	defer unmount()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// obstacle takes space at first, which its removal gives back.
	obstacle := filepath.Join(dir, "obstacle")
	if err := os.WriteFile(obstacle, make([]byte, c.Size<<20/3), 0o600); err != nil {
		return nil, err
	}
	h, err := s.startHubOn(filepath.Join(dir, "data"), "--min-free", fmt.Sprintf("%dMiB", c.MinFree), "--retry", "100ms")
	if err != nil {
		return nil, err
	}
	defer h.kill()
	p := newSpeaker(h, "full")
	p.size = func(uint32) int { return 64 << 10 }
	live, err := gather(ctx, h, p, c.Live, 0)
	if err != nil {
		return nil, err
	}
	if err := c.fill(ctx, r, p); err != nil {
		return nil, err
	}
	if err := c.read(ctx, r, h, live); err != nil {
		return nil, err
	}
	// It must also do no harm if another program takes the rest.
	thief := filepath.Join(dir, "thief")
	if err := os.WriteFile(thief, make([]byte, c.Size<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return nil, fmt.Errorf("a file larger than the disk: %w", err)
	}
	if err := c.refused(ctx, r, p); err != nil {
		return nil, err
	}
	if err := errors.Join(os.Remove(thief), os.Remove(obstacle)); err != nil {
		return nil, err
	}
	if err := c.recover(ctx, r, p); err != nil {
		return nil, err
	}
	return r, c.judge(ctx, r, h, live)
}

// fill publishes until the hub has no space.
func (c *fullCheck) fill(ctx context.Context, r *report, p *publisher) error {
	for len(p.ledger) < int(c.Size<<20>>16) { // more events do not fit
		refused, err := attempt(ctx, p)
		if err != nil {
			return err
		}
		if refused == nil {
			continue
		}
		r.add("events of 64 KiB published", len(p.ledger))
		r.must("then the hub answers", refused.status, refused.status == http.StatusInsufficientStorage, "507")
		var problem struct {
			Status int
			Detail string
		}
		explained := json.Unmarshal(refused.body, &problem) == nil && problem.Status == refused.status && problem.Detail != ""
		r.must("and says what to do", explained, explained, "true")
		return nil
	}
	r.must("the hub refuses to publish", false, false, "true")
	return nil
}

// refused checks the hub's answers when no byte is left.
func (c *fullCheck) refused(ctx context.Context, r *report, p *publisher) error {
	refused, err := attempt(ctx, p)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if refused != nil {
		status = refused.status
	}
	r.must("with not a byte left it answers", status, status == http.StatusInsufficientStorage, "507")
	return nil
}

// attempt tries to publish the next event once. If the hub refuses the event, its
// number is used again.
func attempt(ctx context.Context, p *publisher) (refused *statusError, err error) {
	seq := len(p.ledger)
	p.ledger = append(p.ledger, entry{})
	err = p.try(ctx, p.request(seq, 1), seq, 1)
	if errors.As(err, &refused) {
		p.ledger = p.ledger[:seq]
		return refused, nil
	}
	return nil, err
}

// read checks that clients can still read from a hub with a full disk.
func (c *fullCheck) read(ctx context.Context, r *report, h *process, live *audience) error {
	if err := live.caughtUp(ctx); err != nil {
		return err
	}
	opens := 0
	for _, m := range live.members {
		opens += int(m.opens.Load())
	}
	r.zero("subscribers cut meanwhile", opens-len(live.members))

	// A client that left in the middle resumes there.
	ledger := live.publisher.ledger
	middle := len(ledger) / 2
	last := uint32(len(ledger) - 1)
	seq := sequence{expected: ascending(middle+1, len(ledger)-middle-1)}
	sub := &subscriber{query: live.members[0].query, from: ledger[middle].id, transport: newTransport(0)}
	sub.each = func(e event, _ string) bool { seq.see(e.seq); return e.seq == last }
	if err := sub.start(ctx, h); err != nil {
		return err
	}
	missing := wait([]*subscriber{sub}, c.Patience)
	sub.source.Close()
	<-sub.ended
	seq.end(last)
	v := seq.verdict
	v.add(sub.verdict())
	r.must("resuming on a full disk", resumed(v, missing), v == verdict{} && missing == 0, "exact")
	return nil
}

func resumed(v verdict, missing int) string {
	if v == (verdict{}) && missing == 0 {
		return "exact"
	}
	return strings.TrimSpace(fmt.Sprintf("%+v", v))
}

// recover publishes again once there is space.
func (c *fullCheck) recover(ctx context.Context, r *report, p *publisher) error {
	begin := now()
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	for range 50 {
		if err := p.publish(ctx, 1); err != nil {
			return err
		}
	}
	recovered := p.ledger[len(p.ledger)-1].acked
	r.must("publishing recovered by itself", recovered, recovered, "true")
	r.add("after", millis(now()-begin))
	return nil
}

func (c *fullCheck) judge(ctx context.Context, r *report, h *process, live *audience) error {
	v, missing, err := live.dismiss(ctx, c.Patience)
	if err != nil {
		return err
	}
	r.zero("subscribers that did not reach the end", missing)
	v.report(r)
	log, err := h.retained("*")
	if err != nil {
		return err
	}
	held := sequence{expected: ascending(0, len(live.publisher.ledger))}
	for _, e := range log {
		held.see(e.seq)
	}
	held.end(uint32(len(live.publisher.ledger)))
	r.add("acknowledged", live.publisher.acked())
	r.zero("acknowledged, and not in the log", held.Lost)
	r.zero("in the log twice or out of order", held.Doubled)
	h.judge(r)
	return nil
}
