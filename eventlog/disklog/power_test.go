package disklog

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestPowerLoss cuts the power before writes, syncs and all else that changes
// the disk, and looks each time at what a log opened then finds.
func TestPowerLoss(t *testing.T) {
	const retained = 200
	fs := &powerFS{MemFS: vfs.NewCrashableMem()}
	history := new(history)
	rng := rand.New(rand.NewPCG(1, 2))
	cuts, changes := 0, 0
	next := 0
	fs.before = func() {
		if changes++; changes < next {
			return
		}
		next = changes + 1 + rng.IntN(2+changes/4) // closely at first: making a log is the delicate part
		for _, percent := range []int{0, 50} {
			cuts++
			clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
			history.check(t, clone, retained)
		}
	}
	l := open1(t, "data", Options{FS: fs, Retention: eventlog.Retention{Events: retained}, tune: small})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				r := testRecord(w, i)
				results, err := l.Append(t.Context(), r)
				if err != nil {
					t.Error(err)
					return
				}
				history.append(results[0].ID, r)
				if i%50 == 49 {
					gone := results[0].ID
					if _, err := l.Delete(t.Context(), eventlog.ID{}, eventlog.Query{Topics: r.Topics, Match: func(e *eventlog.Event) bool { return e.ID == gone }}); err != nil {
						t.Error(err)
						return
					}
					history.delete(gone)
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d power cuts in %d changes of the disk; %d acknowledged events", cuts, changes, len(history.acked))
}

// testRecord is a record that its data says all about.
func testRecord(writer, i int) eventlog.Record {
	name := fmt.Sprintf("%d/%d", writer, i)
	r := eventlog.Record{Topics: []string{fmt.Sprint("topic", i%7), "all"}, Data: []byte(name + strings.Repeat(".", i%300))}
	if i%3 == 0 {
		r.Key, r.PublisherID = "key "+name, "mine "+name
	}
	return r
}

// A history is what publishers were told.
type history struct {
	mu      sync.Mutex
	acked   []eventlog.Event
	deleted map[eventlog.ID]bool
}

func (h *history) append(id eventlog.ID, r eventlog.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked = append(h.acked, eventlog.Event{ID: id, Record: r})
}

func (h *history) delete(id eventlog.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deleted == nil {
		h.deleted = map[eventlog.ID]bool{}
	}
	h.deleted[id] = true
}

// check opens what a power cut left.
func (h *history) check(t *testing.T, fs vfs.FS, retained int) {
	h.mu.Lock()
	acked := slices.Clone(h.acked)
	deleted := map[eventlog.ID]bool{}
	for id := range h.deleted {
		deleted[id] = true
	}
	h.mu.Unlock()
	slices.SortFunc(acked, func(a, b eventlog.Event) int { return a.ID.Compare(b.ID) })
	l, err := openQuiet("data", Options{FS: fs, tune: small})
	if err != nil {
		t.Errorf("after %d events: %v", len(acked), err)
		return
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	b, err := l.Bounds(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	found := map[eventlog.ID]*eventlog.Event{}
	for _, e := range all(t, l) {
		found[e.ID] = e
		var w, i int
		if _, err := fmt.Sscanf(string(e.Data), "%d/%d", &w, &i); err != nil || fmt.Sprint(e.Record) != fmt.Sprint(testRecord(w, i)) {
			t.Errorf("event %v is torn: %+v", e.ID, e.Record)
		}
	}
	newest := b.Last
	for i, e := range acked {
		if e.ID.Compare(newest) > 0 {
			t.Errorf("event %v is gone: the log ends with %v", e.ID, newest)
			return
		}
		switch f := found[e.ID]; {
		case e.ID.Compare(b.Origin) <= 0:
			if i >= len(acked)-retained+8 { // deletions and commits on the way count
				t.Errorf("event %v was dropped, the %d-th from the end", e.ID, len(acked)-i)
			}
		case deleted[e.ID]:
			if f != nil {
				t.Errorf("event %v was deleted, and is back", e.ID)
			}
		case f == nil && !slices.Contains([]int{49}, indexOf(e)%50):
			t.Errorf("event %v is gone", e.ID)
		case f != nil && fmt.Sprint(f.Record) != fmt.Sprint(e.Record):
			t.Errorf("event %v is %+v, was %+v", e.ID, f.Record, e.Record)
		case f != nil && e.Key != "" && i >= len(acked)-10:
			results, err := l.Append(t.Context(), e.Record)
			if err != nil || !results[0].Duplicate || results[0].ID != e.ID {
				t.Errorf("the key of %v: %+v, %v", e.ID, results, err)
			}
		}
	}
	results, err := l.Append(t.Context(), testRecord(9, 1))
	if err != nil || results[0].ID.Compare(newest) <= 0 {
		t.Errorf("a new event after %v: %+v, %v", newest, results, err)
	}
}

func indexOf(e eventlog.Event) (i int) {
	var w int
	_, _ = fmt.Sscanf(string(e.Data), "%d/%d", &w, &i)
	return i
}

// A powerFS calls before ahead of each change of the disk.
type powerFS struct {
	*vfs.MemFS
	mu     sync.Mutex
	before func()
}

func (fs *powerFS) cut() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.before()
}

func (fs *powerFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	fs.cut()
	f, err := fs.MemFS.Create(name, c)
	return &powerFile{f, fs}, err
}

func (fs *powerFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	fs.cut()
	f, err := fs.MemFS.ReuseForWrite(oldname, newname, c)
	return &powerFile{f, fs}, err
}

func (fs *powerFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.MemFS.OpenDir(name)
	return &powerFile{f, fs}, err
}

func (fs *powerFS) Remove(name string) error    { fs.cut(); return fs.MemFS.Remove(name) }
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

func (f *powerFile) Write(p []byte) (int, error) { f.fs.cut(); return f.File.Write(p) }
func (f *powerFile) Sync() error                 { f.fs.cut(); return f.File.Sync() }
func (f *powerFile) SyncData() error             { f.fs.cut(); return f.File.SyncData() }

// TestPowerLossRelaxed may lose the newest events, and nothing else: what is
// left is a log without a hole, and no position is used twice.
func TestPowerLossRelaxed(t *testing.T) {
	fs := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(3, 4))
	var newest eventlog.ID
	for life := range 8 {
		// The first life's files have marks of what was synced, true ones.
		l := open1(t, "data", Options{FS: fs, Relaxed: life > 0, tune: small})
		before := uint64(0)
		for _, e := range all(t, l) {
			if n := indexOf(*e); e.ID.Lo <= before || n != int(e.ID.Lo%1000) {
				t.Fatalf("life %d: event %v with %q after %d", life, e.ID, e.Data, before)
			}
			before = e.ID.Lo
		}
		for range 100 {
			_, tip := l.shown()
			results, err := l.Append(t.Context(), testRecord(life, int((tip+1)%1000)))
			if err != nil || results[0].ID.Compare(newest) <= 0 {
				t.Fatalf("life %d: %+v, %v after %v", life, results, err, newest)
			}
			newest = results[0].ID
		}
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		_ = l.Close()
		fs = after
	}
}
