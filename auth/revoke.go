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

// Revocations are the subjects and tokens that were revoked, each until a time. With a
// file they survive a restart. The zero value is empty and has no file. Its methods are
// safe for concurrent use.
type Revocations struct {
	path string
	disk disk

	mu       sync.Mutex           // every request takes it, so it is not held while the file is written
	subjects map[string]time.Time // until when each is revoked
	ids      map[string]time.Time
	changes  uint64

	file  sync.Mutex // held while the file is written; taken before mu
	saved uint64     // the value of changes when the file was last written
}

type revocationsFile struct {
	Subjects map[string]time.Time `json:"subjects"`
	Tokens   map[string]time.Time `json:"tokens"`
}

// OpenRevocations reads the revocations in a file. The first Revoke creates the file.
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
	// An unknown name may be a revocation, which must not be ignored.
	if err := jsonv2.Unmarshal(b, &f, jsonv2.RejectUnknownMembers(true)); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	v.subjects, v.ids = f.Subjects, f.Tokens
	return v, nil
}

// Revoke revokes all tokens of a subject, or the token with an id, until a time. It takes
// effect at once, and returns when the file is on the disk. After an error it may not
// survive a restart.
func (v *Revocations) Revoke(subject, id string, until time.Time) error {
	return v.save(v.count(subject, id, until))
}

// count has a revocation count, and returns its change, for save.
func (v *Revocations) count(subject, id string, until time.Time) (change uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if subject != "" {
		v.subjects = revoke(v.subjects, subject, until)
	}
	if id != "" {
		v.ids = revoke(v.ids, id, until)
	}
	v.changes++
	return v.changes
}

// revoke adds a name, and drops the names whose time is over.
func revoke(m map[string]time.Time, name string, until time.Time) map[string]time.Time {
	if m == nil {
		m = map[string]time.Time{}
	}
	now := time.Now()
	maps.DeleteFunc(m, func(_ string, end time.Time) bool { return end.Before(now) })
	m[name] = until
	return m
}

// save writes the file, unless it has the change already: callers that wait while the file
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

// replaceFile replaces a file as a whole. After a power cut either the old or the new one
// is there, and the new one if replaceFile had returned.
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
