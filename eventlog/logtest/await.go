package logtest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

// testAwait checks that Await returns what reading would begin with.
func testAwait(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{Events: 3})
	start := origin(t, log)
	if err := log.Await(t.Context(), start); err != nil {
		t.Errorf("the start of an empty log: %v", err)
	}
	ids := appendN(t, log, "t", 10)
	for _, id := range ids[7:] {
		if err := log.Await(t.Context(), id); err != nil {
			t.Errorf("an event's position, %v: %v", id, err)
		}
	}
	settle(t, log, 3)
	var trimmed *eventlog.TrimmedError
	if err := log.Await(t.Context(), ids[0]); !errors.As(err, &trimmed) || trimmed.Origin != origin(t, log) {
		t.Errorf("a position that is not retained: %v; want TrimmedError with the origin", err)
	}
	ahead := ids[9]
	ahead.Lo += 1 << 40
	if err := log.Await(t.Context(), ahead); !errors.Is(err, eventlog.ErrAhead) {
		t.Errorf("far beyond the end: %v; want ErrAhead", err)
	}
	foreign := ids[9]
	foreign.Epoch++
	if err := log.Await(t.Context(), foreign); !errors.Is(err, eventlog.ErrEpoch) {
		t.Errorf("a position of another log: %v; want ErrEpoch", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := log.Await(ctx, ids[9]); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v; want context.Canceled", err)
	}
}

// testOnBury checks that every function is called when events were deleted, and not when
// none were.
func testOnBury(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{})
	var calls [2]atomic.Int64
	for i := range calls {
		log.OnBury(func() { calls[i].Add(1) })
	}
	appendAll(t, log, record("a", "1"), record("b", "2"))
	if n, err := log.Delete(t.Context(), eventlog.ID{}, onTopic("c")); n != 0 || err != nil {
		t.Fatalf("Delete = %d, %v; want 0", n, err)
	}
	if calls[0].Load() != 0 {
		t.Error("a function was called though nothing was deleted")
	}
	if n, err := log.Delete(t.Context(), eventlog.ID{}, onTopic("a")); n != 1 || err != nil {
		t.Fatalf("Delete = %d, %v; want 1", n, err)
	}
	for i := range calls {
		if calls[i].Load() == 0 {
			t.Errorf("function %d was not called before Delete returned", i)
		}
	}
}
