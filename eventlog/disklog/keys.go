package disklog

import (
	"crypto/sha256"
	"encoding/binary"
)

// The keys of the store. A position is 8 bytes, big endian, so that the order
// of keys is the order of the log.
//
//	e position             an event, or a tombstone
//	t hash position        an event of the topic
//	p hash position        an event, or a tombstone, with the publisher's id
//	k hash                 the position of the event with that idempotency key
//	c hash                 what is retained of the topic; see tally
//	m "state"              see state
//	m "meta"               see meta
//	m "scrub"              nothing; see rewrite
//
// Hashes are the first half of SHA-256. Whoever follows one to an event compares
// it with what was asked for, so that two names with one hash would cost time,
// not truth; two topics would be one in the list of topics, and of a tombstone
// there is nothing else to compare. No name is part of a key, because the store
// notes keys where a deletion does not reach.
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

// position is what an event's or an index key ends with.
func position(key []byte) uint64 {
	return binary.BigEndian.Uint64(key[len(key)-8:])
}
