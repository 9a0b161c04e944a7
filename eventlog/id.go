package eventlog

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
)

// IDPrefix begins the text form of every ID. No publisher's id may begin with it, so the
// two cannot be confused.
const IDPrefix = "_"

// An ID is a position in a log: that of one event, or the point right after it. It is
// opaque outside its engine. IDs of the same epoch can be compared. The zero ID
// belongs to no log.
type ID struct {
	Epoch uint64 // changes when a log is wiped, restored or created anew; less than 2⁴⁸
	Hi    uint64 // the term: how often the engine has lost its end and assigns positions anew
	Lo    uint64 // the position
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

// Compare orders two IDs of the same epoch like [cmp.Compare].
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Hi, other.Hi), cmp.Compare(id.Lo, other.Lo))
}

// String returns the ID's text form, at most 40 bytes of [A-Za-z0-9_-]: the
// prefix, then epoch, lo and, unless it is zero, hi, each in base 36.
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

// ParseID parses the text form that String returns. It accepts no other spelling.
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
	if id.Epoch > maxEpoch || id.String() != s { // only one text per position
		return ID{}, errBadID
	}
	return id, nil
}

// Prev returns the position just before id.
func (id ID) Prev() ID {
	if id.Lo--; id.Lo == ^uint64(0) {
		id.Hi--
	}
	return id
}
