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

// A blob file, which holds values that tables refer to, ends with a checksum (4 bytes)
// of the bytes that follow it: the position of the index, and the file's format. See
// pebble's package sstable/blob.
const valuesEnd = 38

// verifyValues checks that the blob files that the store refers to exist. The store does
// not check, and would panic over a missing one.
func (l *Log) verifyValues() error {
	for deadline := time.Now().Add(verifyPatience); ; time.Sleep(verifyPatience / 100) {
		// Ask for the metrics first: files created meanwhile then add to those found.
		m := l.db.Metrics().BlobFiles
		files, size, err := l.valuesThere()
		if err != nil {
			return err
		}
		wanted, wantedSize := m.LiveCount+m.ObsoleteCount+m.ZombieCount, m.LiveSize+m.ObsoleteSize+m.ZombieSize
		if files >= wanted && size >= wantedSize {
			return nil
		}
		if time.Now().After(deadline) { // files are missing, and not just because some were being removed
			return fmt.Errorf("found %d of %d blob files, with %d of %d bytes", files, wanted, size, wantedSize)
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

// checkValues checks the end of a blob file. The rest has checksums that the store
// verifies when it reads it.
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
		return errors.New("the checksum of its end does not match")
	}
	return nil
}
