package auth

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Revocations are the subjects and tokens that count for nothing, each for a
// time. With a file they outlive the process. The zero value is empty, and
// keeps no file. Its methods may be called by several goroutines at once.
type Revocations struct {
	mu       sync.Mutex
	path     string
	subjects map[string]time.Time // until when
	ids      map[string]time.Time
}

type revocationsFile struct {
	Subjects map[string]time.Time `json:"subjects"`
	Tokens   map[string]time.Time `json:"tokens"`
}

// OpenRevocations reads those in a file, which is made with the first one.
func OpenRevocations(path string) (*Revocations, error) {
	v := &Revocations{path: path}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	} else if err != nil {
		return nil, err
	}
	var f revocationsFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	v.subjects, v.ids = f.Subjects, f.Tokens
	return v, nil
}

// Revoke revokes all tokens of a subject, or the one with an id, until a time.
// An error means that a restart will not know of it.
func (v *Revocations) Revoke(subject, id string, until time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	add := func(m *map[string]time.Time, name string) {
		if *m == nil {
			*m = map[string]time.Time{}
		}
		now := time.Now()
		for other, end := range *m {
			if end.Before(now) {
				delete(*m, other)
			}
		}
		(*m)[name] = until
	}
	if subject != "" {
		add(&v.subjects, subject)
	}
	if id != "" {
		add(&v.ids, id)
	}
	return v.save()
}

// save puts a whole file in the place of the old one.
func (v *Revocations) save() error {
	if v.path == "" {
		return nil
	}
	b, err := json.Marshal(revocationsFile{v.subjects, v.ids})
	if err != nil {
		return err
	}
	next := v.path + ".new"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(next, v.path)
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
