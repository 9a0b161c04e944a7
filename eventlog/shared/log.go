package shared

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
)

// Options configure a log. The zero value retains everything.
type Options struct {
	// Retention is what this node wants to be dropped, on all nodes.
	Retention eventlog.Retention

	// TrimEvery is how often events beyond Retention are dropped; 0 means 10 s. The log
	// may exceed its limits by what is published meanwhile.
	TrimEvery time.Duration

	// Queue is how many bytes of records may wait for the engine, or for the copy to
	// apply them; 0 means 64 MiB. Beyond that, Append returns eventlog.ErrUnavailable.
	Queue int64

	// Submitters is how many entries may wait for the engine's answer; 0 means 3.
	Submitters int

	// Facts is about how many bytes of memory the facts may take; 0 means 64 MiB. Beyond
	// that, Facts.Put returns eventlog.ErrNoSpace.
	Facts int64

	// Ended is called with each filter that [Log.End] of any node was called with, less
	// than 30 s ago by the engine's clock. It must not block.
	Ended func(filter []byte)

	Clock  *eventlog.Clock // for the age of events; nil means a new one
	Logger *slog.Logger    // nil means slog.Default

	span  uint64 // for tests; 0 means the constant
	keyed int    // for tests; 0 means the constant
}

func (o Options) withDefaults() Options {
	o.TrimEvery = cmp.Or(o.TrimEvery, 10*time.Second)
	o.Queue = cmp.Or(o.Queue, 64<<20)
	o.Submitters = cmp.Or(o.Submitters, 3)
	o.Facts = cmp.Or(o.Facts, 64<<20)
	o.span, o.keyed = cmp.Or(o.span, span), cmp.Or(o.keyed, keyed)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = &eventlog.Clock{Logger: o.Logger}
	}
	return o
}

// A Log is one node's view of a shared log. It implements [eventlog.Log].
type Log struct {
	o        Options
	sequence Sequence
	copy     *disklog.Log
	applier  *applier
	session  uint64
	counter  atomic.Uint64 // of this session's entries
	asks     asks

	ctx     context.Context // ends with the log
	stop    context.CancelFunc
	running sync.WaitGroup
	scarce  rate.Sometimes // limits the operator's log

	queue    queue
	follower follower
	watchers watchers

	closed  atomic.Bool
	failure atomic.Pointer[error]
}

var _ eventlog.Log = (*Log)(nil)

// Open returns a log over a sequence, with a copy that was opened with disklog's
// Options.Copy. Both belong to the log from then on; Close closes them. Open does not
// wait for the engine: until Ready returns, reading sees what the copy has, and
// publishing waits.
func Open(ctx context.Context, s Sequence, c *disklog.Log, o Options) (*Log, error) {
	o = o.withDefaults()
	l := &Log{o: o, sequence: s, copy: c, applier: newApplier(c, o.span, o.keyed), session: rand.Uint64(),
		scarce: rate.Sometimes{First: 1, Interval: 10 * time.Second}}
	if err := l.applier.load(ctx); err != nil {
		return nil, err
	}
	l.applier.ended = l.ended
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.queue.init(l)
	l.follower.ready = make(chan struct{})
	l.running.Go(l.follow)
	for range o.Submitters {
		l.running.Go(l.submitter)
	}
	l.running.Go(l.nudge)
	l.running.Go(l.watch)
	if o.Retention != (eventlog.Retention{}) {
		l.running.Go(l.trimmer)
	}
	return l, nil
}

// Ready waits until this node has applied everything that the sequence had when it
// began to follow it.
func (l *Log) Ready(ctx context.Context) error {
	for {
		live, changed := l.follower.state()
		if live {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.ctx.Done():
			return l.ending()
		}
	}
}

// ending returns why the log has ended.
func (l *Log) ending() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return eventlog.ErrClosed
}

// fail ends the log, because the copy cannot go on.
func (l *Log) fail(err error) {
	if l.closed.Load() {
		return
	}
	err = fmt.Errorf("%w (%w)", eventlog.ErrFailed, err)
	if l.failure.CompareAndSwap(nil, &err) {
		l.o.Logger.Error("eventlog: this node cannot follow the shared log any more", "error", err)
		l.stop()
	}
}

// Close ends the log, its copy and its connection to the engine.
func (l *Log) Close() error {
	if l.closed.Swap(true) {
		return eventlog.ErrClosed
	}
	l.stop()
	l.queue.end(fmt.Errorf("%w (%w)", eventlog.ErrUncertain, eventlog.ErrClosed))
	err := l.sequence.Close()
	l.running.Wait()
	return errors.Join(err, l.copy.Close())
}

// Read implements [eventlog.Log].
func (l *Log) Read(ctx context.Context, after eventlog.ID, q eventlog.Query) iter.Seq2[*eventlog.Event, error] {
	return l.copy.Read(ctx, after, q)
}

// Tail implements [eventlog.Log].
func (l *Log) Tail(ctx context.Context, after eventlog.ID) iter.Seq2[*eventlog.Event, error] {
	return l.copy.Tail(ctx, after)
}

// Newest implements [eventlog.Log].
func (l *Log) Newest(ctx context.Context, topic string, n int, match func(*eventlog.Event) bool) ([]*eventlog.Event, error) {
	return l.copy.Newest(ctx, topic, n, match)
}

// At implements [eventlog.Log].
func (l *Log) At(ctx context.Context, t time.Time) (eventlog.ID, error) { return l.copy.At(ctx, t) }

// ByPublisherID implements [eventlog.Log].
func (l *Log) ByPublisherID(ctx context.Context, id string) (eventlog.ID, error) {
	return l.copy.ByPublisherID(ctx, id)
}

// Topics implements [eventlog.Log].
func (l *Log) Topics(ctx context.Context) iter.Seq2[eventlog.Topic, error] { return l.copy.Topics(ctx) }

// Bounds implements [eventlog.Log].
func (l *Log) Bounds(ctx context.Context) (eventlog.Bounds, error) { return l.copy.Bounds(ctx) }

// OnBury implements [eventlog.Log].
func (l *Log) OnBury(f func()) { l.copy.OnBury(f) }

// Applied returns the number of the last entry that this node has applied, and its time.
func (l *Log) Applied() (entry uint64, at time.Time) {
	a := l.copy.Applied()
	return a.Entry, a.Time
}

// Losses returns what the engine has lost, as far as the nodes noticed: the newest 64 cases.
func (l *Log) Losses() []Loss {
	l.applier.mu.RLock()
	defer l.applier.mu.RUnlock()
	return append([]Loss(nil), l.applier.state.losses...)
}
