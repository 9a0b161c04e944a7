package disklog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// A guard is the file system below the store. It adds promises that the store does not
// keep: after a failed write the store panics, retries for ever or continues, depending
// on which write it was. So the guard never lets it see a failure.
//
//   - If the disk is full, a write waits until there is space. The ballast is removed
//     to make some.
//   - If the process or the system has no descriptor or memory left to open a file,
//     opening it waits. Nothing has been written yet, so nothing has failed.
//   - Any other failed write or sync is the last one. The guard reports it, and from
//     then on freezes the disk: it drops all changes, as a power cut would. The store
//     is not informed, so that it can be closed. The creation of files waits until
//     then, to keep the store from working with them.
//   - If Relaxed, the write-ahead log is not synced, except where syncWAL asks for it.
//     A log file is synced before the next one begins, so that a power cut loses only
//     the end of the newest file.
//   - A blob file whose end is damaged cannot be opened.
//
// Until the guard is armed, at the end of opening the log, it returns errors.
type guard struct {
	vfs.FS
	relaxed  bool
	failed   func(error) // called with each failure; the first one counts
	fullDisk func()      // called when the disk is full; makes space if possible
	scarce   func(error) // called repeatedly while a file cannot be opened
	newWAL   func(name string) error
	needed   func(name string) bool // reports whether a file must not be removed yet
	dir      string                 // where free space is measured
	spare    int64                  // bytes that preallocation must leave free

	syncTimes prometheus.Histogram // of syncs of the write-ahead log

	armed   atomic.Bool
	frozen  atomic.Bool
	full    atomic.Bool   // a write is waiting for space
	syncWAL atomic.Bool   // sync the write-ahead log even if relaxed
	noReuse atomic.Bool   // do not recycle its files, because they hold deleted events
	wound   chan struct{} // closed to wind down: nothing waits after that
	once    sync.Once
}

const (
	walCategory      vfs.DiskWriteCategory = "pebble-wal"
	manifestCategory vfs.DiskWriteCategory = "pebble-manifest"
)

// fail freezes the disk because of err, unless that is nil, and returns the error that
// the store gets.
func (g *guard) fail(err error) error {
	if err == nil || !g.armed.Load() {
		return err
	}
	// The order matters: the failure must be recorded before a write is dropped and
	// reported as a success.
	g.failed(err)
	g.frozen.Store(true)
	return nil
}

func (g *guard) windDown() {
	g.once.Do(func() { close(g.wound) })
}

func (g *guard) windingDown() bool {
	select {
	case <-g.wound:
		return true
	default:
		return false
	}
}

// change runs op, which changes the disk, and retries it while the disk is full.
func (g *guard) change(op func() error) error {
	if g.frozen.Load() {
		return nil
	}
	err := op()
	for isFull(err) && g.armed.Load() && !g.windingDown() {
		g.full.Store(true)
		g.fullDisk()
		g.pause()
		if err = op(); !isFull(err) {
			g.full.Store(false)
		}
	}
	return g.fail(err)
}

// pause waits 50 ms before a retry, or until the guard winds down.
func (g *guard) pause() {
	select {
	case <-g.wound:
	case <-time.After(50 * time.Millisecond):
	}
}

// patiently runs op, which opens a file, and retries it while there is no descriptor or
// memory.
func (g *guard) patiently(op func() (vfs.File, error)) (vfs.File, error) {
	f, err := op()
	for isScarce(err) && g.armed.Load() && !g.frozen.Load() && !g.windingDown() {
		g.scarce(err)
		g.pause()
		f, err = op()
	}
	return f, err
}

// open runs op, which opens a file for writing.
func (g *guard) open(op func() (vfs.File, error), category vfs.DiskWriteCategory) (vfs.File, error) {
	var f vfs.File
	err := g.change(func() (err error) {
		f, err = g.patiently(op)
		return err
	})
	if err != nil {
		return nil, err
	}
	if g.frozen.Load() {
		if f != nil {
			_ = f.Close()
		}
		<-g.wound
		return sink{}, nil
	}
	return &guarded{File: f, g: g, wal: category == walCategory}, nil
}

func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.open(func() (vfs.File, error) { return g.FS.Create(name, category) }, category)
	return g.note(f, err, name, category)
}

// ReuseForWrite may create a new file instead; the contract of vfs.FS allows that.
func (g *guard) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.open(func() (vfs.File, error) {
		if !g.noReuse.Load() {
			return g.FS.ReuseForWrite(oldname, newname, category)
		}
		if err := g.FS.Remove(oldname); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		return g.FS.Create(newname, category)
	}, category)
	return g.note(f, err, newname, category)
}

// note makes new files' names durable before other files refer to them: the log's
// manifest names the newest file of the write-ahead log, and the store's marker names
// the store's manifest, without the store waiting for it.
func (g *guard) note(f vfs.File, err error, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err != nil || g.frozen.Load() {
		return f, err
	}
	switch category {
	case walCategory:
		return f, g.change(func() error { return g.newWAL(name) })
	case manifestCategory:
		return f, g.change(func() error { return syncDirectory(g, g.PathDir(name)) })
	}
	return f, nil
}

// Open returns an error for a blob file whose end is damaged. The store would panic over
// it.
func (g *guard) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := g.patiently(func() (vfs.File, error) { return g.FS.Open(name, opts...) })
	if err != nil || !isValues(name) {
		return f, err
	}
	if err := checkValues(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is damaged: %w", g.PathBase(name), err), f.Close())
	}
	return f, nil
}

func (g *guard) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.open(func() (vfs.File, error) { return g.FS.OpenReadWrite(name, category, opts...) }, category)
}

func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.patiently(func() (vfs.File, error) { return g.FS.OpenDir(name) })
	if err != nil {
		return nil, err
	}
	return &guarded{File: f, g: g}, nil
}

func (g *guard) Link(oldname, newname string) error {
	return g.change(func() error { return g.FS.Link(oldname, newname) })
}

func (g *guard) Rename(oldname, newname string) error {
	return g.change(func() error { return g.FS.Rename(oldname, newname) })
}

func (g *guard) MkdirAll(dir string, perm os.FileMode) error {
	return g.change(func() error { return g.FS.MkdirAll(dir, perm) })
}

// Remove returns the error if a file does not exist, because the store relies on it.
func (g *guard) Remove(name string) error {
	if g.frozen.Load() || g.needed(name) {
		return nil
	}
	return g.FS.Remove(name)
}

func (g *guard) RemoveAll(name string) error {
	if g.frozen.Load() {
		return nil
	}
	return g.FS.RemoveAll(name)
}

// GetDiskUsage returns [vfs.ErrUnsupported] if the usage cannot be determined. The store
// then paces its work without it.
func (g *guard) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	usage, err := g.FS.GetDiskUsage(path)
	if err != nil {
		return vfs.DiskUsage{}, vfs.ErrUnsupported
	}
	return usage, nil
}

func (g *guard) Unwrap() vfs.FS { return g.FS }

// A guarded is a file that is written to, or a directory that is synced.
type guarded struct {
	vfs.File
	g     *guard
	wal   bool
	dirty atomic.Bool // has data that was not synced
}

func (f *guarded) Write(p []byte) (int, error) {
	size := len(p)
	err := f.g.change(func() error {
		n, err := f.File.Write(p)
		p = p[n:] // a full disk may have taken part of it
		return err
	})
	return size, err
}

func (f *guarded) WriteAt(p []byte, off int64) (int, error) {
	return len(p), f.g.change(func() error {
		_, err := f.File.WriteAt(p, off)
		return err
	})
}

// Preallocate is best effort: if it fails, the write itself allocates the space. It does
// nothing when free space is short, because it would take space that is needed now.
func (f *guarded) Preallocate(offset, length int64) error {
	usage, err := f.g.FS.GetDiskUsage(f.g.dir)
	tight := err == nil && usage.AvailBytes < uint64(length+f.g.spare)
	if !f.g.frozen.Load() && !tight {
		_ = f.File.Preallocate(offset, length)
	}
	return nil
}

func (f *guarded) Sync() error     { return f.sync(f.File.Sync) }
func (f *guarded) SyncData() error { return f.sync(f.File.SyncData) }

// sync does not retry after any error: the system may have dropped the data when a sync
// failed, and report success the next time.
func (f *guarded) sync(sync func() error) error {
	if f.g.frozen.Load() {
		return nil
	}
	if f.wal && f.g.relaxed && !f.g.syncWAL.Load() {
		f.dirty.Store(true)
		return nil
	}
	if !f.wal {
		return f.g.fail(sync())
	}
	begun := time.Now()
	err := sync()
	f.g.syncTimes.Observe(time.Since(begun).Seconds())
	return f.g.fail(err)
}

func (f *guarded) SyncTo(length int64) (full bool, err error) {
	if f.g.frozen.Load() || f.wal && f.g.relaxed {
		return false, nil
	}
	full, err = f.File.SyncTo(length)
	return full, f.g.fail(err)
}

func (f *guarded) Close() error {
	if f.dirty.Load() && !f.g.frozen.Load() {
		if err := f.g.fail(f.File.SyncData()); err != nil {
			return err
		}
	}
	return f.g.fail(f.File.Close())
}

// A sink discards what is written after a failure.
type sink struct{ vfs.File }

func (sink) Write(p []byte) (int, error)            { return len(p), nil }
func (sink) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (sink) Read([]byte) (int, error)               { return 0, io.EOF }
func (sink) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (sink) Close() error                           { return nil }
func (sink) Preallocate(_, _ int64) error           { return nil }
func (sink) Prefetch(int64, int64) error            { return nil }
func (sink) Sync() error                            { return nil }
func (sink) SyncData() error                        { return nil }
func (sink) SyncTo(int64) (bool, error)             { return true, nil }
func (sink) Fd() uintptr                            { return vfs.InvalidFd }
func (sink) Stat() (vfs.FileInfo, error)            { return sinkInfo{}, nil }

type sinkInfo struct{}

func (sinkInfo) Name() string           { return "sink" }
func (sinkInfo) Size() int64            { return 0 }
func (sinkInfo) Mode() os.FileMode      { return 0 }
func (sinkInfo) ModTime() time.Time     { return time.Time{} }
func (sinkInfo) IsDir() bool            { return false }
func (sinkInfo) Sys() any               { return nil }
func (sinkInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

// isFull reports whether err means that a disk or a quota is used up.
func isFull(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && isFullErrno(errno)
}

// isScarce reports whether err means that the process or the system has no descriptor or
// memory left to open a file.
func isScarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}
