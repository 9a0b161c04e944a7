package disklog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A file of values, which the tables refer to, ends with a checksum (4 bytes) of
// what follows it: where the index is, and of what form the file is. See
// pebble's package sstable/blob.
const valuesEnd = 38

// verifyValues looks whether the files of values are there that the store refers
// to: it does not look itself, and would panic over one that is missing.
func (l *Log) verifyValues() error {
	for deadline := time.Now().Add(verifyPatience); ; time.Sleep(verifyPatience / 100) {
		// In this order: what is made meanwhile is more than was asked for, not less.
		m := l.db.Metrics().BlobFiles
		files, size, err := l.valuesThere()
		if err != nil {
			return err
		}
		wanted, wantedSize := m.LiveCount+m.ObsoleteCount+m.ZombieCount, m.LiveSize+m.ObsoleteSize+m.ZombieSize
		if files >= wanted && size >= wantedSize {
			return nil
		}
		if time.Now().After(deadline) { // and not because some were just removed
			return fmt.Errorf("there are %d of %d files of values, with %d of %d bytes", files, wanted, size, wantedSize)
		}
	}
}

const verifyPatience = time.Second

func (l *Log) valuesThere() (files, size uint64, err error) {
	names, err := l.guard.List(l.dir.join(storeName))
	for _, name := range names {
		if !isValues(name) {
			continue
		}
		info, err := l.guard.Stat(l.dir.join(storeName, name))
		if errors.Is(err, os.ErrNotExist) { // removed meanwhile
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		files++
		size += uint64(info.Size())
	}
	return files, size, err
}

const valuesSuffix = ".blob"

func isValues(name string) bool { return strings.HasSuffix(name, valuesSuffix) }

// checkValues looks at the end of a file of values. The rest has checksums that
// the store compares when it reads it.
func checkValues(f vfs.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var end [valuesEnd]byte
	if info.Size() < valuesEnd {
		return io.ErrUnexpectedEOF
	}
	if _, err := f.ReadAt(end[:], info.Size()-valuesEnd); err != nil {
		return err
	}
	if masked(crc32.Checksum(end[4:], castagnoli)) != binary.LittleEndian.Uint32(end[:]) {
		return errors.New("the checksum of its end is another")
	}
	return nil
}
