package disklog

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
	"unsafe"

	"github.com/tidings-sse/tidings/eventlog"
)

// An event's value is
//
//	kind       1 byte: kindEvent or kindTomb
//	time       8 bytes: Unix time in nanoseconds, big endian
//	key        a string: its length as a uvarint, then its bytes
//	private    1 byte, 0 or 1
//	retry      uvarint, nanoseconds
//	topics     uvarint, then strings
//	type       a string
//	publisher  a string
//	data       what is left
//
// and a tombstone's is, after the time, either nothing or the hash of the publisher's
// id. A record has only one encoding, so equal records have equal bytes after the time.
// The store adds checksums of its own.
const (
	kindEvent = 1
	kindTomb  = 2

	valueHeader = 1 + 8
)

var errEncoding = errors.New("not an event's encoding")

// tombstone returns what remains of a deleted record: a record without topics, whose
// PublisherID holds the bytes of the id's hash.
func tombstone(r *eventlog.Record) *eventlog.Record {
	if r.PublisherID == "" {
		return new(eventlog.Record)
	}
	h := hashOf(r.PublisherID)
	return &eventlog.Record{PublisherID: string(h[:])}
}

func isTombstone(r *eventlog.Record) bool { return len(r.Topics) == 0 }

// publisherHash returns the hash by which a record with a publisher's id is indexed.
func publisherHash(r *eventlog.Record) hash {
	if isTombstone(r) {
		return hash([]byte(r.PublisherID))
	}
	return hashOf(r.PublisherID)
}

// encode returns the value of a record or a tombstone, with a zero time; see stamp.
func encode(r *eventlog.Record) []byte { return appendValue(make([]byte, 0, roomFor(r)), r) }

// roomFor returns an upper bound of the length of a record's value.
func roomFor(r *eventlog.Record) int {
	n := valueHeader + 1 + 7*binary.MaxVarintLen64 + len(r.Key) + len(r.Type) + len(r.PublisherID) + len(r.Data)
	for _, t := range r.Topics {
		n += binary.MaxVarintLen32 + len(t)
	}
	return n
}

func appendValue(b []byte, r *eventlog.Record) []byte {
	untimed := [valueHeader]byte{kindOf(r)}
	return appendBody(append(b, untimed[:]...), r)
}

func kindOf(r *eventlog.Record) byte {
	if isTombstone(r) {
		return kindTomb
	}
	return kindEvent
}

// appendBody appends what follows the time in a value.
func appendBody(b []byte, r *eventlog.Record) []byte {
	if isTombstone(r) {
		return append(b, r.PublisherID...)
	}
	b = appendString(b, r.Key)
	private := byte(0)
	if r.Private {
		private = 1
	}
	b = append(b, private)
	b = binary.AppendUvarint(b, uint64(r.Retry))
	b = binary.AppendUvarint(b, uint64(len(r.Topics)))
	for _, t := range r.Topics {
		b = appendString(b, t)
	}
	b = appendString(b, r.Type)
	b = appendString(b, r.PublisherID)
	return append(b, r.Data...)
}

func stamp(value []byte, nanos int64) {
	binary.BigEndian.PutUint64(value[1:], uint64(nanos))
}

// stamped returns a value's time.
func stamped(value []byte) (int64, error) {
	if len(value) < valueHeader {
		return 0, errEncoding
	}
	return int64(binary.BigEndian.Uint64(value[1:])), nil
}

// decode parses a value into an event that shares no memory with value. The event
// refers to a single copy, of which callers can only modify the part in Data.
func decode(value []byte, id eventlog.ID) (*eventlog.Event, error) {
	nanos, err := stamped(value)
	if err != nil {
		return nil, err
	}
	return decodeBody(value[0], value[valueHeader:], nanos, id)
}

func decodeBody(kind byte, body []byte, nanos int64, id eventlog.ID) (_ *eventlog.Event, err error) {
	one := &struct {
		eventlog.Event
		topic [1]string
	}{Event: eventlog.Event{ID: id, Time: time.Unix(0, nanos)}}
	e := &one.Event
	b := slices.Clone(body)
	if kind == kindTomb && (len(b) == 0 || len(b) == len(hash{})) {
		e.PublisherID = string(b)
		return e, nil
	}
	if kind != kindEvent {
		return nil, errEncoding
	}
	if e.Key, b, err = cutString(b); err != nil {
		return nil, err
	}
	if len(b) == 0 || b[0] > 1 {
		return nil, errEncoding
	}
	e.Private = b[0] == 1
	retry, b, err := cutUvarint(b[1:])
	if err != nil {
		return nil, err
	}
	e.Retry = time.Duration(retry)
	n, b, err := cutUvarint(b)
	if err != nil || n == 0 || n > uint64(len(b)) { // each topic takes at least a byte
		return nil, errEncoding
	}
	if e.Topics = one.topic[:]; n != 1 {
		e.Topics = make([]string, n)
	}
	for i := range e.Topics {
		if e.Topics[i], b, err = cutString(b); err != nil {
			return nil, err
		}
	}
	if e.Type, b, err = cutString(b); err != nil {
		return nil, err
	}
	if e.PublisherID, b, err = cutString(b); err != nil {
		return nil, err
	}
	e.Data = b
	return e, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// cutString returns a string that is part of b.
func cutString(b []byte) (string, []byte, error) {
	n, b, err := cutUvarint(b)
	if err != nil || n > uint64(len(b)) {
		return "", nil, errEncoding
	}
	return unsafe.String(unsafe.SliceData(b), n), b[n:], nil
}

func cutUvarint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, errEncoding
	}
	return v, b[n:], nil
}

// sizeOf returns what an event or a tombstone counts against the byte limit: its value,
// key and index entries, before the store compresses them.
func sizeOf(valueLen int, e *eventlog.Record) int64 {
	n := valueLen + 9
	n += 25 * len(e.Topics)
	if e.PublisherID != "" {
		n += 25
	}
	if e.Key != "" {
		n += 25
	}
	return int64(n)
}
