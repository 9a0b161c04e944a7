package hub

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// ErrDrained ends a subscriber of a hub that drains.
var ErrDrained = errors.New("hub: drained")

// drain is how a hub takes leave of its subscribers: each is told when to come
// back and is ended at a moment of its own, so that neither the leaving nor
// the coming back is a herd.
type drain struct {
	begun chan struct{} // closed by Drain
	gone  chan struct{} // closed when no subscriber is left
	once  sync.Once
	left  sync.Once
	end   time.Time // set before begun is closed
	over  time.Duration
	base  time.Duration
}

// Drain ends the subscribers, at moments spread evenly over a duration, and
// returns when the last has gone or ctx ends. Each gets a reconnection time
// that outlasts the drain by at least base, with jitter, so that whoever takes
// over has time to start.
func (h *Hub) Drain(ctx context.Context, over, base time.Duration) error {
	h.drain.once.Do(func() {
		h.drain.over, h.drain.base = over, base
		h.drain.end = time.Now().Add(over)
		close(h.drain.begun)
		h.mu.Lock()
		h.leave()
		h.mu.Unlock()
		// Every stream gets its moment now: one whose peer takes nothing does not
		// look for what is next, and so would learn of the drain too late.
		for _, st := range h.registry.find(StreamFilter{}) {
			st.drain.begin(&h.drain, st.over)
			st.wake()
		}
	})
	select {
	case <-h.drain.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave notes that a draining hub has no subscribers left. h.mu is held.
func (h *Hub) leave() {
	if _, draining := h.Draining(); draining && h.subscribers == 0 {
		h.drain.left.Do(func() { close(h.drain.gone) })
	}
}

// Draining tells whether the hub drains and, if so, a reconnection time for
// whom it cannot take in any more.
func (h *Hub) Draining() (retry time.Duration, ok bool) {
	select {
	case <-h.drain.begun:
		return h.drain.retry(time.Now()), true
	default:
		return 0, false
	}
}

// retry is a reconnection time for who is ended at a moment: until the drain's
// end, then base, then as much again in jitter as the drain takes.
func (d *drain) retry(at time.Time) time.Duration {
	retry := max(d.end.Sub(at), 0) + d.base + jitter(max(d.over, d.base))
	return retry.Round(time.Millisecond)
}

// A drainTimer is one subscriber's share of a drain. Any goroutine may call begin;
// the other methods are for the one that uses the subscriber.
type drainTimer struct {
	moment atomic.Pointer[moment] // nil until the drain has begun
	over   atomic.Bool            // the moment has come
}

// A moment is when a subscriber of a hub that drains is ended.
type moment struct {
	timer *time.Timer
	retry time.Duration // to pass on to the subscriber; 0: it has been
}

// begin chooses the subscriber's moment, once the hub drains, and calls over then.
func (t *drainTimer) begin(d *drain, over func()) {
	if t.moment.Load() != nil {
		return
	}
	select {
	case <-d.begun:
	default:
		return
	}
	now := time.Now()
	wait := jitter(max(d.end.Sub(now), 0))
	m := &moment{retry: d.retry(now.Add(wait))}
	m.timer = time.AfterFunc(wait, func() {
		t.over.Store(true)
		over()
	})
	if !t.moment.CompareAndSwap(nil, m) {
		m.timer.Stop() // another goroutine has chosen meanwhile
	}
}

// retry returns, once, the reconnection time to pass on to the subscriber.
func (t *drainTimer) retry() (retry time.Duration, ok bool) {
	m := t.moment.Load()
	if m == nil || m.retry == 0 {
		return 0, false
	}
	retry, m.retry = m.retry, 0
	return retry, true
}

func (t *drainTimer) due() bool { return t.over.Load() }

// begun returns a channel that is closed when the drain begins; nil if it has.
func (t *drainTimer) begun(d *drain) <-chan struct{} {
	if t.moment.Load() != nil {
		return nil
	}
	return d.begun
}

func (t *drainTimer) stop() {
	if m := t.moment.Load(); m != nil {
		m.timer.Stop()
	}
}

func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
