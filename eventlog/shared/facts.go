package shared

import (
	"encoding/binary"

	"github.com/tidings-sse/tidings/eventlog/disklog"
)

// A fact is a value that all nodes know under a key. An entry either puts it, or carries it:
// repeats it, so that the entry that put it can be trimmed.
//
// A node that begins with a trim cannot judge the next span entries exactly. It ignores
// facts that are put in these, and facts that are carried by entries whose checked is among
// these. So before a trim lets nodes begin with an earlier one, its author carries all facts that
// stand in the 2·span entries after that one, or before.
type fact struct {
	value   []byte
	until   int64 // Unix nanoseconds, by the log's time; 0: no end
	removed bool

	at      uint64 // the entry that put it; in an entry, 0 means that the entry puts it
	carrier uint64 // the last entry that put or carried it
}

func (f *fact) live(now int64) bool { return !f.removed && (f.until == 0 || f.until > now) }

// A fact's encoding is at, carrier (0 in entries), until, whether it was removed (0 or 1), and its
// value, a byte string.
func (f *fact) append(b []byte) []byte {
	removed := uint64(0)
	if f.removed {
		removed = 1
	}
	for _, v := range []uint64{f.at, f.carrier, uint64(f.until), removed} {
		b = binary.AppendUvarint(b, v)
	}
	return appendBytes(b, f.value)
}

func (r *reader) fact() *fact {
	f := &fact{at: r.uint(), carrier: r.uint(), until: int64(r.uint()), removed: r.uint() == 1}
	f.value = append([]byte{}, r.bytes()...)
	return f
}

// factOverhead is about how many bytes a fact takes beyond its key and value.
const factOverhead = 160

func factSize(key string, value []byte) int64 { return int64(len(key) + len(value) + factOverhead) }

// setFact puts f in the place of the fact with the key; nil removes it.
func (s *state) setFact(key string, f *fact) {
	if old := s.facts[key]; old != nil {
		s.factBytes -= factSize(key, old.value)
	}
	if f == nil {
		delete(s.facts, key)
		return
	}
	s.facts[key] = f
	s.factBytes += factSize(key, f.value)
}

// applyFact is what a fact in entry n does. It reports whether the fact with the key has changed.
func (s *state) applyFact(n, span uint64, h *header, key string, f *fact) (changed bool) {
	lead := uint64(0) // the last entry that cannot be judged exactly
	if !s.whole {
		lead = s.first - 1 + span
	}
	old := s.facts[key]
	switch {
	case f.at == 0 && n <= lead, f.at != 0 && h.checked < lead, f.at > n:
		return false
	case f.at == 0:
		f.at = n
	case old != nil && old.at > f.at:
		return false
	case old != nil && old.at == f.at:
		old.carrier = max(old.carrier, n)
		return true
	}
	f.carrier = n
	s.setFact(key, f)
	return true
}

// sweepFacts forgets dead facts that no entry can carry any more.
func (s *state) sweepFacts(n, span uint64) (notes []disklog.Note) {
	for key, f := range s.facts {
		if !f.live(s.time) && f.at+span < n {
			s.setFact(key, nil)
			notes = append(notes, disklog.Note{Key: factPrefix + key})
		}
	}
	return notes
}

// toCarry returns live facts that stand in no entry after one, but at most some.
func (s *state) toCarry(after uint64, most int) map[string]*fact {
	found := map[string]*fact{}
	for key, f := range s.facts {
		if f.carrier <= after && f.live(s.time) {
			if found[key] = f; len(found) == most {
				break
			}
		}
	}
	return found
}
