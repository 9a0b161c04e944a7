package disklog

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tidings-sse/tidings/eventlog"
)

// While it is blocked, a slowDisk blocks syncs of the write-ahead log.
type slowDisk struct {
	vfs.FS
	entered  chan struct{} // closed by the first sync that waits
	released chan struct{}
	blocking atomic.Bool
	first    sync.Once
}

func newSlowDisk() *slowDisk {
	d := &slowDisk{entered: make(chan struct{}), released: make(chan struct{})}
	d.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if d.blocking.Load() && op.Kind == errorfs.OpFileSyncData && strings.Contains(op.Path, ".log") {
			d.first.Do(func() { close(d.entered) })
			<-d.released
		}
		return nil
	}))
	return d
}

func (d *slowDisk) block() { d.blocking.Store(true) }

func (d *slowDisk) release() {
	d.blocking.Store(false)
	close(d.released)
}

// TestCancelled ends contexts before and after the writer takes the event.
func TestCancelled(t *testing.T) {
	disk := newSlowDisk()
	l := open1(t, "data", Options{FS: disk})
	disk.block()
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 2)
	submit := func(i int) {
		_, err := l.Append(ctx, record("t", i))
		errs <- err
	}
	go submit(1)
	<-disk.entered
	go submit(2)
	eventually(t, "queue", func() bool {
		l.queue.mu.Lock()
		defer l.queue.mu.Unlock()
		return len(l.queue.jobs) == 1
	})
	cancel()
	got := fmt.Sprint(errors.Is(<-errs, eventlog.ErrUncertain), errors.Is(<-errs, eventlog.ErrUncertain))
	if got != "true false" && got != "false true" {
		t.Errorf("uncertain: %s; want one, of the event that was being written", got)
	}
	disk.release()
	if _, err := l.Append(t.Context(), record("t", 3)); err != nil {
		t.Fatal(err)
	}
	if events := all(t, l); len(events) != 2 || string(events[1].Data) != "3" {
		t.Errorf("%d events; want the ones that the writer took, 1 and 3", len(events))
	}
}

// TestCancelledLater ends a context after the queue has been empty for a while. A job that
// the writer still has must not be reused.
func TestCancelledLater(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that a pool returns what was put last
	disk := newSlowDisk()
	l := open1(t, "data", Options{FS: disk})
	if _, err := l.Append(t.Context(), record("t", 1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "look for the last time", func() bool {
		l.queue.mu.Lock()
		defer l.queue.mu.Unlock()
		return l.queue.looking == nil
	})
	disk.block()
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := l.Append(ctx, record("t", 2))
		left <- err
	}()
	<-disk.entered
	cancel()
	if err := <-left; !errors.Is(err, eventlog.ErrUncertain) || !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that gave up got %v", err)
	}
	l.queue.mu.Lock()
	for range 10 {
		if slices.Contains(l.queue.taken, l.queue.newJob(ctx)) {
			t.Error("a job that the writer has was reused")
		}
	}
	l.queue.mu.Unlock()
	disk.release()
	if _, err := l.Append(t.Context(), record("t", 3)); err != nil {
		t.Fatal(err)
	}
	if events := all(t, l); len(events) != 3 || string(events[1].Data) != "2" {
		t.Errorf("%d events, want 3", len(events))
	}
}

// TestFailedWhileStuck makes the log fail while a sync blocks. Waiting Append calls must
// return: ErrUncertain for what is being written, ErrFailed for the rest.
func TestFailedWhileStuck(t *testing.T) {
	disk := newSlowDisk()
	l := open1(t, "data", Options{FS: disk})
	disk.block()
	taken, waiting := make(chan error, 1), make(chan error, 1)
	submit := func(i int, told chan<- error) {
		_, err := l.Append(t.Context(), record("t", i))
		told <- err
	}
	go submit(1, taken)
	<-disk.entered
	go submit(2, waiting)
	eventually(t, "queue", func() bool {
		n, _ := l.queue.waiting()
		return n == 1
	})
	l.fail(errors.New("out of order"))
	if err := <-taken; !errors.Is(err, eventlog.ErrUncertain) || !errors.Is(err, eventlog.ErrFailed) {
		t.Errorf("the event being written: %v", err)
	}
	if err := <-waiting; errors.Is(err, eventlog.ErrUncertain) || !errors.Is(err, eventlog.ErrFailed) {
		t.Errorf("an event that waits: %v", err)
	}
	disk.release()
	if err := l.Close(); !errors.Is(err, eventlog.ErrFailed) {
		t.Errorf("Close: %v", err)
	}
}

// TestDeleteCancelled ends the context while tombstones are being written. Retention and
// another Delete must not find the events as they were before.
func TestDeleteCancelled(t *testing.T) {
	disk := newSlowDisk()
	l := open1(t, "data", Options{FS: disk})
	if _, err := l.Append(t.Context(), record("t", 1), record("t", 2)); err != nil {
		t.Fatal(err)
	}
	disk.block()
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		n   int
		err error
	}
	deleted := make(chan result)
	remove := func(ctx context.Context) {
		n, err := l.Delete(ctx, eventlog.ID{}, eventlog.Query{Limit: 1})
		deleted <- result{n, err}
	}
	go remove(ctx)
	<-disk.entered
	cancel()
	for range 1000 { // let other goroutines see that the context has ended
		runtime.Gosched()
	}
	if l.prune.TryLock() {
		t.Error("others may remove events while some are being removed")
		l.prune.Unlock()
	}
	disk.release()
	if r := <-deleted; r.n != 1 {
		t.Errorf("Delete = %d, %v; want the deletions that were made", r.n, r.err)
	}
	if b, err := l.Bounds(t.Context()); err != nil || b.Events != 1 {
		t.Errorf("Bounds = %+v, %v; want 1 event", b, err)
	}
}
