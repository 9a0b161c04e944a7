package shared_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
	"github.com/tidings-sse/tidings/eventlog/shared"
	"github.com/tidings-sse/tidings/eventlog/shared/sequencetest"
)

// A counting sequence counts how often it is asked for its ends.
type counting struct {
	shared.Sequence
	asked atomic.Int64
}

func (c *counting) Ends(ctx context.Context) (shared.Ends, error) {
	c.asked.Add(1)
	return c.Sequence.Ends(ctx)
}

// TestAwaitAsksOnce waits for many positions beyond the end at once.
func TestAwaitAsksOnce(t *testing.T) {
	m := new(sequencetest.Memory)
	s := &counting{Sequence: m.Node()}
	o := quick(eventlog.Retention{})
	copied, err := disklog.Open("copy", disklog.Options{Copy: true, Relaxed: true, MinFree: -1, Memory: 8 << 20, FS: vfs.NewMem(), Logger: o.Logger})
	if err != nil {
		t.Fatal(err)
	}
	l, err := shared.Open(t.Context(), s, copied, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	results, err := l.Append(t.Context(), eventlog.Record{Topics: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	ahead := results[0].ID
	ahead.Lo += 1 << 40
	before := s.asked.Load()
	begun := time.Now()
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() {
			if err := l.Await(t.Context(), ahead); !errors.Is(err, eventlog.ErrAhead) {
				t.Errorf("beyond the end: %v; want ErrAhead", err)
			}
		})
	}
	wg.Wait()
	// The log itself asks once a second.
	if n, most := s.asked.Load()-before, int64(3+time.Since(begun)/(100*time.Millisecond)); n > most {
		t.Errorf("the engine was asked %d times; want at most %d", n, most)
	}
	m.Break(errors.New("down"))
	if err := l.Await(t.Context(), ahead); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("an engine that does not answer: %v; want ErrUnavailable", err)
	}
	if err := l.Await(t.Context(), results[0].ID); err != nil {
		t.Errorf("a position that is there, without the engine: %v", err)
	}
	m.Break(nil)
}
