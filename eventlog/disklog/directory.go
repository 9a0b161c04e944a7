package disklog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The files of a log's directory. The lock is the system's, and the file stays.
const (
	manifestName = "log.json"
	storeName    = "db"
	lockName     = "LOCK"
	ballastName  = "ballast"
	ignoreName   = ".gitignore"
)

var (
	// ErrInUse is matched by the error of opening a log that is open.
	ErrInUse = errors.New("in use by another process")

	// ErrDamaged is matched by the error of opening what is no whole log.
	ErrDamaged = errors.New("cannot be opened as an event log")
)

// manifest is the content of log.json: what the store cannot say of itself.
type manifest struct {
	Version int    `json:"version"`
	Epoch   uint64 `json:"epoch"`

	// Before is the epoch that the store may still have, while it gets this one.
	Before uint64 `json:"before,omitempty"`

	// Made is set once the store has been: before, nobody was told of any event
	// and a directory left half done is begun anew.
	Made bool `json:"made"`

	// WAL is the newest file of the store's write-ahead log, which the store
	// does not miss when it is gone.
	WAL string `json:"wal,omitempty"`

	// Relaxed says that its end was not synced.
	Relaxed bool `json:"relaxed,omitempty"`

	// Closed is set by a clean end, with the last position there was.
	Closed bool   `json:"closed"`
	Last   uint64 `json:"last"`
}

// A directory is where a log is kept.
type directory struct {
	fs   vfs.FS // the guard
	path string
	lock io.Closer
}

// lockDirectory makes the directory where there is none, and locks it.
func lockDirectory(fs vfs.FS, path string) (*directory, error) {
	if err := makeDirectory(fs, path); err != nil {
		return nil, err
	}
	d := &directory{fs: fs, path: path}
	// The lock's file would be left in a directory that is somebody else's.
	if err := d.checkForeign(); err != nil {
		return nil, err
	}
	lock, err := fs.Lock(d.join(lockName))
	if err != nil {
		return nil, fmt.Errorf("%s is %w: stop that one, or give this one a directory of its own (%w)", path, ErrInUse, err)
	}
	d.lock = lock
	return d, nil
}

// makeDirectory is MkdirAll whose every step is on the disk.
func makeDirectory(fs vfs.FS, path string) error {
	if _, err := fs.Stat(path); err == nil {
		return nil
	}
	if parent := fs.PathDir(path); parent != path {
		if err := makeDirectory(fs, parent); err != nil {
			return err
		}
		if err := fs.MkdirAll(path, 0o755); err != nil {
			return err
		}
		return syncDirectory(fs, parent)
	}
	return fs.MkdirAll(path, 0o755)
}

func syncDirectory(fs vfs.FS, path string) error {
	dir, err := fs.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (d *directory) join(elem ...string) string {
	return d.fs.PathJoin(append([]string{d.path}, elem...)...)
}

// checkForeign refuses a directory with anything in it and no manifest.
func (d *directory) checkForeign() error {
	names, err := d.fs.List(d.path)
	if err != nil {
		return err
	}
	if slices.Contains(names, manifestName) {
		return nil
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return name == lockName || name == ignoreName || name == manifestName+".new" || name == "lost+found"
	})
	switch {
	case len(names) == 0:
		return nil
	case slices.Contains(names, storeName):
		return d.damaged(fmt.Errorf("%s is missing", manifestName))
	}
	return fmt.Errorf("%s %w: it has files in it that are none of an event log (%s); name an empty directory, or a new one",
		d.path, ErrDamaged, strings.Join(names[:min(3, len(names))], ", "))
}

// damaged says what is wrong with the directory and what to do about it.
func (d *directory) damaged(err error) error {
	return fmt.Errorf("%s %w: %w; restore a backup in its place and begin a new epoch with it, or, to begin anew without the events in it: mv %s %s.damaged",
		d.path, ErrDamaged, err, d.path, strings.TrimRight(d.path, `/\`))
}

// read returns the manifest; nil where there is none yet.
func (d *directory) read() (*manifest, error) {
	f, err := d.fs.Open(d.join(manifestName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	m := new(manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, d.damaged(fmt.Errorf("%s: %w", manifestName, err))
	}
	if m.Version != formatVersion {
		return nil, fmt.Errorf("%s is an event log of format %d, and this program knows %d: use the one that wrote it", d.path, m.Version, formatVersion)
	}
	return m, nil
}

// write replaces the manifest: whatever happens, the old or the new one is
// there.
func (d *directory) write(m *manifest) error {
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	temp := d.join(manifestName + ".new")
	if err := writeFile(d.fs, temp, append(text, '\n')); err != nil {
		return err
	}
	if err := d.fs.Rename(temp, d.join(manifestName)); err != nil {
		return err
	}
	return syncDirectory(d.fs, d.path)
}

func writeFile(fs vfs.FS, name string, content []byte) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func (d *directory) exists(elem ...string) bool {
	_, err := d.fs.Stat(d.join(elem...))
	return err == nil
}
