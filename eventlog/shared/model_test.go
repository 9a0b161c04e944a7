package shared

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// A model is what entries mean, as plainly as possible: it remembers all of them, and looks
// at all of them for each verdict. It never begins anywhere but at the first entry.
type model struct {
	span    uint64
	keyed   int
	entries []modelEntry
	applied uint64
	time    int64
	epoch   uint64
	terms   []term
	level   uint64
	events  map[uint64]*eventlog.Event
	facts   map[string]*fact
	floor   uint64
	dropped int64
	purged  uint64
	trims   []uint64
	voids   int
	again   int // repetitions
	refused int // records that are no events
	lossy   []Loss
}

type modelEntry struct {
	n         uint64
	header    header
	keys      []string
	effective bool
}

func newModel(span uint64, keyed int) *model {
	return &model{span: span, keyed: keyed, events: map[uint64]*eventlog.Event{}, facts: map[string]*fact{}}
}

func (m *model) apply(e Entry) {
	m.applied = e.N
	m.time = max(m.time, e.Time.UnixNano())
	h, body, err := readHeader(e.Data)
	if err != nil {
		return
	}
	r := &reader{b: body}
	if m.epoch == 0 {
		t := r.term()
		t.branch = e.N - 1
		m.epoch, m.terms = h.epoch, []term{t}
		return
	}
	_, records, err := readRecords(&h, body)
	if err != nil {
		return
	}
	entry := modelEntry{n: e.N, header: h}
	for _, rec := range records {
		entry.keys = append(entry.keys, rec.Event.Key)
	}
	defer func() { m.entries = append(m.entries, entry) }()
	current := h.epoch == m.epoch && h.term == m.terms[len(m.terms)-1].number
	between := m.between(h.checked)
	sum := 0
	repeated := false
	for _, b := range between {
		sum += b.header.keyed
		repeated = repeated || b.header.name == h.name
	}
	void := !current || h.checked >= e.N || e.N-h.checked > m.span || sum > m.keyed
	switch {
	case (h.kind == kindTerm || h.kind == kindLevel || h.kind == kindLoss) && current:
		if !void && repeated {
			return
		}
	case void:
		m.voids++
		return
	case repeated:
		m.again++
		return
	}
	entry.effective = true
	switch h.kind {
	case kindEvents:
		for i, rec := range records {
			key := rec.Event.Key
			stands := slices.ContainsFunc(between, func(b modelEntry) bool { return b.effective && slices.Contains(b.keys, key) }) ||
				slices.Contains(entry.keys[:i], key)
			if key != "" && stands {
				m.refused++
				continue
			}
			rec.Event.ID = eventlog.ID{Lo: position(e.N, i)}
			rec.Event.Time = time.Unix(0, m.time)
			m.events[position(e.N, i)] = rec.Event
		}
	case kindDelete:
		for range h.count {
			if at := r.uint(); at < position(e.N, 0) {
				delete(m.events, at)
			}
		}
	case kindTrim:
		t := r.trim()
		if t.origin > m.floor {
			m.floor, m.dropped = t.origin, t.dropped
		}
		m.purged = max(m.purged, t.purge)
		m.trims = append(m.trims, e.N)
		maps.DeleteFunc(m.events, func(at uint64, _ *eventlog.Event) bool { return at <= m.floor })
	case kindTerm:
		t := r.term()
		if t.number <= m.terms[len(m.terms)-1].number || t.branch >= e.N {
			return
		}
		m.terms = slices.DeleteFunc(m.terms, func(o term) bool { return o.number > 0 && o.branch >= t.branch })
		m.terms = append(m.terms, t)
	case kindFact:
		for range h.count {
			key, f := string(r.bytes()), r.fact()
			switch old := m.facts[key]; {
			case f.at == 0:
				f.at, f.carrier = e.N, e.N
				m.facts[key] = f
			case old != nil && old.at == f.at:
				old.carrier = e.N
			}
		}
	case kindLevel:
		m.level = max(m.level, r.uint())
	case kindLoss:
		m.lossy = append(m.lossy, Loss{r.uint(), r.uint()})
	}
}

// between returns the entries after one.
func (m *model) between(checked uint64) []modelEntry {
	i, _ := slices.BinarySearchFunc(m.entries, checked+1, func(e modelEntry, n uint64) int { return int(int64(e.n) - int64(n)) })
	return m.entries[i:]
}

// key returns the position of the retained event with a key, or 0.
func (m *model) key(key string) uint64 {
	for at, e := range m.events {
		if e.Key == key {
			return at
		}
	}
	return 0
}

// id returns the ID of a position.
func (m *model) id(at uint64) (id eventlog.ID) {
	for _, t := range m.terms {
		if t.number == m.terms[0].number || at >= position(t.branch+1, 0) {
			id = eventlog.ID{Epoch: m.epoch, Hi: t.number, Lo: at}
		}
	}
	return id
}

func (m *model) digest() (s []string) {
	s = append(s, fmt.Sprint("entry ", m.applied, " time ", m.time, " epoch ", m.epoch, " terms ", m.terms, " level ", m.level,
		" floor ", m.floor, " dropped ", m.dropped, " purged ", m.purged))
	for _, at := range slices.Sorted(maps.Keys(m.events)) {
		e := m.events[at]
		s = append(s, fmt.Sprint(m.id(at), e.Time.UnixNano(), e.Record))
	}
	return append(s, factsDigest(m.facts, m.time)...)
}

func factsDigest(facts map[string]*fact, now int64) (s []string) {
	for _, key := range slices.Sorted(maps.Keys(facts)) {
		if f := facts[key]; f.live(now) {
			s = append(s, fmt.Sprint("fact ", key, "=", string(f.value), " until ", f.until, " at ", f.at, " carrier ", f.carrier))
		}
	}
	return s
}
