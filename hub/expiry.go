package hub

import (
	"context"
	"sync"
	"time"
)

// An expiry ends a stream at a time by the system's clock. Its timer goes by the time
// that passes, so it looks again when it fires, and when that clock has stepped.
type expiry struct {
	st *Stream
	at time.Time

	mu    sync.Mutex
	timer *time.Timer // nil: the stream is closed
}

// endAt makes the stream end at a time; the zero time is never.
func (st *Stream) endAt(t time.Time) {
	if t.IsZero() {
		return
	}
	st.hub.clock.watch(st.hub)
	e := &expiry{st: st, at: t.Round(0)} // without a reading of the monotonic clock
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
	// lookEvery is how long a step of the clock may go unnoticed.
	lookEvery = time.Second
	// leastStep is the least that counts as one.
	leastStep = 100 * time.Millisecond
)

// A clockWatch looks for steps of the system's clock, as an operator or a time server
// makes them, and as it appears to make when a machine has slept.
type clockWatch struct {
	once    sync.Once
	watcher sync.WaitGroup
	ctx     context.Context
	now     func() time.Time // the system's time; another one in tests
}

// watch begins to look, the first time that it is called.
func (c *clockWatch) watch(h *Hub) {
	c.once.Do(func() {
		begun, wall := time.Now(), c.now()
		c.watcher.Go(func() {
			tick := time.NewTicker(lookEvery)
			defer tick.Stop()
			for seen := time.Duration(0); ; {
				select {
				case <-c.ctx.Done():
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

// close waits for the watcher, which the hub's context has ended.
func (c *clockWatch) close() {
	c.once.Do(func() {})
	c.watcher.Wait()
}

// clockStepped looks again at all that ends by the system's clock.
func (h *Hub) clockStepped(by time.Duration) {
	h.logger.Info("the system's clock has been set; streams end by the new time when their tokens expire", "by", by)
	h.eachStream(StreamFilter{}, func(st *Stream) {
		if st.expiry != nil {
			st.expiry.look()
		}
	})
}
