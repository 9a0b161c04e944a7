package disklog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestSmallDisk fills a file system to the floor, and then, with another file, to the last
// byte.
func TestSmallDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a small file system cannot be mounted here (%v): run this as root", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, 0) })
	l := open1(t, filepath.Join(disk, "data"), Options{MinFree: 6 << 20, tune: func(p *pebble.Options) { p.MemTableSize = 1 << 20 }})
	t.Cleanup(func() { _ = l.Close() })
	if _, err := os.Stat(filepath.Join(disk, "data", ballastName)); err != nil {
		t.Errorf("no ballast: %v", err)
	}
	data := strings.Repeat("x", 20_000)
	acked := 0
	fill := func() (err error) {
		for err == nil {
			if _, err = l.Append(t.Context(), eventlog.Record{Topics: []string{"t"}, Data: []byte(data)}); err == nil {
				acked++
			}
		}
		return err
	}
	if err := fill(); !errors.Is(err, eventlog.ErrNoSpace) {
		t.Fatalf("after %d events: %v; want ErrNoSpace", acked, err)
	}
	if n := len(all(t, l)); n != acked {
		t.Errorf("%d events can be read of %d", n, acked)
	}

	hog := filepath.Join(disk, "hog")
	f, err := os.Create(hog)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error, 1) // Delete may have to wait for space
	go func() {
		n, err := l.Delete(context.Background(), eventlog.ID{}, eventlog.Query{Limit: acked / 2})
		if err == nil && n != acked/2 {
			err = fmt.Errorf("%d events of %d", n, acked/2)
		}
		deleted <- err
	}()
	if n := len(all(t, l)); n < acked-acked/2 {
		t.Errorf("%d events can be read of %d", n, acked)
	}
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	if err := <-deleted; err != nil {
		t.Errorf("Delete: %v", err)
	}
	if n := len(all(t, l)); n != acked-acked/2 {
		t.Errorf("%d events can be read, want %d", n, acked-acked/2)
	}
	eventually(t, "take events again", func() bool {
		_, err := l.Append(t.Context(), record("t", 1))
		return err == nil
	})
	if err := fill(); !errors.Is(err, eventlog.ErrNoSpace) {
		t.Errorf("filled again: %v; want ErrNoSpace", err)
	}
}
