package eventlog

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
)

// IDPrefix begins the text of every ID, and of nothing else that may stand
// where one does: no publisher's id begins with it.
const IDPrefix = "_"

// An ID is a place in a log: the event there, or the place after it. It is
// opaque outside of its engine, and comparable within an epoch. The zero ID
// belongs to no log.
type ID struct {
	Epoch  uint64 // one life of one log: a log that is wiped, restored or made anew has another; less than 2⁴⁸
	Hi, Lo uint64
}

const maxEpoch = 1<<48 - 1

// NewEpoch returns a random epoch for a new log.
func NewEpoch() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, as documented
	return max(binary.LittleEndian.Uint64(b[:])&maxEpoch, 1)
}

// IsZero reports whether id is the zero ID.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders two IDs of one epoch as [cmp.Compare] does.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Hi, other.Hi), cmp.Compare(id.Lo, other.Lo))
}

// String returns the ID's text form, at most 40 bytes of [A-Za-z0-9_-]: the
// prefix, then epoch, lo and, unless zero, hi in base 36.
func (id ID) String() string { return string(id.Append(make([]byte, 0, maxText))) }

const maxText = 40

// Append appends the ID's text form to dst.
func (id ID) Append(dst []byte) []byte {
	dst = append(dst, IDPrefix...)
	dst = strconv.AppendUint(dst, id.Epoch, 36)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, id.Lo, 36)
	if id.Hi != 0 {
		dst = append(dst, '-')
		dst = strconv.AppendUint(dst, id.Hi, 36)
	}
	return dst
}

var errBadID = errors.New("eventlog: not an ID")

// ParseID reads what String wrote, and nothing else.
func ParseID(s string) (ID, error) {
	rest, ok := strings.CutPrefix(s, IDPrefix)
	if !ok || len(s) > maxText {
		return ID{}, errBadID
	}
	parts := strings.Split(rest, "-")
	if len(parts) != 2 && len(parts) != 3 {
		return ID{}, errBadID
	}
	var n [3]uint64
	for i, p := range parts {
		var err error
		if n[i], err = strconv.ParseUint(p, 36, 64); err != nil {
			return ID{}, errBadID
		}
	}
	id := ID{Epoch: n[0], Lo: n[1], Hi: n[2]}
	if id.Epoch > maxEpoch || id.String() != s { // one text for one place
		return ID{}, errBadID
	}
	return id, nil
}

// Prev returns the place just before id.
func (id ID) Prev() ID {
	if id.Lo--; id.Lo == ^uint64(0) {
		id.Hi--
	}
	return id
}
