package disklog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A file of values, which the tables refer to, ends with a checksum (4 bytes) of
// what follows it: where the index is, and of what form the file is. See
// pebble's package sstable/blob.
const valuesEnd = 38

// verifyValues looks whether the files of values are there that the store, which
// does not look, refers to.
func (l *Log) verifyValues() error {
	for name, size := range l.values() {
		info, err := l.guard.Stat(l.dir.join(storeName, name))
		switch {
		case errors.Is(err, os.ErrNotExist):
			if _, ok := l.values()[name]; !ok { // rewritten meanwhile
				continue
			}
			return fmt.Errorf("%s is missing", name)
		case err != nil:
			return err
		case info.Size() != size:
			return fmt.Errorf("%s has %d bytes, not %d", name, info.Size(), size)
		}
	}
	return nil
}

// values returns the names and sizes of the files of values.
func (l *Log) values() map[string]int64 {
	files := map[string]int64{}
	for f := range l.db.DebugCurrentVersion().BlobFiles.All() {
		files[f.Physical.FileNum.String()+valuesSuffix] = int64(f.Physical.Size)
	}
	return files
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
