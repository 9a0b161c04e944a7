package shared

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

const (
	// behind is how long Await waits for this node to apply what it lacks.
	behind = 5 * time.Second

	// askEvery is how often Await asks the engine for its ends, at most.
	askEvery = 100 * time.Millisecond
)

// Await implements [eventlog.Log]. If the position is beyond this node's copy, it asks the
// engine for the sequence's end, together with all calls within 100 ms, and waits until
// the copy has got there, but at most 5 s: then it returns [context.DeadlineExceeded]. If
// the engine does not answer, it returns [eventlog.ErrUnavailable].
func (l *Log) Await(ctx context.Context, id eventlog.ID) error {
	if err := l.usable(ctx); err != nil {
		return err
	}
	err := l.copy.Await(ctx, id)
	if !errors.Is(err, eventlog.ErrAhead) && !errors.Is(err, eventlog.ErrEpoch) || errors.As(err, new(*eventlog.LostError)) {
		return err
	}
	if live, _ := l.follower.state(); live && errors.Is(err, eventlog.ErrEpoch) {
		return err
	}
	waiting, cancel := context.WithTimeoutCause(ctx, behind, fmt.Errorf("shared: this node is behind: %w", context.DeadlineExceeded))
	defer cancel()
	ask := l.asks.end(l)
	answer, end := ask.done, uint64(math.MaxUint64)
	for {
		at := l.copy.Applied()
		if err := l.copy.Await(ctx, id); at.Entry >= end || !errors.Is(err, eventlog.ErrAhead) && !errors.Is(err, eventlog.ErrEpoch) {
			return err
		}
		select {
		case <-at.Moved: // most often this node is behind by milliseconds only
		case <-answer:
			if ask.err != nil {
				return fmt.Errorf("%w (%w)", eventlog.ErrUnavailable, ask.err)
			}
			answer, end = nil, ask.end
		case <-waiting.Done():
			return context.Cause(waiting)
		case <-l.ctx.Done():
			return l.ending()
		}
	}
}

// asks lets callers share questions for the sequence's end.
type asks struct {
	mu   sync.Mutex
	next *ask      // not begun yet
	last time.Time // when one began
}

type ask struct {
	done chan struct{}
	end  uint64
	err  error
}

// end asks for the sequence's end, as of a moment after the call.
func (a *asks) end(l *Log) *ask {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.next
	if q == nil {
		q = &ask{done: make(chan struct{})}
		a.next = q
		time.AfterFunc(askEvery-time.Since(a.last), func() { a.run(l, q) })
	}
	return q
}

func (a *asks) run(l *Log, q *ask) {
	a.mu.Lock()
	a.next, a.last = nil, time.Now()
	a.mu.Unlock()
	ends, err := l.ends(l.ctx)
	q.end, q.err = ends.Last, err
	close(q.done)
}
