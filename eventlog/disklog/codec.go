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
//	kind       1 byte: kindEvent or kindTomb, which ends after the time
//	time       8 bytes: Unix time in nanoseconds, big endian
//	key        a string: its length as a uvarint, then its bytes
//	private    1 byte, 0 or 1
//	retry      uvarint, nanoseconds
//	topics     uvarint, then strings
//	type       a string
//	publisher  a string
//	data       what is left
//
// There is one way to write a record, so equal records are equal bytes after
// the time. The store below has checksums of its own.
const (
	kindEvent = 1
	kindTomb  = 2

	valueHeader = 1 + 8
)

var errEncoding = errors.New("not an event's encoding")

// encode returns r's value. Its time is stamped on later.
func encode(r *eventlog.Record) []byte {
	n := valueHeader + 1 + 7*binary.MaxVarintLen64 + len(r.Key) + len(r.Type) + len(r.PublisherID) + len(r.Data)
	for _, t := range r.Topics {
		n += binary.MaxVarintLen32 + len(t)
	}
	b := make([]byte, valueHeader, n)
	b[0] = kindEvent
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

func encodeTomb(nanos int64) []byte {
	b := make([]byte, valueHeader)
	b[0] = kindTomb
	stamp(b, nanos)
	return b
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

// decode reads what encode wrote into an event that shares no memory with
// value; a tombstone is an event without topics. All that the event refers to
// is in one copy, of which nothing but Data could ever be written to.
func decode(value []byte, id eventlog.ID) (*eventlog.Event, error) {
	nanos, err := stamped(value)
	if err != nil {
		return nil, err
	}
	one := &struct {
		eventlog.Event
		topic [1]string
	}{Event: eventlog.Event{ID: id, Time: time.Unix(0, nanos)}}
	e := &one.Event
	b := slices.Clone(value[valueHeader:])
	if value[0] == kindTomb && len(b) == 0 {
		return e, nil
	}
	if value[0] != kindEvent {
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
	if err != nil || n == 0 || n > uint64(len(b)) { // each takes a byte at least
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

// sizeOf is what an event with that value counts against the byte limit: the
// value, its key, and the index entries, before the store compresses them.
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

// tombSize is what a tombstone counts.
const tombSize = valueHeader + 9
