package shared

import "crypto/sha256"

// Defaults of what a rule looks back on; all nodes of a log must use the same.
const (
	span  = 1024    // entries
	keyed = 1 << 18 // records with a key
)

// A hash stands for a record's key.
type hash [16]byte

func hashOf(key string) hash {
	sum := sha256.Sum256([]byte(key))
	return hash(sum[:16])
}

// A verdict is what the rules say of an entry.
type verdict byte

const (
	effective verdict = iota
	void              // the author submits its records anew
	repeated          // the same submission stands before it
)

// rules remember the entries on which the verdict of the next one may depend; see the
// package's documentation. Their content is a function of the last 2·span entries, and
// exact for entries whose checked is not before those.
type rules struct {
	span  uint64
	keyed int // at most this many records with keys are remembered, void and repeated ones included

	entries []seen // ascending
	dropped uint64 // the newest entry that is no longer remembered
	sum     int    // of the entries' keyed records
	names   map[name]uint64
	keys    map[hash]uint64 // the last entry that a key stands in
}

// A seen is an entry that the rules remember.
type seen struct {
	n     uint64
	name  name
	keyed int
	keys  []hash // none if the entry is void or a repetition
}

func newRules(span uint64, keyed int) *rules {
	return &rules{span: span, keyed: keyed, names: map[name]uint64{}, keys: map[hash]uint64{}}
}

// judge returns the verdict of entry n, and remembers the entry. current says whether
// its epoch and term are the current ones. news[i] reports whether the record with the
// i-th key is the first with it: an event. It is nil if the entry has no effect.
func (r *rules) judge(n uint64, h *header, current bool, keys []hash) (v verdict, news []bool) {
	r.expire(n)
	s := seen{n: n, name: h.name, keyed: len(keys)}
	last, known := r.names[h.name]
	switch {
	case !current || h.checked >= n || n-h.checked > r.span || h.checked < r.dropped:
		v = void
	case known && last > h.checked:
		v = repeated
	default:
		s.keys = keys
		news = make([]bool, len(keys))
		for i, k := range keys {
			at, known := r.keys[k]
			news[i] = !known || at <= h.checked
			r.keys[k] = n
		}
	}
	r.names[h.name] = n
	r.entries = append(r.entries, s)
	r.sum += s.keyed
	return v, news
}

// expire forgets what no verdict from entry n on can depend on.
func (r *rules) expire(n uint64) {
	i := 0
	for ; i < len(r.entries); i++ {
		s := &r.entries[i]
		if r.sum <= r.keyed && n-s.n < r.span {
			break
		}
		r.dropped = s.n
		r.sum -= s.keyed
		if r.names[s.name] == s.n {
			delete(r.names, s.name)
		}
		for _, k := range s.keys {
			if r.keys[k] == s.n {
				delete(r.keys, k)
			}
		}
		*s = seen{} // the array lives on
	}
	r.entries = r.entries[i:]
}
