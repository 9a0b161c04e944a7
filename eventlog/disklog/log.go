package disklog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/eventlog"
)

// Options say how a log is kept. The zero value keeps everything.
type Options struct {
	Retention eventlog.Retention

	// Relaxed leaves out the fsync of each commit. A power cut, or a crash of
	// the system, may then lose the newest events, about half a minute's on
	// Linux; positions are still not used twice. The death of the process, by
	// kill -9 too, loses nothing.
	Relaxed bool

	// MinFree is the free space below which appending ends. 0 is 256 MiB; less
	// than 0 is none, for tests.
	MinFree int64

	// Memory is about how many bytes the log may take at the most. Half of it is the
	// store's cache, of which each memtable borrows a sixth of Memory; another sixth
	// is the Window. 0 is 192 MiB.
	Memory int64

	// Window is how many bytes of the newest events are kept in memory, for
	// those who read near the end. 0 is a sixth of Memory.
	Window int64

	// NewEpoch makes all places of before foreign: readers are told of a gap,
	// and begin at the start of the log. Set it once after a backup was
	// restored: the positions given away since it was made are about to be given
	// away again. Where there is no log it is an error.
	NewEpoch bool

	Clock  *eventlog.Clock // nil is a new one; it belongs to the log
	FS     vfs.FS          // nil is the disk
	Logger *slog.Logger    // nil is slog.Default

	tune        func(*pebble.Options) // for tests
	reservation uint64                // likewise; 0 is the constant
	unsettled   uint64                // likewise
}

// flushDelay is when what was deleted leaves memory for the disk's levels,
// where space can be had back.
const flushDelay = 10 * time.Second

// OffHeap returns how much of [Options.Memory] is not on Go's heap, for those who set
// a limit of the runtime's.
func (o Options) OffHeap() int64 {
	if !offHeap {
		return 0
	}
	o = o.withDefaults()
	return o.Memory - o.Window
}

func (o Options) withDefaults() Options {
	if o.MinFree == 0 {
		o.MinFree = 256 << 20
	}
	if o.Memory == 0 {
		o.Memory = 192 << 20
	}
	if o.Window == 0 {
		o.Window = o.Memory / 6
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.reservation == 0 {
		o.reservation = reservation
	}
	if o.unsettled == 0 {
		o.unsettled = unsettled
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = &eventlog.Clock{Logger: o.Logger}
	}
	return o
}

// A Log is an [eventlog.Log] in a directory.
type Log struct {
	options Options
	epoch   uint64
	guard   *guard
	dir     *directory
	db      *pebble.DB
	queue   queue
	writer  *writer
	space   space

	prune   sync.Mutex    // held by what removes events: retention or Delete
	excess  chan struct{} // tells retention that there is too much
	scrub   chan struct{} // tells the scrubber that something was deleted
	stop    chan struct{} // ends the goroutines
	running sync.WaitGroup

	scrubbing atomic.Bool    // see rewrite
	scarce    rate.Sometimes // in the operator's log: files cannot be opened

	commits  atomic.Int64 // for the benchmark
	pace     atomic.Int64 // how many events the last commit had that had any
	failure  atomic.Pointer[error]
	failures chan struct{} // closed at the failure

	// open is held for reading by whoever uses the store, so that Close waits.
	open   sync.RWMutex
	closed bool

	mu       sync.RWMutex // guards what follows
	manifest manifest
	wal      string         // the file that the manifest on the disk names; see needed
	obsolete bool           // the store would have removed it
	at       state          // what readers may see
	tip      uint64         // the newest position that will never be given away again
	pending  map[hash]tally // of the events after at.tallied, which are in no tally in the store
	window   window
	grown    chan struct{} // closed and replaced when tip grows, or all ends
}

var _ eventlog.Log = (*Log)(nil)

// Open opens the log in dir, and makes one if there is no such directory or it
// is empty.
func Open(dir string, o Options) (*Log, error) {
	l, err := open(dir, o.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("disklog: %w", err)
	}
	return l, nil
}

func open(dir string, o Options) (_ *Log, err error) {
	l := &Log{
		options:  o,
		excess:   make(chan struct{}, 1),
		scrub:    make(chan struct{}, 1),
		pending:  map[hash]tally{},
		stop:     make(chan struct{}),
		failures: make(chan struct{}),
		grown:    make(chan struct{}),
		scarce:   rate.Sometimes{Interval: time.Minute},
	}
	l.queue.ready, l.queue.broken = make(chan struct{}, 1), l.failed
	l.guard = &guard{
		FS:       o.FS,
		relaxed:  o.Relaxed,
		failed:   l.fail,
		fullDisk: l.full,
		scarce:   l.waits,
		newWAL:   l.noteWAL,
		needed:   l.needed,
		dir:      dir,
		spare:    max(0, 2*o.MinFree),
		wound:    make(chan struct{}),

		syncTimes: newSyncTimes(),
	}
	if l.dir, err = lockDirectory(l.guard, dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.guard.windDown() // nothing that closing does is to wait
			if l.db != nil {
				_ = l.db.Close()
			}
			_ = l.dir.lock.Close()
		}
	}()
	known, err := l.dir.read()
	if err != nil {
		return nil, err
	}
	if known == nil {
		known = &manifest{Version: formatVersion, Epoch: eventlog.NewEpoch()}
	}
	l.manifest = *known
	if o.NewEpoch && !known.Made {
		return nil, fmt.Errorf("there is no event log in %s of which a new epoch could begin: restore the backup there first", dir)
	}
	if !known.Made {
		l.manifest.Relaxed = o.Relaxed
		err = l.create()
	} else {
		err = l.load()
	}
	if err != nil {
		return nil, err
	}
	l.epoch = l.manifest.Epoch
	l.tip = l.at.reserved
	o.Clock.Begin(time.Unix(0, max(l.at.newest, l.at.trimmed)))
	l.window = window{budget: o.Window, base: l.tip}
	l.space.open(l)
	l.guard.armed.Store(true)
	if err = l.failed(); err != nil {
		return nil, l.refused(err)
	}
	l.writer = newWriter(l)
	l.running.Go(l.writer.run)
	l.running.Go(l.retain)
	l.running.Go(l.scrubDeleted)
	return l, nil
}

// create makes the log. Until the manifest says that it is made, a crash leaves
// something that the next Open begins anew.
func (l *Log) create() error {
	if err := writeFile(l.guard, l.dir.join(ignoreName), []byte("*\n")); err != nil {
		return err
	}
	if err := l.dir.write(&l.manifest); err != nil {
		return err
	}
	if err := l.guard.RemoveAll(l.dir.join(storeName)); err != nil {
		return err
	}
	var err error
	if l.db, err = openStore(l.dir.join(storeName), storeOptions(l.guard, &l.options, l.scrubbing.Load, l.fail)); err != nil {
		return err
	}
	if err := syncDirectory(l.guard, l.dir.path); err != nil {
		return err
	}
	l.guard.syncWAL.Store(true)
	b := l.db.NewBatch()
	defer b.Close()
	_ = b.Set(metaKey, (&meta{formatVersion, l.manifest.Epoch}).encode(), nil)
	_ = b.Set(stateKey, l.at.encode(), nil)
	if err := b.Commit(pebble.Sync); err != nil {
		return err
	}
	// The first file of a new store's log is of an older form, which verifyWAL
	// does not know and which says less of what was synced. A flush begins the
	// next.
	if err := l.db.Flush(); err != nil {
		return err
	}
	l.manifest.Made = true
	return l.dir.write(&l.manifest)
}

// load opens a log that is there, and checks that it all is.
func (l *Log) load() error {
	m := &l.manifest
	if !l.dir.exists(storeName) {
		return l.dir.damaged(fmt.Errorf("%s is missing", storeName))
	}
	if !l.dir.exists(storeName, m.WAL) {
		return l.dir.damaged(fmt.Errorf("%s is missing, which holds the newest events", l.guard.PathJoin(storeName, m.WAL)))
	}
	var err error
	if m.Relaxed && !m.Closed {
		err = l.dir.cutWAL(m.WAL)
	} else {
		err = verifyWAL(l.guard, l.dir.join(storeName, m.WAL))
	}
	if err != nil {
		return l.dir.damaged(err)
	}
	l.wal = m.WAL
	m.Relaxed = l.options.Relaxed // of the files from now on
	if l.options.NewEpoch {
		if m.Before == 0 {
			m.Before = m.Epoch
		}
		m.Epoch = eventlog.NewEpoch()
		if err := l.dir.write(m); err != nil {
			return err
		}
	}
	p := storeOptions(l.guard, &l.options, l.scrubbing.Load, l.fail)
	p.ErrorIfNotExists = true
	if l.db, err = openStore(l.dir.join(storeName), p); err != nil {
		return l.refused(err)
	}
	if err := l.verify(); err != nil {
		return l.refused(err)
	}
	if m.Before != 0 { // the store follows the manifest
		l.guard.syncWAL.Store(true)
		if err := l.db.Set(metaKey, (&meta{formatVersion, m.Epoch}).encode(), pebble.Sync); err != nil {
			return err
		}
	}
	m.Closed, m.Before = false, 0
	if err := l.dir.write(m); err != nil {
		return err
	}
	if l.options.NewEpoch {
		l.options.Logger.Info("eventlog: a new epoch has begun, as after a restored backup: places of before lead to a gap; do not ask for it again at the next start",
			"last", l.at.last, "events", l.at.events)
	}
	return nil
}

// refused says why the log is not opened. What the store's own work has met
// meanwhile comes first: the rest follows from it.
func (l *Log) refused(err error) error {
	switch met := l.failure.Load(); {
	case met == nil:
		return l.dir.damaged(err)
	case pebble.IsCorruptionError(*met):
		return l.dir.damaged(*met)
	}
	return l.failed()
}

// noteWAL is called for each new file of the write-ahead log, before it is
// written to. It must be there when the manifest says so.
func (l *Log) noteWAL(name string) error {
	if err := syncDirectory(l.guard, l.guard.PathDir(name)); err != nil {
		return err
	}
	l.mu.Lock()
	l.manifest.WAL = l.guard.PathBase(name)
	m := l.manifest
	l.mu.Unlock()
	if err := l.dir.write(&m); err != nil {
		return err
	}
	l.mu.Lock()
	before, obsolete := l.wal, l.obsolete
	l.wal, l.obsolete = m.WAL, false
	l.mu.Unlock()
	if !obsolete {
		return nil
	}
	return l.guard.FS.Remove(l.dir.join(storeName, before))
}

// needed reports whether a file is the one that the manifest on the disk names:
// it stays until another is named. A store that is being opened would remove it
// as soon as it has what was in it.
func (l *Log) needed(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wal == "" || name != l.dir.join(storeName, l.wal) {
		return false
	}
	l.obsolete = true
	return true
}

// fail ends the log: it is called with the first write or sync that failed.
func (l *Log) fail(err error) {
	if !l.failure.CompareAndSwap(nil, &err) {
		return
	}
	l.guard.frozen.Store(true)
	close(l.failures)
	if l.stopping() || !l.guard.armed.Load() { // nobody else will
		l.guard.windDown()
	}
	l.options.Logger.Error("eventlog: a write failed; the log has stopped", "error", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake()
}

// stopping reports whether Close was called.
func (l *Log) stopping() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// failed returns ErrFailed with its cause, or nil.
func (l *Log) failed() error {
	if err := l.failure.Load(); err != nil {
		return fmt.Errorf("%w (%w)", eventlog.ErrFailed, *err)
	}
	return nil
}

// use lets its caller use the store until done.
func (l *Log) use(ctx context.Context) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.open.RLock()
	if l.closed {
		l.open.RUnlock()
		return nil, eventlog.ErrClosed
	}
	if err := l.failed(); err != nil {
		l.open.RUnlock()
		return nil, err
	}
	return l.open.RUnlock, nil
}

// wake makes those who wait for more look again. It needs mu.
func (l *Log) wake() {
	close(l.grown)
	l.grown = make(chan struct{})
}

// Close ends the log and every Tail of it. What has been submitted is finished
// first, unless the disk is full.
func (l *Log) Close() error {
	if !l.queue.close() {
		return eventlog.ErrClosed
	}
	close(l.stop)
	if l.guard.full.Load() || l.failure.Load() != nil {
		l.guard.windDown()
	}
	l.running.Wait()
	l.queue.end()

	l.open.Lock() // readers are done with the store
	l.closed = true
	l.open.Unlock()
	l.mu.Lock()
	l.wake()
	l.mu.Unlock()

	clean := l.failure.Load() == nil && l.handBack() == nil && l.failure.Load() == nil
	if !clean {
		l.guard.windDown()
	}
	err := l.db.Close()
	if clean && err == nil && l.failure.Load() == nil {
		l.manifest.Closed, l.manifest.Last = true, l.writer.at.last
		err = l.dir.write(&l.manifest)
	}
	l.guard.windDown()
	return errors.Join(l.failed(), err, l.dir.lock.Close())
}

// handBack gives up the positions that were reserved and not used, so that a
// log which is closed in good order has no hole.
func (l *Log) handBack() error {
	at := &l.writer.at
	if l.writer.next == at.last+1 { // else there is a hole already, which stays
		at.reserved = at.last
	}
	l.guard.syncWAL.Store(true)
	return l.db.Set(stateKey, at.encode(), pebble.Sync)
}
