package auth

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
)

// Revocations are the subjects and tokens that count for nothing, each for a
// time. With a file they outlive the process. The zero value is empty, and
// keeps no file. Its methods may be called by several goroutines at once.
type Revocations struct {
	path string
	disk disk

	mu       sync.Mutex           // every request takes it: nobody writes the file under it
	subjects map[string]time.Time // until when
	ids      map[string]time.Time
	changes  uint64

	file  sync.Mutex // held while the file is written; taken before mu
	saved uint64     // the changes that the file has
}

type revocationsFile struct {
	Subjects map[string]time.Time `json:"subjects"`
	Tokens   map[string]time.Time `json:"tokens"`
}

// OpenRevocations reads those in a file, which is made with the first one.
func OpenRevocations(path string) (*Revocations, error) { return openRevocations(path, osDisk{}) }

func openRevocations(path string, d disk) (*Revocations, error) {
	v := &Revocations{path: path, disk: d}
	b, err := d.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	} else if err != nil {
		return nil, err
	}
	var f revocationsFile
	// A name that the hub does not know may be a revocation that would not count.
	if err := jsonv2.Unmarshal(b, &f, jsonv2.RejectUnknownMembers(true)); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	v.subjects, v.ids = f.Subjects, f.Tokens
	return v, nil
}

// Revoke revokes all tokens of a subject, or the one with an id, until a time.
// It counts at once. Revoke returns when it is on the disk; an error means that
// a restart may not know of it.
func (v *Revocations) Revoke(subject, id string, until time.Time) error {
	v.mu.Lock()
	if subject != "" {
		v.subjects = revoke(v.subjects, subject, until)
	}
	if id != "" {
		v.ids = revoke(v.ids, id, until)
	}
	v.changes++
	mine := v.changes
	v.mu.Unlock()
	return v.save(mine)
}

// revoke adds a name, and drops those whose time is over.
func revoke(m map[string]time.Time, name string, until time.Time) map[string]time.Time {
	if m == nil {
		m = map[string]time.Time{}
	}
	now := time.Now()
	maps.DeleteFunc(m, func(_ string, end time.Time) bool { return end.Before(now) })
	m[name] = until
	return m
}

// save writes the file, unless it has a change already: those who come while it
// is written share the next write.
func (v *Revocations) save(change uint64) error {
	if v.path == "" {
		return nil
	}
	v.file.Lock()
	defer v.file.Unlock()
	if v.saved >= change {
		return nil
	}
	v.mu.Lock()
	f, changes := revocationsFile{maps.Clone(v.subjects), maps.Clone(v.ids)}, v.changes
	v.mu.Unlock()
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := replaceFile(v.disk, v.path, b); err != nil {
		return err
	}
	v.saved = changes
	return nil
}

// replaceFile puts a whole file in the place of the old one: after a power cut
// one of them is there, and the new one if replaceFile has returned.
func replaceFile(d disk, path string, content []byte) error {
	next := path + ".new"
	f, err := d.create(next)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := d.rename(next, path); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

func (v *Revocations) revoked(g *Grant) bool {
	if v == nil || g.Subject == "" && g.ID == "" {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	return g.Subject != "" && v.subjects[g.Subject].After(now) || g.ID != "" && v.ids[g.ID].After(now)
}
