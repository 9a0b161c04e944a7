package disklog

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestFailStop makes one write or sync fail, and checks that all methods report it. What
// was acknowledged must be there when the log is opened again.
func TestFailStop(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind errorfs.OpKind
		path string
	}{
		{"log write", errorfs.OpFileWrite, ".log"},
		{"log sync", errorfs.OpFileSyncData, ".log"},
		{"new log", errorfs.OpCreate, ".log"},
		{"reused log", errorfs.OpReuseForWrite, ".log"},
		{"table write", errorfs.OpFileWrite, ".sst"},
		{"table sync", errorfs.OpFileSync, ".sst"},
		{"values write", errorfs.OpFileWrite, ".blob"},
		{"values sync", errorfs.OpFileSync, ".blob"},
		{"new values", errorfs.OpCreate, ".blob"},
		{"new table", errorfs.OpCreate, ".sst"},
		{"store's manifest write", errorfs.OpFileWrite, "MANIFEST"},
		{"store's manifest sync", errorfs.OpFileSync, "MANIFEST"},
		{"log.json", errorfs.OpFileWrite, manifestName},
	} {
		t.Run(tt.name, func(t *testing.T) {
			disk := vfs.NewMem()
			var armed, once atomic.Bool
			fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if armed.Load() && (op.Kind == tt.kind || tt.kind == errorfs.OpFileSync && op.Kind == errorfs.OpFileSyncData) && strings.Contains(op.Path, tt.path) {
					once.Store(true)
					return syscall.EIO
				}
				return nil
			}))
			l := open1(t, "data", Options{FS: fs, tune: small})
			l.guard.noReuse.Store(tt.kind == errorfs.OpCreate)
			tail := make(chan error, 1)
			go func() {
				var last error
				for _, err := range l.Tail(context.Background(), l.id(0)) {
					last = err
				}
				tail <- last
			}()
			acked := map[eventlog.ID]bool{}
			var err error
			var results []eventlog.Result
			for i := 0; i < 20_000; i++ {
				if i == 100 {
					armed.Store(true)
				}
				if results, err = l.Append(t.Context(), testRecord(0, i)); err != nil {
					break
				}
				acked[results[0].ID] = true
			}
			if !errors.Is(err, eventlog.ErrFailed) || !once.Load() {
				t.Fatalf("after %d events: %v; want ErrFailed", len(acked), err)
			}
			if err := <-tail; !errors.Is(err, eventlog.ErrFailed) {
				t.Errorf("Tail ended with %v; want ErrFailed", err)
			}
			expectEverywhere(t, l, eventlog.ErrFailed)
			armed.Store(false) // a disk that has recovered changes nothing
			expectEverywhere(t, l, eventlog.ErrFailed)
			if err := l.Close(); !errors.Is(err, eventlog.ErrFailed) {
				t.Errorf("Close: %v; want ErrFailed", err)
			}

			l = open1(t, "data", Options{FS: disk, tune: small})
			for _, e := range all(t, l) {
				delete(acked, e.ID)
			}
			if len(acked) > 0 {
				t.Errorf("%d acknowledged events are gone", len(acked))
			}
		})
	}
}

// TestFailureIsKnownFirst checks that the failure is recorded before a write is dropped
// and reported as a success.
func TestFailureIsKnownFirst(t *testing.T) {
	known := false
	g := &guard{FS: vfs.NewMem(), wound: make(chan struct{})}
	g.failed = func(error) {
		known = true
		if g.frozen.Load() {
			t.Error("writes are dropped before the failure is reported")
		}
	}
	g.armed.Store(true)
	if err := g.fail(syscall.EIO); err != nil || !known || !g.frozen.Load() {
		t.Errorf("fail: %v; failure reported: %v, writes dropped: %v", err, known, g.frozen.Load())
	}
}

// TestOpeningWaits makes the opening of every file fail, for want of descriptors or memory,
// while events are appended. The log must wait, and lose none of them.
func TestOpeningWaits(t *testing.T) {
	for _, scarce := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		disk := vfs.NewMem()
		var short atomic.Bool
		var refused atomic.Int64
		fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpCreate, errorfs.OpOpen, errorfs.OpOpenDir, errorfs.OpReuseForWrite:
				if short.Load() {
					refused.Add(1)
					return scarce
				}
			}
			return nil
		}))
		l := open1(t, "data", Options{FS: fs, tune: small})
		short.Store(true)
		const n = 200
		done := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < n && err == nil; i++ {
				_, err = l.Append(t.Context(), record(strings.Repeat("t", 1000), i))
			}
			done <- err
		}()
		eventually(t, "a file that cannot be opened", func() bool { return refused.Load() > 2 })
		short.Store(false)
		if err := <-done; err != nil {
			t.Fatalf("%v: %v", scarce, err)
		}
		if b, err := l.Bounds(t.Context()); err != nil || b.Events != n {
			t.Errorf("%v: %d events, %v; want %d", scarce, b.Events, err, n)
		}
		if err := l.Close(); err != nil {
			t.Errorf("%v: Close: %v", scarce, err)
		}
	}
}

// TestCloseWhileOpeningWaits closes a log that waits for a descriptor.
func TestCloseWhileOpeningWaits(t *testing.T) {
	var short atomic.Bool
	var refused atomic.Int64
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if short.Load() && (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite) {
			refused.Add(1)
			return syscall.EMFILE
		}
		return nil
	}))
	l := open1(t, "data", Options{FS: fs, tune: small})
	short.Store(true)
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			_, err = l.Append(t.Context(), record(strings.Repeat("t", 1000), i))
		}
		done <- err
	}()
	eventually(t, "a file that cannot be opened", func() bool { return refused.Load() > 2 })
	_ = l.Close() // it must not wait for a descriptor
	if err := <-done; err == nil {
		t.Error("appending works after Close")
	}
}

// expectEverywhere checks the error of all of the log's methods.
func expectEverywhere(t *testing.T, l *Log, want error) {
	t.Helper()
	ctx := t.Context()
	_, appending := l.Append(ctx, record("t", 1))
	_, newest := l.Newest(ctx, "t", 1, nil)
	_, at := l.At(ctx, time.Now())
	_, byID := l.ByPublisherID(ctx, "x")
	_, deleting := l.Delete(ctx, eventlog.ID{}, eventlog.Query{})
	_, bounds := l.Bounds(ctx)
	var reading, tailing, topics error
	for _, reading = range l.Read(ctx, l.id(0), eventlog.Query{}) {
	}
	for _, tailing = range l.Tail(ctx, l.id(0)) {
	}
	for _, topics = range l.Topics(ctx) {
	}
	for name, err := range map[string]error{
		"Append": appending, "Newest": newest, "At": at, "ByPublisherID": byID, "Delete": deleting,
		"Bounds": bounds, "Read": reading, "Tail": tailing, "Topics": topics,
	} {
		if !errors.Is(err, want) {
			t.Errorf("%s: %v; want %v", name, err, want)
		}
	}
}

// TestDiskRunsFull fills the disk in spite of the floor. What was submitted must wait, new
// appends must be refused, and both must continue once there is space.
func TestDiskRunsFull(t *testing.T) {
	var full atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpCreate, errorfs.OpReuseForWrite:
			if full.Load() {
				return syscall.ENOSPC
			}
		}
		return nil
	}))
	l := open1(t, "data", Options{FS: fs, tune: small})
	for i := range 50 {
		if _, err := l.Append(t.Context(), testRecord(0, i)); err != nil {
			t.Fatal(err)
		}
	}
	full.Store(true)
	waiting := make(chan error, 1)
	go func() {
		_, err := l.Append(context.Background(), testRecord(0, 50))
		waiting <- err
	}()
	eventually(t, "notice", l.guard.full.Load)
	if _, err := l.Append(t.Context(), testRecord(1, 1)); !errors.Is(err, eventlog.ErrNoSpace) {
		t.Errorf("Append on a full disk: %v; want ErrNoSpace", err)
	}
	if n := len(all(t, l)); n != 50 {
		t.Errorf("%d events can be read, of 50", n)
	}
	full.Store(false)
	if err := <-waiting; err != nil {
		t.Errorf("the event that waited: %v", err)
	}
	eventually(t, "take events again", func() bool {
		_, err := l.Append(t.Context(), testRecord(1, 2))
		return err == nil
	})

	full.Store(true) // a full disk must not block Close
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Append(ctx, testRecord(1, 3)); !errors.Is(err, eventlog.ErrUncertain) {
		t.Errorf("an event that waits when its context ends: %v; want ErrUncertain", err)
	}
	if err := l.Close(); !errors.Is(err, eventlog.ErrFailed) {
		t.Errorf("Close: %v; want ErrFailed", err)
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not %s within 10 s", what)
		}
	}
}

// TestFloor appends until the file system reports too little free space.
func TestFloor(t *testing.T) {
	fs := vfs.NewMem()
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10 << 20, TotalBytes: 100 << 20})
	l := open1(t, "data", Options{FS: fs, MinFree: 5 << 20, tune: small})
	if _, err := l.Append(t.Context(), record("t", 1)); err != nil {
		t.Fatal(err)
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 4 << 20, TotalBytes: 100 << 20})
	eventually(t, "refuse", func() bool {
		_, err := l.Append(t.Context(), record("t", 2))
		return errors.Is(err, eventlog.ErrNoSpace)
	})
	n := len(all(t, l))
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10 << 20, TotalBytes: 100 << 20})
	eventually(t, "take events again", func() bool {
		_, err := l.Append(t.Context(), record("t", 3))
		return err == nil
	})
	if got := len(all(t, l)); got != n+1 {
		t.Errorf("%d events, want %d", got, n+1)
	}
}

// TestFloorIsSeenWhileMuchIsWritten checks that free space is measured after so much was
// written, too, and not only after a time.
func TestFloorIsSeenWhileMuchIsWritten(t *testing.T) {
	fs := vfs.NewMem()
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10 << 20, TotalBytes: 100 << 20})
	l := open1(t, "data", Options{FS: fs, MinFree: 5 << 20})
	l.space.due.Store(math.MaxInt64)
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 4 << 20, TotalBytes: 100 << 20})
	if !l.space.enough(1) {
		t.Error("it is measured before anything was written")
	}
	l.space.wrote(int(l.space.step()))
	if l.space.enough(1) {
		t.Error("it is not measured after much was written")
	}
}

// TestPreallocationLeavesRoom checks that preallocation does not take the space above the
// floor.
func TestPreallocationLeavesRoom(t *testing.T) {
	fs := vfs.NewMem()
	f := &preallocated{}
	g := &guarded{File: f, g: &guard{FS: fs, spare: 200}}
	for _, tt := range []struct {
		free uint64
		want int64
	}{{1000, 100}, {300, 100}, {299, 0}, {1, 0}} {
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: tt.free})
		f.length = 0
		if err := g.Preallocate(0, 100); err != nil || f.length != tt.want {
			t.Errorf("with %d bytes free, of which 200 are to be left, %d of 100 were taken, %v", tt.free, f.length, err)
		}
	}
}

type preallocated struct {
	vfs.File
	length int64
}

func (f *preallocated) Preallocate(_, length int64) error {
	f.length = length
	return nil
}
