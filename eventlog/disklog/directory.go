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

// The files of a log's directory. The lock is held on LOCK; the file itself stays.
const (
	manifestName = "log.json"
	storeName    = "db"
	lockName     = "LOCK"
	ballastName  = "ballast"
	ignoreName   = ".gitignore"
)

var (
	// ErrInUse is wrapped by the error of opening a log that a process has open.
	ErrInUse = errors.New("in use by another process")

	// ErrDamaged is wrapped by the error of opening a damaged log, or a directory
	// that is not a log.
	ErrDamaged = errors.New("cannot be opened as an event log")
)

// manifest is the content of log.json: what the store does not record itself.
type manifest struct {
	Version int    `json:"version"`
	Epoch   uint64 `json:"epoch"`

	// Before is the epoch that the store may still have while it changes to Epoch.
	Before uint64 `json:"before,omitempty"`

	// Copy is set if the log is a copy of a shared sequence.
	Copy bool `json:"copy,omitempty"`

	// Made is set once the store is complete. Until then no event has been
	// acknowledged, and Open starts over with the directory.
	Made bool `json:"made"`

	// WAL is the newest file of the store's write-ahead log. The store does not
	// notice if it is missing.
	WAL string `json:"wal,omitempty"`

	// Relaxed reports that the end of that file was not synced.
	Relaxed bool `json:"relaxed,omitempty"`

	// Closed is set by Close, together with Last, the newest position then.
	Closed bool   `json:"closed"`
	Last   uint64 `json:"last"`
}

// A directory holds a log's files.
type directory struct {
	fs   vfs.FS // the guard
	path string
	lock io.Closer
}

// lockDirectory creates the directory if necessary, and locks it.
func lockDirectory(fs vfs.FS, path string) (*directory, error) {
	if err := makeDirectory(fs, path); err != nil {
		return nil, err
	}
	d := &directory{fs: fs, path: path}
	// Check first, so as not to leave a lock file in a directory of other files.
	if err := d.checkForeign(); err != nil {
		return nil, err
	}
	lock, err := fs.Lock(d.join(lockName))
	if err != nil {
		return nil, fmt.Errorf("%s is %w: stop that process, or use another directory (%w)", path, ErrInUse, err)
	}
	d.lock = lock
	return d, nil
}

// makeDirectory is like MkdirAll, and syncs every directory that it creates.
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

// checkForeign returns an error if the directory has other files but no manifest.
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
	return fmt.Errorf("%s %w: it contains files that are not part of an event log (%s); use an empty or a new directory",
		d.path, ErrDamaged, strings.Join(names[:min(3, len(names))], ", "))
}

// damaged returns an error that says what is wrong with the directory and what to do.
func (d *directory) damaged(err error) error {
	return fmt.Errorf("%s %w: %w; restore a backup in its place and open it with a new epoch, or start over without its events: mv %s %s.damaged",
		d.path, ErrDamaged, err, d.path, strings.TrimRight(d.path, `/\`))
}

// otherKind returns the error of opening a copy as a log of its own, or the reverse.
func (d *directory) otherKind(isCopy bool) error {
	if isCopy {
		return fmt.Errorf("%s %w: it is a node's copy of a log that several nodes share; use another directory", d.path, ErrDamaged)
	}
	return fmt.Errorf("%s %w: it is a log of its own, not a node's copy of a shared one; use another directory", d.path, ErrDamaged)
}

// read returns the manifest, or nil if there is none yet.
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
		return nil, fmt.Errorf("%s is an event log of format %d, but this program supports format %d: use the version that wrote it", d.path, m.Version, formatVersion)
	}
	return m, nil
}

// write replaces the manifest. After a crash, either the old or the new one is there.
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
