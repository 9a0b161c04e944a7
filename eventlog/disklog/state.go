package disklog

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// formatVersion is the version of the store's keys and values.
const formatVersion = 2

// meta is written when the log is created, and again for a new epoch.
type meta struct {
	version, epoch uint64
}

// state is the log's record of itself. It is part of every commit, so it always matches
// the events in the store.
type state struct {
	origin   uint64 // the position just before the oldest retained event
	last     uint64 // the newest position assigned, or origin
	reserved uint64 // no process has assigned a position beyond this
	events   int64
	tombs    int64 // tombstones; not included in events
	bytes    int64
	newest   int64  // the time of the event at last, Unix nanoseconds
	trimmed  int64  // the time of the newest event dropped, Unix nanoseconds; 0: none
	tallied  uint64 // the position up to which the tallies include events
}

var errState = errors.New("the log's own record is unreadable")

func (s *state) encode() []byte {
	return appendUint64s(nil, s.origin, s.last, s.reserved, uint64(s.events), uint64(s.tombs),
		uint64(s.bytes), uint64(s.newest), uint64(s.trimmed), s.tallied)
}

func (s *state) decode(b []byte) error {
	var v [9]uint64
	if !readUint64s(b, v[:]) {
		return errState
	}
	*s = state{v[0], v[1], v[2], int64(v[3]), int64(v[4]), int64(v[5]), int64(v[6]), int64(v[7]), v[8]}
	if s.last < s.origin || s.reserved < s.last || s.tallied > s.last || s.events < 0 || s.tombs < 0 || s.bytes < 0 ||
		uint64(s.events+s.tombs) > s.last-s.origin {
		return errState
	}
	return nil
}

func (m *meta) encode() []byte { return appendUint64s(nil, m.version, m.epoch) }

func (m *meta) decode(b []byte) error {
	var v [2]uint64
	if !readUint64s(b, v[:]) {
		return errState
	}
	*m = meta{v[0], v[1]}
	return nil
}

// A tally counts the retained events of a topic. The store keeps it as a sum of changes,
// so that a commit adds to it without reading it. Appended events are added later, many
// at once (see [writer.settle]).
type tally struct {
	topic         string
	events, bytes int64
	last          uint64 // the topic's newest position; 0 in a change leaves it as it is
}

func (t tally) encode() []byte {
	b := binary.AppendVarint(make([]byte, 0, 16+len(t.topic)), t.events)
	b = binary.AppendVarint(b, t.bytes)
	b = binary.AppendUvarint(b, t.last)
	return append(b, t.topic...)
}

func decodeTally(b []byte) (t tally, err error) {
	var n, m, k int
	if t.events, n = binary.Varint(b); n > 0 {
		if t.bytes, m = binary.Varint(b[n:]); m > 0 {
			t.last, k = binary.Uvarint(b[n+m:])
		}
	}
	if k <= 0 {
		return tally{}, errState
	}
	t.topic = string(b[n+m+k:])
	return t, nil
}

// then returns the change t followed by the change u.
func (t tally) then(u tally) tally {
	if u.last != 0 {
		t.last = u.last
	}
	t.topic = u.topic
	t.events += u.events
	t.bytes += u.bytes
	return t
}

// tallies is the merge operator that sums changes. A tally without events stays until
// sweepTallies: pebble 2.1.7 panics in a compaction when a merger reports that the value
// is to be deleted.
var tallies = &pebble.Merger{
	Name: "tidings.tally.1",
	Merge: func(_, value []byte) (pebble.ValueMerger, error) {
		t, err := decodeTally(value)
		return &tallyMerger{t}, err
	},
}

type tallyMerger struct{ sum tally }

func (m *tallyMerger) MergeNewer(value []byte) error {
	t, err := decodeTally(value)
	m.sum = m.sum.then(t)
	return err
}

func (m *tallyMerger) MergeOlder(value []byte) error {
	t, err := decodeTally(value)
	m.sum = t.then(m.sum)
	return err
}

func (m *tallyMerger) Finish(bool) ([]byte, io.Closer, error) {
	return m.sum.encode(), nil, nil
}

func appendUint64s(b []byte, vs ...uint64) []byte {
	for _, v := range vs {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

func readUint64s(b []byte, vs []uint64) bool {
	if len(b) != 8*len(vs) {
		return false
	}
	for i := range vs {
		vs[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return true
}
