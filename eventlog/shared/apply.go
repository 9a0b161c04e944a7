package shared

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
)

// An applier applies entries to a copy. It does nothing but what follows from the entries:
// all nodes that apply the same entries get the same state.
type applier struct {
	copy  *disklog.Log
	span  uint64
	keyed int
	rules *rules
	ended func(filter []byte, at time.Time) // called with each end entry; nil: nothing

	fence   string       // the engine's life that the entries are of
	changed []factChange // since the watchers were notified

	foreign atomic.Int64 // entries that were not understood

	mu    sync.RWMutex // guards state: apply writes it, others read it
	state state
}

func newApplier(c *disklog.Log, span uint64, keyed int) *applier {
	a := &applier{copy: c, span: span, keyed: keyed}
	a.reset()
	return a
}

// reset forgets everything but the copy.
func (a *applier) reset() {
	a.rules = newRules(a.span, a.keyed)
	a.mu.Lock()
	a.state = state{facts: map[string]*fact{}}
	a.mu.Unlock()
}

// load reads the state that the copy has. The rules need the entries from which reports on.
func (a *applier) load(ctx context.Context) error {
	a.reset()
	at := a.copy.Applied()
	if at.Entry == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.state
	s.epoch, s.time = a.copy.Epoch(), at.Time.UnixNano()
	for n, err := range a.copy.Notes(ctx) {
		if err == nil {
			err = s.load(n)
		}
		if err != nil {
			return fmt.Errorf("shared: note %q of the copy: %w", n.Key, err)
		}
	}
	if len(s.terms) == 0 {
		return fmt.Errorf("shared: the copy has no state: %w", errEntry)
	}
	return nil
}

// lead returns the entry with which the rules' memory must begin before the entry after
// applied can be judged.
func (a *applier) lead(applied uint64) uint64 {
	return max(a.state.first, applied-min(applied, 2*a.span)+1)
}

// observe gives the rules an entry that the copy has applied already.
func (a *applier) observe(e *Entry) {
	h, body, err := readHeader(e.Data)
	if err != nil {
		return
	}
	keys, _, err := readRecords(&h, body)
	if err != nil {
		return
	}
	a.rules.judge(e.N, &h, h.epoch == a.state.epoch && h.term == a.state.termAt(e.N), keys)
}

// An outcome is what became of an entry.
type outcome struct {
	n       uint64
	name    name
	verdict verdict
	events  []bool // of the records of events; whether each is one
	buried  int
	term    bool // a new term began
}

var (
	errNewer = errors.New("shared: an entry can only be understood by a newer version; upgrade this node")

	// errStart reports that no entry so far is one that a node can begin with.
	errStart = errors.New("shared: the sequence does not begin with a trim")
)

// apply applies entries. An error means that the copy can no longer be relied on, except
// errNewer: then all entries before the one in question were applied.
func (a *applier) apply(ctx context.Context, entries []Entry) (outcomes []outcome, err error) {
	var changes []disklog.Change
	var newer error
	for i := range entries {
		c, o, err := a.one(ctx, &entries[i])
		switch {
		case errors.Is(err, errStart):
			continue
		case errors.Is(err, errNewer):
			newer = fmt.Errorf("entry %d: %w", entries[i].N, err)
		case err != nil:
			return nil, err
		}
		if newer != nil {
			break
		}
		changes, outcomes = append(changes, c), append(outcomes, o)
	}
	if err := a.copy.Apply(ctx, changes); err != nil {
		return nil, err
	}
	for i := range changes {
		outcomes[i].buried = changes[i].Buried
	}
	return outcomes, newer
}

// A factChange is a fact that was put or removed.
type factChange struct {
	key  string
	fact fact
}

// identity is what a mark keeps of an entry, to recognize it. It is the same after Replace.
func identity(data []byte) (id [16]byte) {
	h, _, err := readHeader(data)
	if err != nil {
		sum := sha256.Sum256(data)
		return [16]byte(sum[:16])
	}
	binary.BigEndian.PutUint64(id[:], h.name.session)
	binary.BigEndian.PutUint64(id[8:], h.name.counter)
	return id
}

// These bits follow the identity in an entry's mark.
const (
	plain     = 1 << iota // it did nothing but add events
	unsettled             // when it was applied, the term was that of another life of the engine
)

// one judges an entry, and returns what it changes in the copy.
func (a *applier) one(ctx context.Context, e *Entry) (c disklog.Change, o outcome, err error) {
	id := identity(e.Data)
	c = disklog.Change{Entry: e.N, Mark: append(id[:], plain)}
	h, body, err := readHeader(e.Data)
	if errors.Is(err, errFormat) {
		return c, o, errNewer
	}
	if a.state.first == 0 { // this is the first entry
		if err != nil {
			return c, o, errStart
		}
		if err := a.start(ctx, e, &h, body); err != nil {
			return c, o, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.state
	s.time = max(s.time, e.Time.UnixNano())
	o = outcome{n: e.N, name: h.name, verdict: void}
	current := err == nil && h.epoch == s.epoch && h.term == s.term().number
	if current && h.checked < e.N && e.N-h.checked <= a.span {
		s.time = max(s.time, h.floor)
	}
	c.Time = time.Unix(0, s.time)
	if s.term().fence != a.fence {
		c.Mark[len(id)] |= unsettled
	}
	var keys []hash
	var records []disklog.ChangeEvent
	if err == nil {
		keys, records, err = readRecords(&h, body)
	}
	if err != nil {
		a.foreign.Add(1)
		return c, o, nil
	}
	var news []bool
	o.verdict, news = a.rules.judge(e.N, &h, current, keys)
	if e.N == s.first {
		o.verdict = effective
		c.Mark[len(id)] &^= plain
		c.Notes = append(c.Notes, s.note())
		c.Floor, c.Dropped = s.floor, unixTime(s.dropped)
		return c, o, nil
	}
	if e.N >= s.swept+a.span {
		s.swept = e.N
		if c.Notes = s.sweepFacts(e.N, a.span); len(c.Notes) > 0 {
			c.Mark[len(id)] &^= plain // before the entry, a fact may not have ended yet
		}
	}
	switch h.kind {
	case kindEvents:
		if o.verdict == effective {
			c.Events, o.events = choose(e.N, records, news)
		}
		return c, o, nil
	case kindTerm, kindLevel, kindLoss: // name what they replace, and so need no checked
		if current && o.verdict == void {
			o.verdict = effective
		}
	}
	if o.verdict == effective {
		err = a.control(e, &h, body, &c, &o)
	}
	return c, o, err
}

// start begins with an entry, or returns errStart if that is not possible.
func (a *applier) start(ctx context.Context, e *Entry, h *header, body []byte) error {
	r := reader{b: body}
	s := state{epoch: h.epoch, first: e.N, time: h.floor, facts: map[string]*fact{}, changes: []change{{number: h.term}}}
	switch h.kind {
	case kindTerm:
		t := r.term()
		if r.bad || t.number != 0 {
			return errStart
		}
		s.whole, s.terms = true, []term{t}
		s.terms[0].branch = e.N - 1
	case kindTrim:
		t := r.trim()
		if r.bad || len(t.terms) == 0 || h.checked >= e.N || e.N-h.checked > a.span {
			return errStart
		}
		s.terms, s.level = t.terms, t.level
		s.trimmed(e.N, &t)
	default:
		return errStart
	}
	if err := a.copy.Empty(ctx, s.epoch, s.positions()); err != nil {
		return err
	}
	a.mu.Lock()
	a.state = s
	a.mu.Unlock()
	return nil
}

// readRecords returns the keys of an entry's records, and the records. A kind other than
// events has none.
func readRecords(h *header, body []byte) (keys []hash, records []disklog.ChangeEvent, err error) {
	if h.kind != kindEvents {
		return nil, nil, nil
	}
	r := reader{b: body}
	records = make([]disklog.ChangeEvent, h.count)
	for i := range records {
		value := r.bytes()
		event, err := disklog.DecodeRecord(value)
		if err != nil {
			return nil, nil, err
		}
		records[i] = disklog.ChangeEvent{Event: event, Value: value}
		if event.Key != "" {
			keys = append(keys, hashOf(event.Key))
		}
	}
	if r.bad || len(r.b) > 0 || len(keys) != h.keyed {
		return nil, nil, errEntry
	}
	return keys, records, nil
}

// choose returns the records that are events. news is about those with a key.
func choose(n uint64, records []disklog.ChangeEvent, news []bool) (events []disklog.ChangeEvent, chosen []bool) {
	chosen = make([]bool, len(records))
	k := 0
	for i := range records {
		e := records[i].Event
		if e.Key != "" {
			k++
		}
		if chosen[i] = e.Key == "" || news[k-1]; !chosen[i] || len(e.Topics) == 0 {
			continue // a record without topics is what Replace leaves of one that was deleted
		}
		e.ID = eventlog.ID{Lo: position(n, i)}
		events = append(events, records[i])
	}
	return events, chosen
}

// control is what an effective entry does that is not one of events. The caller holds mu.
func (a *applier) control(e *Entry, h *header, body []byte, c *disklog.Change, o *outcome) error {
	s, r := &a.state, &reader{b: body}
	c.Mark[len(c.Mark)-1] &^= plain
	switch h.kind {
	case kindDelete:
		for range h.count {
			if at := r.uint(); at < position(e.N, 0) {
				c.Bury = append(c.Bury, at)
			}
		}
	case kindTrim:
		if t := r.trim(); !r.bad && t.origin <= endOf(h.checked) && t.purge <= h.checked {
			if t.origin > s.floor {
				c.Floor, c.Dropped = t.origin, unixTime(t.dropped)
			}
			s.trimmed(e.N, &t)
			c.Forget = s.purged + 1
			c.Notes = append(c.Notes, s.note())
		}
	case kindTerm:
		t := r.term()
		if r.bad || t.number <= s.term().number || t.branch >= e.N {
			o.verdict = void
			break
		}
		s.begin(e.N, t)
		c.Terms, o.term = s.positions(), true
		c.Notes = append(c.Notes, s.note())
	case kindFact:
		for range h.count {
			key, f := string(r.bytes()), r.fact()
			if !r.bad && s.applyFact(e.N, a.span, h, key, f) {
				c.Notes = append(c.Notes, disklog.Note{Key: factPrefix + key, Value: s.facts[key].append(nil)})
				if f.at == e.N {
					a.changed = append(a.changed, factChange{key, *f})
				}
			}
		}
	case kindLevel:
		s.level = max(s.level, r.uint())
		c.Notes = append(c.Notes, s.note())
	case kindLoss:
		s.lost(Loss{Branch: r.uint(), Entries: r.uint()})
		c.Notes = append(c.Notes, s.note())
	case kindEnd:
		if a.ended != nil {
			a.ended(r.b, time.Unix(0, e.Time.UnixNano()))
		}
	default:
		if h.flags&critical != 0 {
			return errNewer
		}
	}
	return nil
}
