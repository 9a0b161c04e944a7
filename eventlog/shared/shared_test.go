package shared_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
	"github.com/tidings-sse/tidings/eventlog/logtest"
	"github.com/tidings-sse/tidings/eventlog/shared"
	"github.com/tidings-sse/tidings/eventlog/shared/sequencetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick are options for tests: little memory, and frequent trims.
func quick(r eventlog.Retention) shared.Options {
	return shared.Options{Retention: r, TrimEvery: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
}

// openNode opens a node on a sequence, and waits until it is ready.
func openNode(t testing.TB, m *sequencetest.Memory, fs vfs.FS, o shared.Options) *shared.Log {
	t.Helper()
	c, err := disklog.Open("copy", disklog.Options{Copy: true, Relaxed: true, MinFree: -1, Memory: 8 << 20, FS: fs, Logger: o.Logger})
	if err != nil {
		t.Fatal(err)
	}
	l, err := shared.Open(t.Context(), m.Node(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.Ready(ctx); err != nil {
		t.Fatalf("a node is not ready: %v", err)
	}
	return l
}

func TestLog(t *testing.T) {
	t.Run("One", func(t *testing.T) {
		logtest.Run(t, func(t *testing.T, r eventlog.Retention) eventlog.Log {
			return openNode(t, new(sequencetest.Memory), vfs.NewMem(), quick(r))
		})
	})
	t.Run("Two", func(t *testing.T) {
		logtest.Run(t, func(t *testing.T, r eventlog.Retention) eventlog.Log {
			m := new(sequencetest.Memory)
			return &pair{openNode(t, m, vfs.NewMem(), quick(r)), openNode(t, m, vfs.NewMem(), quick(r))}
		})
	})
	t.Run("Restart", func(t *testing.T) {
		logtest.RunDurable(t, func(*testing.T) logtest.Place {
			m, fs := new(sequencetest.Memory), vfs.NewMem()
			return logtest.Place{Open: func(t *testing.T, r eventlog.Retention) eventlog.Log { return openNode(t, m, fs, quick(r)) }}
		})
	})
}

// A pair publishes and deletes on one node, and reads on another that has caught up.
type pair struct {
	*shared.Log
	other *shared.Log
}

// follow waits until the other node has what the first one has.
func (p *pair) follow(ctx context.Context) {
	for {
		want, _ := p.Log.Applied()
		if got, _ := p.other.Applied(); got >= want || ctx.Err() != nil {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func (p *pair) Append(ctx context.Context, recs ...eventlog.Record) ([]eventlog.Result, error) {
	results, err := p.Log.Append(ctx, recs...)
	for i := range results {
		if err := p.other.Await(ctx, results[i].ID); err != nil && results[i].Err == nil && !errors.As(err, new(*eventlog.TrimmedError)) {
			return nil, err
		}
	}
	return results, err
}

func (p *pair) Read(ctx context.Context, after eventlog.ID, q eventlog.Query) iter.Seq2[*eventlog.Event, error] {
	p.follow(ctx)
	return p.other.Read(ctx, after, q)
}

func (p *pair) Tail(ctx context.Context, after eventlog.ID) iter.Seq2[*eventlog.Event, error] {
	p.follow(ctx)
	return p.other.Tail(ctx, after)
}

func (p *pair) Newest(ctx context.Context, topic string, n int, match func(*eventlog.Event) bool) ([]*eventlog.Event, error) {
	p.follow(ctx)
	return p.other.Newest(ctx, topic, n, match)
}

func (p *pair) At(ctx context.Context, t time.Time) (eventlog.ID, error) {
	p.follow(ctx)
	return p.other.At(ctx, t)
}

func (p *pair) ByPublisherID(ctx context.Context, id string) (eventlog.ID, error) {
	p.follow(ctx)
	return p.other.ByPublisherID(ctx, id)
}

func (p *pair) Topics(ctx context.Context) iter.Seq2[eventlog.Topic, error] {
	p.follow(ctx)
	return p.other.Topics(ctx)
}

func (p *pair) Bounds(ctx context.Context) (eventlog.Bounds, error) {
	p.follow(ctx)
	b, err := p.other.Bounds(ctx)
	for err == nil { // each node drops events in its own time, and knows their keys until then
		var own eventlog.Bounds
		if own, err = p.Log.Bounds(ctx); err == nil && own.Origin.Compare(b.Origin) >= 0 {
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	return b, err
}

func (p *pair) Await(ctx context.Context, id eventlog.ID) error { return p.other.Await(ctx, id) }

func (p *pair) Close() error {
	return errors.Join(p.other.Close(), p.Log.Close())
}
