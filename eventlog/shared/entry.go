package shared

import (
	"encoding/binary"
	"errors"
	"time"
)

// An entry begins with this header; integers without a size are uvarints:
//
//	magic      1 byte, 't'
//	format     1 byte, 1
//	kind       1 byte
//	flags      1 byte; see critical
//	epoch      6 bytes, big endian
//	session    8 bytes, big endian: random, of the author's process
//	counter    numbers the author's entries
//	term       the term that the author knows
//	checked    the last entry that the author had applied
//	floor      the time of that entry, Unix nanoseconds
//	count      how many records the body has
//	keyed      how many of them have a key
//
// The body of each kind is described where it is encoded.
const (
	magic  = 't'
	format = 1

	// critical means that a node which does not know the kind must not go on.
	critical = 1
)

// A kind says what an entry's body is.
type kind byte

const (
	kindEvents kind = 1 + iota
	kindDelete
	kindTrim
	kindTerm
	kindFact
	kindEnd
	kindLevel
	kindLoss
	kindUnknown // the first that this version does not know
)

// A name identifies an entry, also if it was submitted several times.
type name struct {
	session, counter uint64
}

// A header is the beginning of an entry.
type header struct {
	kind    kind
	flags   byte
	epoch   uint64
	name    name
	term    uint64
	checked uint64
	floor   int64
	count   int
	keyed   int
}

const (
	maxRecords = 4096
	maxEntry   = 512 << 10
	maxHeader  = 4 + 6 + 8 + 6*binary.MaxVarintLen64
)

var (
	errForeign = errors.New("shared: not an entry of this log")
	errFormat  = errors.New("shared: an entry of a newer version")
	errEntry   = errors.New("shared: a malformed entry")
)

func (h *header) append(b []byte) []byte {
	b = append(b, magic, format, byte(h.kind), h.flags)
	b = append(b, byte(h.epoch>>40), byte(h.epoch>>32))
	b = binary.BigEndian.AppendUint32(b, uint32(h.epoch))
	b = binary.BigEndian.AppendUint64(b, h.name.session)
	for _, v := range []uint64{h.name.counter, h.term, h.checked, uint64(h.floor), uint64(h.count), uint64(h.keyed)} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// readHeader returns an entry's header and body. The error is errForeign if somebody else
// wrote the entry, errFormat if a newer version did, and errEntry if it makes no sense.
func readHeader(b []byte) (h header, body []byte, err error) {
	if len(b) < 4+6+8 || b[0] != magic {
		return h, nil, errForeign
	}
	if b[1] != format {
		return h, nil, errFormat
	}
	h.kind, h.flags = kind(b[2]), b[3]
	h.epoch = uint64(binary.BigEndian.Uint16(b[4:]))<<32 | uint64(binary.BigEndian.Uint32(b[6:]))
	h.name.session = binary.BigEndian.Uint64(b[10:])
	r := reader{b: b[18:]}
	h.name.counter, h.term, h.checked = r.uint(), r.uint(), r.uint()
	h.floor = int64(r.uint())
	count, keyed := r.uint(), r.uint()
	if r.bad || count > maxRecords || keyed > count || h.floor < 0 {
		return h, nil, errEntry
	}
	h.count, h.keyed = int(count), int(keyed)
	return h, r.b, nil
}

// A reader takes an entry's body apart. After the first error all results are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes returns a byte string that begins with its length, and shares r's memory.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	var v []byte
	v, r.b = r.b[:n:n], r.b[n:]
	return v
}

func appendBytes[T string | []byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// unixNano returns 0 for the zero time, which stands for none.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func unixTime(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// Positions of events consist of the number of an entry and an index in it.
const indexBits = 16

func position(n uint64, index int) uint64 { return n<<indexBits | uint64(index) }

// endOf returns the last position of an entry.
func endOf(n uint64) uint64 { return (n+1)<<indexBits - 1 }

// entryOf returns the number of the entry that a position belongs to.
func entryOf(at uint64) uint64 { return at >> indexBits }
