package hub

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
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
	ends  sync.WaitGroup // ends the streams
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
		h.drain.ends.Go(h.endEach)
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

// moment returns how long after now a subscriber ends.
func (d *drain) moment(now time.Time) time.Duration { return jitter(max(d.end.Sub(now), 0)) }

// endEach gives each stream a reconnection time, and ends it at a moment of its own. A
// stream that opens later finds that the hub drains.
func (h *Hub) endEach() {
	type leaver struct {
		st   *Stream
		wait time.Duration
	}
	now := time.Now()
	var leavers []leaver
	h.eachStream(StreamFilter{}, func(st *Stream) {
		wait := h.drain.moment(now)
		leavers = append(leavers, leaver{st, wait})
		st.leave.Store(int64(h.drain.retry(now.Add(wait))))
		st.wake()
	})
	slices.SortFunc(leavers, func(a, b leaver) int { return cmp.Compare(a.wait, b.wait) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, l := range leavers {
		timer.Reset(l.wait - time.Since(now))
		select {
		case <-timer.C:
			l.st.End(ErrDrained)
		case <-h.pumped: // the hub ends all of them
			return
		}
	}
}

func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
