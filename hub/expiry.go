package hub

import (
	"sync"
	"time"
)

// An expiry ends a stream at a time of the system's clock. Its timer measures elapsed
// time instead, so it compares the clock again when the timer fires and when the clock
// was set.
type expiry struct {
	st *Stream
	at time.Time

	mu    sync.Mutex
	timer *time.Timer // nil: the stream is closed
}

// endAt makes the stream end at t. The zero time means never.
func (st *Stream) endAt(t time.Time) {
	if t.IsZero() {
		return
	}
	st.hub.clock.watch(st.hub)
	e := &expiry{st: st, at: t.Round(0)} // wall-clock time only
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timer = time.AfterFunc(e.left(), e.look)
	st.expiry = e
}

func (e *expiry) left() time.Duration { return e.at.Sub(e.st.hub.clock.now()) }

func (e *expiry) look() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer == nil {
		return
	}
	if left := e.left(); left > 0 {
		e.timer.Reset(left)
	} else {
		e.st.End(ErrExpired)
	}
}

func (e *expiry) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timer.Stop()
	e.timer = nil
}

const (
	// lookEvery is how often the clock is checked, and so how long a step may go
	// unnoticed.
	lookEvery = time.Second
	// leastStep is the smallest difference that counts as a step.
	leastStep = 100 * time.Millisecond
)

// A clockWatch detects steps of the system's clock, as an operator or a time server makes
// them. A machine that has slept appears to make one, too.
type clockWatch struct {
	once    sync.Once
	watcher sync.WaitGroup
	done    <-chan struct{}  // closed when the hub has stopped
	now     func() time.Time // the system's time; tests replace it
}

// watch starts the watcher at the first call.
func (c *clockWatch) watch(h *Hub) {
	c.once.Do(func() {
		begun, wall := time.Now(), c.now()
		c.watcher.Go(func() {
			tick := time.NewTicker(lookEvery)
			defer tick.Stop()
			for seen := time.Duration(0); ; {
				select {
				case <-c.done:
					return
				case <-tick.C:
				}
				ahead := c.now().Sub(wall) - time.Since(begun)
				if step := ahead - seen; step.Abs() >= leastStep {
					seen = ahead
					h.clockStepped(step)
				}
			}
		})
	})
}

// close waits for the watcher, which ends with the hub.
func (c *clockWatch) close() {
	c.once.Do(func() {})
	c.watcher.Wait()
}

// clockStepped checks again all streams that end at a time of the system's clock.
func (h *Hub) clockStepped(by time.Duration) {
	h.logger.Info("the system's clock has been set; streams end by the new time when their tokens expire", "by", by)
	h.eachStream(StreamFilter{}, func(st *Stream) {
		if st.expiry != nil {
			st.expiry.look()
		}
	})
}
