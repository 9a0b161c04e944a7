package shared

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
)

// state is what the sequence determines besides the events and the rules' memory. The copy
// keeps it, as notes.
type state struct {
	epoch uint64
	time  int64 // of the last entry, Unix nanoseconds

	// first is the entry with which this copy begins. whole says that it is also the
	// sequence's first; otherwise it is a trim, and facts follow the rules of facts.go.
	first uint64
	whole bool

	terms   []term   // never none, ascending by number and branch
	changes []change // of the term; those that rules may depend on

	level   uint64
	trims   []uint64 // entries that another node may begin with, ascending
	purged  uint64   // up to here entries may be trimmed
	floor   uint64   // the origin that trims have asked for
	dropped int64    // the time of the newest event up to there; 0: none
	losses  []Loss

	facts     map[string]*fact
	factBytes int64
	swept     uint64 // the entry at which dead facts were last forgotten; not in the copy, as only memory depends on it
}

// A term is a life of the engine, or several that the nodes could not tell apart.
type term struct {
	number uint64
	branch uint64 // the last entry before the term
	fence  string
}

// A change is a term entry that took effect.
type change struct {
	n      uint64 // the entry's number
	number uint64 // the term's
}

// A Loss is a number of entries that the engine had acknowledged and then lost. The numbers
// after Branch were assigned again.
type Loss struct {
	Branch  uint64 // the last entry before those lost
	Entries uint64 // how many were lost, as far as a node had seen them
}

// maxRows bounds the rows of each list of the state. Older ones are dropped: positions of a term
// that was dropped then count as lost, as they do when retention has passed them.
const maxRows = 64

// maxTrims bounds the trims that are remembered. Every second one is dropped beyond that, so that the
// sequence is cut later than it could be.
const maxTrims = 1 << 10

func (s *state) term() *term { return &s.terms[len(s.terms)-1] }

// termAt returns the number of the term that was current before entry n.
func (s *state) termAt(n uint64) uint64 {
	for _, c := range slices.Backward(s.changes) {
		if c.n < n {
			return c.number
		}
	}
	return 0
}

// begin is a term entry's effect. Terms that began after its branch have no positions any
// more.
func (s *state) begin(n uint64, t term) {
	keep := len(s.terms)
	for keep > 1 && s.terms[keep-1].branch >= t.branch {
		keep--
	}
	s.terms = append(slices.Clip(s.terms[:keep]), t)
	if len(s.terms) > maxRows {
		s.terms = slices.Delete(s.terms, 0, len(s.terms)-maxRows)
	}
	s.changes = append(s.changes, change{n, t.number})
	if len(s.changes) > maxRows {
		s.changes = slices.Delete(s.changes, 0, len(s.changes)-maxRows)
	}
}

// positions returns the terms as the copy needs them.
func (s *state) positions() (terms []disklog.Term) {
	for _, t := range s.terms {
		terms = append(terms, disklog.Term{Number: t.number, From: position(t.branch+1, 0)})
	}
	terms[0].From = 0
	return terms
}

// id returns the ID of a position.
func (s *state) id(at uint64) eventlog.ID {
	i := len(s.terms) - 1
	for i > 0 && at < position(s.terms[i].branch+1, 0) {
		i--
	}
	return eventlog.ID{Epoch: s.epoch, Hi: s.terms[i].number, Lo: at}
}

// A life is what an entry's epoch and term must be.
type life struct{ epoch, term uint64 }

func (s *state) life() life { return life{s.epoch, s.term().number} }

func (s *state) trimmed(n uint64, t *trim) {
	if t.origin > s.floor {
		s.floor, s.dropped = t.origin, t.dropped
	}
	s.purged = max(s.purged, t.purge)
	s.level = max(s.level, t.level)
	s.trims = append(s.trims, n)
	s.trims = slices.DeleteFunc(s.trims, func(n uint64) bool { return n <= s.purged })
	if len(s.trims) > maxTrims {
		for i := range len(s.trims) / 2 {
			s.trims[i] = s.trims[2*i]
		}
		s.trims = s.trims[:len(s.trims)/2]
	}
}

func (s *state) lost(l Loss) {
	if n := len(s.losses); n > 0 && s.losses[n-1].Branch == l.Branch { // another node has lost the same
		s.losses[n-1].Entries = max(s.losses[n-1].Entries, l.Entries)
		return
	}
	s.losses = append(s.losses, l)
	if len(s.losses) > maxRows {
		s.losses = slices.Delete(s.losses, 0, len(s.losses)-maxRows)
	}
}

// Notes of the copy: one with the state, and one for each fact.
const (
	stateNote  = "s"
	factPrefix = "f"
)

func (s *state) note() disklog.Note {
	b := []byte{0}
	if s.whole {
		b[0] = 1
	}
	for _, v := range []uint64{s.first, s.level, s.purged, s.floor, uint64(s.dropped)} {
		b = binary.AppendUvarint(b, v)
	}
	b = appendTerms(b, s.terms)
	b = binary.AppendUvarint(b, uint64(len(s.changes)))
	for _, c := range s.changes {
		b = binary.AppendUvarint(binary.AppendUvarint(b, c.n), c.number)
	}
	b = binary.AppendUvarint(b, uint64(len(s.trims)))
	for _, n := range s.trims {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(s.losses)))
	for _, l := range s.losses {
		b = binary.AppendUvarint(binary.AppendUvarint(b, l.Branch), l.Entries)
	}
	return disklog.Note{Key: stateNote, Value: b}
}

// load reads a note.
func (s *state) load(n disklog.Note) error {
	r := reader{b: n.Value}
	if key, ok := strings.CutPrefix(n.Key, factPrefix); ok {
		f := r.fact()
		if r.bad {
			return errEntry
		}
		s.setFact(key, f)
		return nil
	}
	if n.Key != stateNote || len(r.b) == 0 {
		return errEntry
	}
	s.whole, r.b = r.b[0] == 1, r.b[1:]
	s.first, s.level, s.purged, s.floor, s.dropped = r.uint(), r.uint(), r.uint(), r.uint(), int64(r.uint())
	s.terms = r.terms()
	for range r.uint() {
		s.changes = append(s.changes, change{r.uint(), r.uint()})
		if r.bad {
			return errEntry
		}
	}
	for range r.uint() {
		s.trims = append(s.trims, r.uint())
		if r.bad {
			return errEntry
		}
	}
	for range r.uint() {
		s.losses = append(s.losses, Loss{r.uint(), r.uint()})
		if r.bad {
			return errEntry
		}
	}
	if r.bad || len(s.terms) == 0 {
		return errEntry
	}
	return nil
}

// A term's encoding is its number, its branch, and its fence, a byte string.
func (t *term) append(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, t.number), t.branch)
	return appendBytes(b, t.fence)
}

func (r *reader) term() term {
	return term{number: r.uint(), branch: r.uint(), fence: string(r.bytes())}
}

// Terms are encoded as their number and then each.
func appendTerms(b []byte, terms []term) []byte {
	b = binary.AppendUvarint(b, uint64(len(terms)))
	for i := range terms {
		b = terms[i].append(b)
	}
	return b
}

func (r *reader) terms() (terms []term) {
	n := r.uint()
	if n > maxRows {
		r.bad = true
		return nil
	}
	for range n {
		terms = append(terms, r.term())
	}
	return terms
}

// A trim is the body of a trim entry: what its author wants to be dropped, and what a node needs
// that begins with the entry.
type trim struct {
	origin  uint64 // the last position to drop
	dropped int64  // the time of the newest event up to there; 0: none
	purge   uint64 // the last entry that no node needs any more
	level   uint64
	terms   []term
}

func (t *trim) append(b []byte) []byte {
	for _, v := range []uint64{t.origin, uint64(t.dropped), t.purge, t.level} {
		b = binary.AppendUvarint(b, v)
	}
	return appendTerms(b, t.terms)
}

func (r *reader) trim() trim {
	return trim{origin: r.uint(), dropped: int64(r.uint()), purge: r.uint(), level: r.uint(), terms: r.terms()}
}
