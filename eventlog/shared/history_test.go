package shared

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
)

// A history is a random sequence of entries, by authors that lag, and whose submissions are
// delayed, reordered and repeated.
type history struct {
	rng     *rand.Rand
	span    uint64
	keyed   int
	entries []Entry
	n       uint64 // the number of the last entry
	clock   int64
	full    *model
	authors []*author
	digests map[uint64][]string // the full model's state at each entry at which purged grew
	purges  map[uint64]uint64   // at these entries, to these
}

// An author has its own view of the sequence, which lags behind.
type author struct {
	session uint64
	counter uint64
	view    *model
	flight  [][]byte // submitted, and not there yet; or to be submitted again
}

func newHistory(seed uint64) *history {
	rng := rand.New(rand.NewPCG(seed, 0))
	h := &history{
		rng:     rng,
		span:    uint64(2 + rng.IntN(9)),
		keyed:   3 + rng.IntN(20),
		clock:   1_000_000_000_000,
		digests: map[uint64][]string{},
		purges:  map[uint64]uint64{},
	}
	h.full = newModel(h.span, h.keyed)
	for i := range 3 {
		h.authors = append(h.authors, &author{session: uint64(i + 1), view: newModel(h.span, h.keyed)})
	}
	first := header{kind: kindTerm, epoch: 7, name: name{99, 1}}
	h.push((&term{fence: "life 0"}).append(first.append(nil)))
	h.push((&term{fence: "life 0"}).append((&header{kind: kindTerm, epoch: 8, name: name{98, 1}}).append(nil))) // another node was late
	for range 60 + rng.IntN(240) {
		h.step(h.authors[rng.IntN(len(h.authors))])
	}
	return h
}

// push adds an entry to the sequence.
func (h *history) push(data []byte) {
	if h.n++; h.rng.IntN(30) == 0 {
		h.n += uint64(h.rng.IntN(3)) // a hole
	}
	if h.clock += int64(h.rng.IntN(50)) * 1e6; h.rng.IntN(40) == 0 {
		h.clock -= 3e9 // another server's clock
	}
	e := Entry{N: h.n, Time: time.Unix(0, h.clock), Data: data}
	h.entries = append(h.entries, e)
	before := h.full.purged
	h.full.apply(e)
	if h.full.purged > before {
		h.purges[e.N], h.digests[e.N] = h.full.purged, h.full.digest()
	}
}

func (h *history) step(a *author) {
	rng := h.rng
	lags := rng.IntN(3) == 0
	for i := range h.entries { // the author catches up, some way
		if e := h.entries[i]; e.N > a.view.applied {
			if lags && rng.IntN(4) == 0 {
				break
			}
			a.view.apply(e)
		}
	}
	if a.view.epoch == 0 {
		return
	}
	switch n := rng.IntN(20); {
	case n < 6:
		a.submit(h, kindEvents)
	case n < 12: // one of those in flight arrives, perhaps to come again
		if len(a.flight) > 0 {
			i := rng.IntN(len(a.flight))
			h.push(a.flight[i])
			if rng.IntN(3) > 0 {
				a.flight = slices.Delete(a.flight, i, i+1)
			}
		}
	case n < 14:
		a.submit(h, kindDelete)
	case n < 16:
		a.submit(h, kindFact)
	case n < 18:
		a.trim(h)
	case n == 18 && rng.IntN(4) == 0:
		a.submit(h, kindTerm)
	case rng.IntN(4) == 0:
		a.submit(h, kindLevel)
	case rng.IntN(6) == 0:
		h.push([]byte("not an entry of ours"))
	}
}

// submit composes an entry from what the author sees. It arrives at once or later.
func (a *author) submit(h *history, k kind) {
	rng, v := h.rng, a.view
	a.counter++
	hd := a.header(k)
	var body []byte
	switch k {
	case kindEvents:
		for range 1 + rng.IntN(3) {
			r := eventlog.Record{Topics: []string{fmt.Sprint("t", rng.IntN(3))}, Data: fmt.Append(nil, a.session, "/", a.counter, "/", hd.count)}
			if k := rng.IntN(7); k > 2 {
				r.Key = fmt.Sprint("key", k)
				if v.key(r.Key) != 0 {
					continue // answered from the copy
				}
				hd.keyed++
			}
			body = appendBytes(body, disklog.AppendRecord(nil, &r))
			hd.count++
		}
	case kindDelete:
		for at := range v.events {
			if hd.count++; hd.count > 2 {
				hd.count--
				break
			}
			body = binary.AppendUvarint(body, at)
		}
	case kindFact:
		f := fact{value: fmt.Append(nil, a.session, "/", a.counter)}
		switch rng.IntN(4) {
		case 0:
			f.removed = true
		case 1:
			f.until = v.time + int64(rng.IntN(4000))*1e6
		}
		hd.count = 1
		body = appendFact(nil, fmt.Sprint("fact", rng.IntN(5)), f)
	case kindTerm:
		t := term{number: v.terms[len(v.terms)-1].number + 1 + uint64(rng.IntN(2)), fence: fmt.Sprint("life ", rng.IntN(9)),
			branch: v.applied - min(v.applied, uint64(rng.IntN(6)))}
		body = t.append(nil)
	case kindLevel:
		body = binary.AppendUvarint(nil, uint64(rng.IntN(100)))
	}
	switch rng.IntN(30) {
	case 0:
		hd.term++ // the author comes from a life that was lost
	case 1:
		hd.epoch++
	}
	entry := append(hd.append(nil), body...)
	if rng.IntN(3) == 0 {
		h.push(entry)
		if rng.IntN(3) > 0 {
			return
		}
	}
	a.flight = append(a.flight, entry)
}

func (a *author) header(k kind) header {
	return header{kind: k, flags: critical, epoch: a.view.epoch, name: name{a.session, a.counter},
		term: a.view.terms[len(a.view.terms)-1].number, checked: a.view.applied, floor: a.view.time}
}

// trim moves the origin, or carries facts so that the sequence can be cut.
func (a *author) trim(h *history) {
	v := a.view
	s := state{purged: v.purged, trims: v.trims, facts: v.facts, time: v.time}
	back := uint64(h.rng.IntN(30))
	if v.applied <= back {
		return
	}
	t := trim{origin: position(v.applied-back, h.rng.IntN(3)), dropped: v.time, level: v.level, terms: v.terms}
	t.purge = s.purgeable(t.origin, h.span)
	a.counter++
	if carry := s.toCarry(t.purge+2*h.span, 3); t.purge > v.purged && len(carry) > 0 {
		hd := a.header(kindFact)
		var body []byte
		for _, key := range slices.Sorted(maps.Keys(carry)) {
			f := carry[key]
			body = appendFact(body, key, fact{value: f.value, until: f.until, at: f.at})
			hd.count++
		}
		h.push(append(hd.append(nil), body...))
		return
	}
	hd := a.header(kindTrim)
	h.push(t.append(hd.append(nil)))
}
