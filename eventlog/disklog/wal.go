package disklog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A file of the write-ahead log consists of blocks of chunks; see pebble's package
// record. A chunk consists of its checksum (4 bytes), the length of its payload (2), its
// kind (1), the file's number (4), how much was synced (8), and the payload.
const (
	walBlock  = 32 << 10
	walHeader = 4 + 2 + 1 + 4 + 8

	walFull  = 9 // the kinds: a whole record, or the first or last part of one
	walFirst = 10
	walLast  = 12
)

// verifyWAL looks for damage in the newest file of the write-ahead log. The store would
// take it for the torn end of the file, and drop what follows. But nothing can follow a
// torn commit, because each commit is written after the last one was synced.
func verifyWAL(fs vfs.FS, name string) error {
	w, err := readWAL(fs, name)
	if err != nil {
		return err
	}
	end := w.end()
	for at := end + 1; at+walHeader <= len(w.b); at++ {
		if kind := w.b[at+6]; (kind == walFull || kind == walFirst) && w.chunk(at) > 0 {
			return fmt.Errorf("%s is damaged at byte %d: intact data follows", fs.PathBase(name), end)
		}
	}
	return nil
}

// cutWAL cuts the newest file of the write-ahead log where it is torn. The store would
// call the file damaged, because its chunks claim syncs that Relaxed omitted.
func (d *directory) cutWAL(name string) error {
	w, err := readWAL(d.fs, d.join(storeName, name))
	if err != nil {
		return err
	}
	temp := d.join(name + ".new")
	if err := writeFile(d.fs, temp, w.b[:w.end()]); err != nil {
		return err
	}
	if err := d.fs.Rename(temp, d.join(storeName, name)); err != nil {
		return err
	}
	return errors.Join(syncDirectory(d.fs, d.path), syncDirectory(d.fs, d.join(storeName)))
}

func readWAL(fs vfs.FS, name string) (wal, error) {
	number, err := strconv.ParseUint(strings.TrimSuffix(fs.PathBase(name), ".log"), 10, 64)
	if err != nil {
		return wal{}, err
	}
	f, err := fs.Open(name)
	if err != nil {
		return wal{}, err
	}
	b, err := io.ReadAll(f)
	return wal{b, uint32(number)}, errors.Join(err, f.Close())
}

type wal struct {
	b      []byte
	number uint32
}

// end returns the offset at which the whole chunks at the beginning end.
func (w wal) end() (at int) {
	for at < len(w.b) {
		if walBlock-at%walBlock < walHeader { // the rest of a block that is too small for a chunk is unused
			at += walBlock - at%walBlock
			continue
		}
		n := w.chunk(at)
		if n == 0 {
			break
		}
		at += n
	}
	return at
}

// chunk returns the size of the chunk at an offset, or 0 if no whole chunk is there.
func (w wal) chunk(at int) int {
	if at+walHeader > len(w.b) {
		return 0
	}
	h := w.b[at:]
	n := walHeader + int(binary.LittleEndian.Uint16(h[4:]))
	if kind := h[6]; kind < walFull || kind > walLast || binary.LittleEndian.Uint32(h[7:]) != w.number ||
		at%walBlock+n > walBlock || n > len(h) {
		return 0
	}
	if masked(crc32.Checksum(h[6:n], castagnoli)) != binary.LittleEndian.Uint32(h) {
		return 0
	}
	return n
}

// masked returns a checksum in the form that the store writes, like LevelDB's.
func masked(sum uint32) uint32 { return (sum>>15 | sum<<17) + 0xa282ead8 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
