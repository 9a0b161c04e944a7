package auth

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A memDisk is a disk in memory. It calls before ahead of each change and sync.
type memDisk struct {
	fs     *vfs.MemFS
	before func(what string)
}

func (d *memDisk) read(name string) ([]byte, error) {
	f, err := d.fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func (d *memDisk) create(name string) (diskFile, error) {
	d.before("create")
	f, err := d.fs.Create(name, vfs.WriteCategoryUnspecified)
	return memFile{f, d}, err
}

func (d *memDisk) rename(from, to string) error {
	d.before("rename")
	return d.fs.Rename(from, to)
}

func (d *memDisk) syncDir(name string) error {
	d.before("sync directory")
	dir, err := d.fs.OpenDir(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

type memFile struct {
	vfs.File
	disk *memDisk
}

func (f memFile) Write(p []byte) (int, error) {
	f.disk.before("write")
	return f.File.Write(p)
}

func (f memFile) Sync() error {
	f.disk.before("sync")
	return f.File.Sync()
}

// After a power cut at any moment, the file can be read and has every acknowledged
// revocation.
func TestRevocationsOutliveAPowerCut(t *testing.T) {
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("/data", 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := fs.OpenDir("/")
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Sync(); err != nil {
		t.Fatal(err)
	}
	const path = "/data/revocations.json"
	acknowledged, cuts := 0, 0
	rng := rand.New(rand.NewPCG(1, 2))
	d := &memDisk{fs: fs}
	d.before = func(what string) {
		for _, percent := range []int{0, 50, 100} {
			cuts++
			after := &memDisk{fs: fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})}
			v, err := openRevocations(path, after)
			if err != nil {
				t.Errorf("cut before %s of %d, %d%% of what was not synced: %v", what, acknowledged, percent, err)
				continue
			}
			for i := range acknowledged {
				if !v.revoked(&Grant{Subject: fmt.Sprint(i)}) || !v.revoked(&Grant{ID: fmt.Sprint("id", i)}) {
					t.Errorf("cut before %s of %d, %d%% of what was not synced: %d is not revoked", what, acknowledged, percent, i)
				}
			}
		}
	}
	v, err := openRevocations(path, d)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		if err := v.Revoke(fmt.Sprint(i), fmt.Sprint("id", i), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		acknowledged++
		d.before("nothing")
	}
	t.Logf("%d power cuts", cuts)
}

// A slow disk does not block publishers: a revocation takes effect before it is on the
// disk, and other tokens are checked meanwhile.
func TestRevokingHoldsUpNobody(t *testing.T) {
	syncing, gate := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(syncing) })
	d := &memDisk{fs: vfs.NewMem(), before: func(what string) {
		if what == "sync" {
			once()
			<-gate
		}
	}}
	v, err := openRevocations("revocations.json", d)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 11)
	until := time.Now().Add(time.Hour)
	go func() { done <- v.Revoke("ann", "", until) }()
	<-syncing
	asked := make(chan bool)
	go func() { asked <- v.revoked(&Grant{Subject: "ann"}) && !v.revoked(&Grant{Subject: "bob"}) }()
	select {
	case ok := <-asked:
		if !ok {
			t.Error("the token being revoked is accepted, or another one is not")
		}
	case <-time.After(10 * time.Second):
		t.Error("a publisher waits for the disk")
	}
	for i := range cap(done) - 1 {
		go func() { done <- v.Revoke("", fmt.Sprint(i), until) }()
	}
	close(gate)
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	again, err := openRevocations("revocations.json", d)
	if err != nil || len(again.ids) != cap(done)-1 || len(again.subjects) != 1 {
		t.Errorf("the file has %d and %d, %v", len(again.ids), len(again.subjects), err)
	}
}

// A file with unknown or repeated names keeps the hub from starting, because a revocation
// in it might be ignored.
func TestRevocationsFileIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.json")
	for text, ok := range map[string]bool{
		`{"subjects":{"ann":"2100-01-01T00:00:00Z"},"tokens":null}`: true,
		`{"Subjects":{"ann":"2100-01-01T00:00:00Z"}}`:               false,
		`{"subject":{"ann":"2100-01-01T00:00:00Z"}}`:                false,
		`{"subjects":{"ann":"2100-01-01T00:00:00Z"},"subjects":{}}`: false,
		`{"subjects":{"ann":`:                                       false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := OpenRevocations(path)
		if (err == nil) != ok || ok && !v.revoked(&Grant{Subject: "ann"}) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
