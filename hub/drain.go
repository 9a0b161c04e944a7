package hub

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// drain is the state of ending all subscribers before the hub stops. Each is ended at a
// time of its own and gets its own reconnection time, so that clients neither leave nor
// return all at once.
type drain struct {
	begun chan struct{} // closed by Drain
	gone  chan struct{} // closed when no subscriber is left
	once  sync.Once
	left  sync.Once
	end   time.Time // set before begun is closed
	over  time.Duration
	base  time.Duration
	ends  sync.WaitGroup // runs endEach
}

// Drain ends all subscribers with [ErrDrained], each at a random time within the duration
// over, and refuses new streams. It returns when the last subscriber has closed, or with
// ctx's error when ctx ends first; the drain then continues.
//
// Each client gets a reconnection time after the end of the drain: at least base later,
// with random jitter of up to the larger of over and base, so that the replacement hub
// has time to start. With over of 0 all subscribers end at once. Later calls wait for the
// same drain and ignore their durations.
func (h *Hub) Drain(ctx context.Context, over, base time.Duration) error {
	h.drain.once.Do(func() {
		h.drain.over, h.drain.base = over, base
		h.drain.end = time.Now().Add(over)
		close(h.drain.begun)
		h.leave()
		h.drain.ends.Go(h.endEach)
	})
	select {
	case <-h.drain.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave signals that a draining hub has no subscribers left. It is called after each that
// leaves.
func (h *Hub) leave() {
	if _, draining := h.Draining(); draining && h.feeds.Members() == 0 {
		h.drain.left.Do(func() { close(h.drain.gone) })
	}
}

// Draining reports whether the hub drains. If so, retry is a reconnection time for a
// client that it refuses.
func (h *Hub) Draining() (retry time.Duration, ok bool) {
	select {
	case <-h.drain.begun:
		return h.drain.retry(time.Now()), true
	default:
		return 0, false
	}
}

// retry returns the reconnection time for a stream that ends at the given time: what is
// left of the drain, plus base, plus random jitter below max(over, base). It is rounded
// to milliseconds.
func (d *drain) retry(at time.Time) time.Duration {
	retry := max(d.end.Sub(at), 0) + d.base + jitter(max(d.over, d.base))
	return retry.Round(time.Millisecond)
}

// moment returns a random time to wait until a subscriber ends.
func (d *drain) moment(now time.Time) time.Duration { return jitter(max(d.end.Sub(now), 0)) }

// endEach sends each stream a reconnection time, and ends it at a time of its own. A
// stream that opens later notices itself that the hub drains.
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
		st.cursor.Wake()
	})
	slices.SortFunc(leavers, func(a, b leaver) int { return cmp.Compare(a.wait, b.wait) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, l := range leavers {
		timer.Reset(l.wait - time.Since(now))
		select {
		case <-timer.C:
			l.st.End(ErrDrained)
		case <-h.Done(): // the hub has stopped, which ends all streams
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
