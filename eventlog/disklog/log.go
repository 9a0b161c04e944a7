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

// Options configure a log. The zero value retains everything.
type Options struct {
	Retention eventlog.Retention

	// Relaxed omits the fsync of each commit. A power cut or a crash of the system
	// may then lose the newest events, about half a minute's on Linux; positions are
	// still not used twice. The end of the process, even by kill -9, loses nothing.
	Relaxed bool

	// MinFree is the free space in bytes below which appending is refused. 0 means
	// 256 MiB; a negative value means no limit, for tests.
	MinFree int64

	// Memory is about how many bytes the log may take. Half of it is the store's
	// cache, from which each memtable borrows a sixth of Memory; another sixth is
	// the Window. 0 means 192 MiB.
	Memory int64

	// Window is how many bytes of the newest events are kept in memory, for reads
	// near the end. 0 means a sixth of Memory.
	Window int64

	// NewEpoch invalidates all earlier positions: readers that resume from one get
	// eventlog.ErrEpoch. Set it once after a backup was restored, because the log then
	// assigns positions again that it had assigned since the backup was made. It is an
	// error if there is no log.
	NewEpoch bool

	// Copy makes the log a copy of a shared sequence: only [Log.Apply] adds to it, and
	// Retention does not apply. An existing log must have been created with the same
	// choice. A copy can be made again from the sequence, so Relaxed suits it.
	Copy bool

	Clock  *eventlog.Clock // nil means a new one; it belongs to the log
	FS     vfs.FS          // nil means the disk
	Logger *slog.Logger    // nil means slog.Default

	tune        func(*pebble.Options) // for tests
	reservation uint64                // for tests; 0 means the constant
	unsettled   uint64                // for tests; 0 means the constant
}

// flushDelay is how long deletions may stay in memory before they reach the store's
// levels, where their space can be reclaimed.
const flushDelay = 10 * time.Second

// OffHeap returns how many bytes of [Options.Memory] are not on Go's heap. Subtract them
// when you set the runtime's memory limit.
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

// A Log implements [eventlog.Log] in a directory. Bounds.Bytes counts the encoded events
// and their index entries, before compression.
type Log struct {
	options Options
	lineage atomic.Pointer[lineage]
	guard   *guard
	dir     *directory
	db      *pebble.DB
	queue   queue
	writer  *writer
	space   space

	prune   sync.Mutex    // held while retention or Delete removes events
	excess  chan struct{} // wakes retention, because there is too much
	scrub   chan struct{} // wakes scrubDeleted after a Delete
	stop    chan struct{} // closed to end the goroutines
	running sync.WaitGroup

	scrubbing atomic.Bool    // see rewrite
	scarce    rate.Sometimes // limits how often the operator's log says that files cannot be opened

	commits  atomic.Int64 // for the benchmark
	pace     atomic.Int64 // how many events the last commit with events had
	failure  atomic.Pointer[error]
	failures chan struct{} // closed at the first failure

	// open is held for reading while the store is in use, so that Close waits.
	open   sync.RWMutex
	closed bool

	mu       sync.RWMutex // guards what follows
	manifest manifest
	wal      string // the file that the manifest on the disk names; see needed
	obsolete bool   // the store wanted to remove that file
	at       state  // what readers may see
	tip      uint64 // the newest position that is durable and never reused
	life     int    // how often the copy was cut or emptied
	onBury   []func()
	copied   copied
	loose    uint64         // how many events recount has counted
	pending  map[hash]tally // of the events after at.tallied, which no tally in the store includes
	window   window
	grown    chan struct{} // closed and replaced when tip grows, or when the log ends
}

var _ eventlog.Log = (*Log)(nil)

// Open opens the log in dir, and creates one if there is no such directory or it is
// empty. It returns [ErrInUse] if a process has the log open, and [ErrDamaged] if it is
// damaged or dir holds other files.
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
		copied:   copied{moved: make(chan struct{})},
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
			l.guard.windDown() // so that closing does not wait
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
		known = &manifest{Version: formatVersion, Epoch: eventlog.NewEpoch(), Copy: o.Copy}
	}
	l.manifest = *known
	if known.Copy != o.Copy {
		return nil, l.dir.otherKind(known.Copy)
	}
	if o.NewEpoch && !known.Made {
		return nil, fmt.Errorf("%s has no event log that could begin a new epoch: restore the backup there first", dir)
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
	if err = l.loadCopied(); err != nil {
		return nil, l.refused(err)
	}
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

// create makes the log. If it crashes before the manifest says Made, the next Open starts
// over.
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
	// The first file of a new store's write-ahead log has an older format, which
	// verifyWAL does not support and which records less about syncs. A flush begins
	// the next file.
	if err := l.db.Flush(); err != nil {
		return err
	}
	l.manifest.Made = true
	return l.dir.write(&l.manifest)
}

// load opens an existing log and checks that it is complete.
func (l *Log) load() error {
	m := &l.manifest
	if !l.dir.exists(storeName) {
		return l.dir.damaged(fmt.Errorf("%s is missing", storeName))
	}
	if !l.dir.exists(storeName, m.WAL) {
		return l.dir.damaged(fmt.Errorf("%s, which holds the newest events, is missing", l.guard.PathJoin(storeName, m.WAL)))
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
	m.Relaxed = l.options.Relaxed // for the files from now on
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
	if m.Before != 0 { // update the store after the manifest
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
		l.options.Logger.Info("eventlog: a new epoch has begun: streams that resume from an earlier position receive a gap; do not request a new epoch at the next start",
			"last", l.at.last, "events", l.at.events)
	}
	return nil
}

// refused returns why the log is not opened. It prefers a failure of the store's
// background work, because other errors follow from that.
func (l *Log) refused(err error) error {
	switch met := l.failure.Load(); {
	case met == nil:
		return l.dir.damaged(err)
	case pebble.IsCorruptionError(*met):
		return l.dir.damaged(*met)
	}
	return l.failed()
}

// noteWAL is called for each new file of the write-ahead log, before anything is written
// to it. The file's name must be durable before the manifest names it.
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

// needed reports whether name is the file that the manifest on the disk names. That file
// must stay until the manifest names another. While the store is being opened, it would
// remove the file as soon as it has replayed it.
func (l *Log) needed(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wal == "" || name != l.dir.join(storeName, l.wal) {
		return false
	}
	l.obsolete = true
	return true
}

// fail ends the log. It is called with the first write or sync that failed.
func (l *Log) fail(err error) {
	if !l.failure.CompareAndSwap(nil, &err) {
		return
	}
	l.guard.frozen.Store(true)
	close(l.failures)
	if l.stopping() || !l.guard.armed.Load() { // nothing else would wind the guard down
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

// use keeps the store open until the caller calls done.
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

// wake wakes the readers that wait for more events. It needs mu.
func (l *Log) wake() {
	close(l.grown)
	l.grown = make(chan struct{})
}

// Close ends the log and all its Tails. It waits for submitted appends, unless the disk is
// full.
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

	l.open.Lock() // waits until no reader uses the store
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

// handBack returns the reserved positions that were not used, so that a clean Close
// leaves no hole.
func (l *Log) handBack() error {
	at := &l.writer.at
	if l.writer.next == at.last+1 { // otherwise there is a hole already, which stays
		at.reserved = at.last
	}
	l.guard.syncWAL.Store(true)
	return l.db.Set(stateKey, at.encode(), pebble.Sync)
}
