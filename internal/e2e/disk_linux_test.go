package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A write that fails stops the hub: it acknowledges nothing more and exits with 1.
// After a restart on a disk that works, every acknowledged event is there.
func TestFailedWriteStopsHub(t *testing.T) {
	t.Parallel()
	t.Run("a disk that fails", func(t *testing.T) {
		d := failingDisk(t)
		// The device decides with which error a sync fails.
		testFailedWrite(t, d.dir, "input/output error|no space left on device", func(*hub) { d.fail() }, d.mend)
	})
	t.Run("a file that must not grow", func(t *testing.T) {
		testFailedWrite(t, t.TempDir(), "file too large", func(h *hub) {
			if err := unix.Prlimit(h.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1, Max: 1}, nil); err != nil {
				t.Fatal(err)
			}
		}, func() {})
	})
}

func testFailedWrite(t *testing.T, dir, reason string, fail func(*hub), mend func()) {
	args := []string{"--store", "disk", "--data", filepath.Join(dir, "data"), "--min-free", "16MiB"}
	h := &hub{t: t, addr: address(freePort(t)), fails: true}
	h.start(args...)
	var acked sync.Map // data by id
	var count atomic.Int64
	enough := make(chan struct{})
	var publishers sync.WaitGroup
	for p := range 16 {
		publishers.Go(func() {
			for i := 0; ; i++ {
				data := fmt.Sprintf("%d/%d %s", p, i, strings.Repeat("x", 10_000))
				id, status, err := tryPublish(h, data)
				if err != nil || status != http.StatusCreated { // the hub has stopped
					if err == nil && status < 500 {
						t.Errorf("a publisher was answered %d", status)
					}
					return
				}
				acked.Store(id, data)
				if count.Add(1) == 200 {
					close(enough)
				}
			}
		})
	}
	<-enough
	fail(h)
	publishers.Wait()
	if code := h.wait(t); code != 1 {
		t.Errorf("the hub exits with %d, want 1", code)
	}
	for _, text := range []string{`msg="eventlog: a write failed; the log has stopped" error=".*(` + reason + `)`, "(?m)^tidings: the hub has stopped: eventlog: a write failed"} {
		if !regexp.MustCompile(text).MatchString(h.output.String()) {
			t.Errorf("the hub does not say %q", text)
		}
	}

	mend()
	h.fails = false
	h.start(args...)
	found := readAll(t, h)
	lost := 0
	for id, data := range acked.Range {
		if found[id.(string)] != data.(string) {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged events are gone", lost, count.Load())
	}
	t.Logf("%d acknowledged, %d in the log", count.Load(), len(found))
}

func tryPublish(h *hub, data string) (id string, status int, err error) {
	resp, err := client.Post(h.url("/events/news"), "text/plain", strings.NewReader(data))
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	var result struct{ ID string }
	if resp.StatusCode == http.StatusCreated {
		err = json.NewDecoder(resp.Body).Decode(&result)
	}
	return result.ID, resp.StatusCode, err
}

// readAll returns the data that the hub retains of the topic news, by id.
func readAll(t *testing.T, h *hub) map[string]string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url("/events/news?last_event_id=earliest"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	found := map[string]string{}
	for dec := json.NewDecoder(resp.Body); ; {
		var e struct{ ID, Data string }
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found[e.ID] = e.Data
	}
}

// A badDisk is an ext4 file system that a test can make fail. Its device is a
// sparse file in a tmpfs; when the tmpfs is full, a write to the device fails with
// an I/O error.
type badDisk struct {
	t           *testing.T
	below, file string
	dir         string // the mount point
}

func failingDisk(t *testing.T) *badDisk {
	t.Helper()
	mkfs := require(t, "e2fsprogs", "mkfs.ext4", "/usr/sbin/mkfs.ext4")
	d := &badDisk{t: t, below: t.TempDir(), dir: t.TempDir()}
	d.file = filepath.Join(d.below, "device")
	if err := syscall.Mount("tmpfs", d.below, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("a file system cannot be mounted here (%v), so a failing disk is not tested; run this as root", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(d.below, syscall.MNT_DETACH) })
	if err := errors.Join(os.WriteFile(d.file, nil, 0o600), os.Truncate(d.file, 512<<20)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mkfs, "-q", d.file).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	d.mount()
	t.Cleanup(func() { _ = syscall.Unmount(d.dir, syscall.MNT_DETACH) })
	return d
}

func (d *badDisk) mount() {
	if out, err := exec.Command("mount", "-o", "loop", d.file, d.dir).CombinedOutput(); err != nil {
		d.t.Skipf("a file cannot be mounted here (%v %s), so a failing disk is not tested", err, out)
	}
}

// fail fills the tmpfs, so that the device's file cannot grow any more.
func (d *badDisk) fail() {
	f, err := os.Create(filepath.Join(d.below, "hog"))
	for err == nil {
		_, err = f.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
	_ = f.Close()
}

// mend mounts the device again, with room to grow. It keeps what was written.
func (d *badDisk) mend() {
	if err := errors.Join(syscall.Unmount(d.dir, 0), os.Remove(filepath.Join(d.below, "hog"))); err != nil {
		d.t.Fatal(err)
	}
	d.mount()
}
