package disklog

import (
	"crypto/sha256"
	"encoding/binary"
)

// The keys of the store. A position is 8 bytes, big endian, so that keys are sorted
// in the order of the log.
//
//	e position             an event, or a tombstone
//	t hash position        an event of the topic
//	p hash position        an event, or a tombstone, with the publisher's id
//	k hash                 the position of the event with that idempotency key
//	c hash                 the tally of the topic
//	m "state"              the state
//	m "meta"               the meta
//	m "scrub"              nothing; see writer.scrub
//
// Hashes are the first half of SHA-256. Reads compare the event that a hash leads to with
// the name, so two names with the same hash cost time but never return a wrong event.
// There are three exceptions: of two keys with the same hash, the second is refused as
// reused; two such topics share one tally; and a tombstone has only the hash to compare.
// Names are not part of keys, because the store records keys in places that a deletion
// does not reach.
const (
	eventSpace     = 'e'
	topicSpace     = 't'
	publisherSpace = 'p'
	keySpace       = 'k'
	tallySpace     = 'c'
	metaSpace      = 'm'
)

var (
	stateKey = []byte("mstate")
	metaKey  = []byte("mmeta")
	scrubKey = []byte("mscrub")
)

type hash [16]byte

func hashOf(s string) hash {
	sum := sha256.Sum256([]byte(s))
	return hash(sum[:16])
}

func eventKey(dst []byte, at uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, eventSpace), at)
}

func indexKey(dst []byte, space byte, h hash, at uint64) []byte {
	return binary.BigEndian.AppendUint64(append(append(dst, space), h[:]...), at)
}

func hashKey(dst []byte, space byte, h hash) []byte {
	return append(append(dst, space), h[:]...)
}

// position returns the position at the end of an event's or an index's key.
func position(key []byte) uint64 {
	return binary.BigEndian.Uint64(key[len(key)-8:])
}
