package disklog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestPowerLoss cuts the power before writes, syncs and all other changes of the disk, and
// checks each time what a log finds that is opened then. In a short history that uses all
// features it cuts before every change, in a longer one before some.
func TestPowerLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of logs")
	}
	for _, relaxed := range []bool{false, true} {
		t.Run(fmt.Sprintf("every/relaxed=%v", relaxed), func(t *testing.T) {
			p := newPower(t, Options{Relaxed: relaxed, Retention: eventlog.Retention{Events: 24}}, func(int) bool { return true })
			p.live(2, 16)
			p.crash() // so that the repair is cut too
			p.live(2, 8)
			p.close()
			p.live(1, 4)
			p.close()
		})
		t.Run(fmt.Sprintf("some/relaxed=%v", relaxed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			next := 0
			p := newPower(t, Options{Relaxed: relaxed, Retention: eventlog.Retention{Events: 200}}, func(change int) bool {
				if change < next {
					return false
				}
				next = change + 1 + rng.IntN(100)
				return true
			})
			for range 2 {
				p.live(8, 40)
				p.crash()
			}
			p.live(8, 40)
			p.close()
		})
	}
}

// A power runs a log on a disk and simulates power cuts meanwhile: for each cut it checks
// a copy of the disk.
type power struct {
	t       *testing.T
	o       Options
	when    func(change int) bool
	fs      *powerFS
	log     *Log
	history history
	rng     *rand.Rand // guarded by fs.mu
	life    int
	cuts    int
	changes int
	checks  sync.WaitGroup
	slots   chan struct{}
}

// newPower returns a power that cuts before each change for which when returns true.
func newPower(t *testing.T, o Options, when func(change int) bool) *power {
	p := &power{t: t, o: o, rng: rand.New(rand.NewPCG(3, 4)), slots: make(chan struct{}, 8)}
	p.o.tune, p.o.reservation, p.o.unsettled, p.o.MinFree = small, 16, 24, 64<<10 // a ballast of 16 KiB
	p.history.relaxed = o.Relaxed
	p.history.retained = int(o.Retention.Events)
	p.use(vfs.NewCrashableMem(), when)
	return p
}

func (p *power) use(disk *vfs.MemFS, when func(change int) bool) {
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 1 << 30})
	p.fs = &powerFS{MemFS: disk}
	p.fs.before = func() {
		if p.changes++; !when(p.changes) {
			return
		}
		for _, percent := range []int{0, 50, 90} {
			p.cuts++
			// What was acknowledged before the disk is copied must be in the copy.
			told := p.history.snapshot(fmt.Sprintf("cut %d, before change %d, with %d%% of what was not synced", p.cuts, p.changes, percent))
			after := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: p.rng})
			p.slots <- struct{}{}
			p.checks.Go(func() {
				told.check(p.t, after)
				<-p.slots
			})
		}
	}
	p.o.FS, p.when = p.fs, when
}

// live opens the log and runs publishers that append, alone and in batches, with keys, and
// delete, all at the same time. Retention runs meanwhile, and the disk fills up once, until
// the ballast gives way.
func (p *power) live(publishers, each int) {
	p.log = open1(p.t, "data", p.o)
	p.history.opened(p.t, p.log)
	var wg sync.WaitGroup
	for w := range publishers {
		wg.Go(func() {
			writer := p.life*publishers + w
			for i := 0; i < each; i++ {
				recs := []eventlog.Record{testRecord(writer, i)}
				if i%8 == 3 {
					recs = append(recs, testRecord(writer, i+1), testRecord(writer, i+2))
					i += 2
				}
				if w == 0 && i == each/2 {
					p.fs.full.Store(true)
				}
				if err := p.publish(recs); err != nil {
					p.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	p.life++
}

// publish appends records, and sometimes deletes one of them.
func (p *power) publish(recs []eventlog.Record) error {
	results, err := p.log.Append(p.t.Context(), recs...)
	for errors.Is(err, eventlog.ErrNoSpace) { // the log has not noticed yet that the ballast made space
		p.log.space.due.Store(0)
		results, err = p.log.Append(p.t.Context(), recs...)
	}
	if err != nil {
		return err
	}
	p.history.appended(results, recs)
	if i := indexOf(recs[0]); i%15 != 9 {
		return nil
	}
	gone := results[0].ID
	p.history.deleting(gone)
	if _, err = p.log.Delete(p.t.Context(), eventlog.ID{}, eventlog.Query{Topics: recs[0].Topics, Match: func(e *eventlog.Event) bool { return e.ID == gone }}); err == nil {
		p.history.deleted(gone)
	}
	return err
}

// crash continues with what a power cut leaves.
func (p *power) crash() {
	p.fs.mu.Lock()
	after := p.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: p.rng})
	p.fs.before = func() {}
	p.fs.mu.Unlock()
	_ = p.log.Close() // on a disk that no longer counts
	p.use(after, p.when)
}

func (p *power) close() {
	if err := p.log.Close(); err != nil {
		p.t.Error(err)
	}
	p.checks.Wait()
	p.t.Logf("%d power cuts in %d changes of the disk; %d acknowledged events", p.cuts, p.changes, p.history.count)
}

// testRecord returns a record whose fields all follow from its data.
func testRecord(writer, i int) eventlog.Record {
	name := fmt.Sprintf("%d/%d", writer, i)
	r := eventlog.Record{Topics: []string{fmt.Sprint("topic", i%7), "all"}, Data: []byte(name + strings.Repeat(".", i%300))}
	if i%3 == 0 {
		r.Key, r.PublisherID = "key "+name, "mine "+name
	}
	return r
}

func indexOf(r eventlog.Record) (i int) {
	var w int
	_, _ = fmt.Sscanf(string(r.Data), "%d/%d", &w, &i)
	return i
}

// A powerFS calls before ahead of each change of the disk. While it is full, it refuses
// changes that take space, until the ballast is gone.
type powerFS struct {
	*vfs.MemFS
	full   atomic.Bool
	mu     sync.Mutex
	before func()
}

func (fs *powerFS) cut() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.before()
}

// grow is called before changes that take space.
func (fs *powerFS) grow() error {
	if fs.full.Load() {
		return syscall.ENOSPC
	}
	fs.cut()
	return nil
}

func (fs *powerFS) open(open func() (vfs.File, error)) (vfs.File, error) {
	if err := fs.grow(); err != nil {
		return nil, err
	}
	f, err := open()
	return &powerFile{f, fs}, err
}

func (fs *powerFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.open(func() (vfs.File, error) { return fs.MemFS.Create(name, c) })
}

func (fs *powerFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return fs.open(func() (vfs.File, error) { return fs.MemFS.OpenReadWrite(name, c, o...) })
}

func (fs *powerFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.open(func() (vfs.File, error) { return fs.MemFS.ReuseForWrite(oldname, newname, c) })
}

func (fs *powerFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.MemFS.OpenDir(name)
	return &powerFile{f, fs}, err
}

func (fs *powerFS) Remove(name string) error {
	fs.cut()
	err := fs.MemFS.Remove(name)
	if fs.PathBase(name) == ballastName {
		fs.full.Store(false)
	}
	return err
}

func (fs *powerFS) RemoveAll(name string) error { fs.cut(); return fs.MemFS.RemoveAll(name) }
func (fs *powerFS) Link(oldname, newname string) error {
	fs.cut()
	return fs.MemFS.Link(oldname, newname)
}
func (fs *powerFS) Rename(oldname, newname string) error {
	fs.cut()
	return fs.MemFS.Rename(oldname, newname)
}
func (fs *powerFS) MkdirAll(dir string, perm os.FileMode) error {
	fs.cut()
	return fs.MemFS.MkdirAll(dir, perm)
}

type powerFile struct {
	vfs.File
	fs *powerFS
}

func (f *powerFile) Write(p []byte) (int, error) {
	if err := f.fs.grow(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *powerFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.grow(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *powerFile) Sync() error     { f.fs.cut(); return f.File.Sync() }
func (f *powerFile) SyncData() error { f.fs.cut(); return f.File.SyncData() }
func (f *powerFile) SyncTo(n int64) (bool, error) {
	f.fs.cut()
	return f.File.SyncTo(n)
}
