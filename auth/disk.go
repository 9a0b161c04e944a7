package auth

import (
	"errors"
	"io"
	"os"
	"runtime"
)

// A disk is the part of a file system that a durable file needs: the system's own, or one
// in memory for tests that simulate power cuts.
type disk interface {
	read(name string) ([]byte, error)
	create(name string) (diskFile, error)
	rename(from, to string) error
	syncDir(name string) error
}

type diskFile interface {
	io.WriteCloser
	Sync() error
}

type osDisk struct{}

func (osDisk) read(name string) ([]byte, error) { return os.ReadFile(name) }

func (osDisk) create(name string) (diskFile, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

// syncDir makes a rename durable, because a rename changes the directory.
func (osDisk) syncDir(name string) error {
	if runtime.GOOS == "windows" { // directories cannot be synced there
		return nil
	}
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
