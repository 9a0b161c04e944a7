package shared

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
)

// entries returns an entry of each kind.
func entries() (all [][]byte) {
	r := eventlog.Record{Topics: []string{"t", "u"}, Type: "x", Data: []byte("data"), Key: "key", PublisherID: "mine"}
	f := fact{value: []byte("v"), until: 5, at: 3}
	t := term{number: 1, branch: 4, fence: "life"}
	for k, body := range map[kind][]byte{
		kindEvents: appendBytes(nil, disklog.AppendRecord(nil, &r)),
		kindDelete: {1},
		kindTrim:   (&trim{origin: 1 << 16, dropped: 7, purge: 1, level: 2, terms: []term{{}, t}}).append(nil),
		kindTerm:   t.append(nil),
		kindFact:   appendFact(nil, "key", f),
		kindEnd:    []byte("filter"),
		kindLevel:  {9},
		kindLoss:   {4, 2},
	} {
		h := header{kind: k, flags: critical, epoch: 7, name: name{1 << 60, uint64(k)}, checked: 1, floor: 123456789, count: 1}
		if k == kindEvents {
			h.keyed = 1
		}
		all = append(all, append(h.append(nil), body...))
	}
	return all
}

// TestUnknownKinds checks that a node goes on over what is not critical, and stops before the rest.
func TestUnknownKinds(t *testing.T) {
	c := newPlayer(t).copy("unknown")
	a := newApplier(c, span, keyed)
	push := func(n uint64, h header) error {
		_, err := a.apply(t.Context(), []Entry{{N: n, Time: time.Unix(int64(n), 0), Data: (&term{}).append(h.append(nil))}})
		return err
	}
	if err := push(1, header{kind: kindTerm, epoch: 7}); err != nil {
		t.Fatal(err)
	}
	if err := push(2, header{kind: kindUnknown, epoch: 7, name: name{1, 1}, checked: 1}); err != nil || c.Applied().Entry != 2 {
		t.Errorf("an unknown kind: %v, and the copy is at entry %d", err, c.Applied().Entry)
	}
	if err := push(3, header{kind: kindUnknown, flags: critical, epoch: 7, name: name{1, 2}, checked: 1}); !errors.Is(err, errNewer) || c.Applied().Entry != 2 {
		t.Errorf("a critical unknown kind: %v, and the copy is at entry %d", err, c.Applied().Entry)
	}
}

// TestReplaced checks that an entry is recognized by its name, which Replace leaves.
func TestReplaced(t *testing.T) {
	h := header{kind: kindEvents, name: name{3, 4}}
	a, b := identity(h.append(nil)), identity(append(h.append(nil), "other bytes"...))
	h.name.counter++
	if c := identity(h.append(nil)); a != b || a == c {
		t.Errorf("the identities are %x, %x and %x", a, b, c)
	}
	if identity([]byte("x")) == identity([]byte("y")) {
		t.Error("entries of others have the same identity")
	}
}

// FuzzEntry applies any bytes as an entry. A node must go on, or say that it needs a newer version.
func FuzzEntry(f *testing.F) {
	for _, e := range entries() {
		f.Add(e)
	}
	p := newPlayer(f)
	c := p.copy("fuzz")
	first := Entry{N: 1, Time: time.Unix(1, 0), Data: (&term{fence: "life"}).append((&header{kind: kindTerm, epoch: 7}).append(nil))}
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, body, err := readHeader(data); err == nil {
			if again, rest, err := readHeader(append(h.append(nil), body...)); err != nil || again != h || !bytes.Equal(rest, body) {
				t.Errorf("%+v is read as %+v, %v", h, again, err)
			}
		}
		if err := c.Empty(t.Context(), 1, nil); err != nil {
			t.Fatal(err)
		}
		a := newApplier(c, span, keyed)
		_, err := a.apply(t.Context(), []Entry{first, {N: 2, Time: time.Unix(2, 0), Data: data}, {N: 3, Time: time.Unix(3, 0), Data: data}})
		if err != nil && !errors.Is(err, errNewer) {
			t.Errorf("%x: %v", data, err)
		}
	})
}

// TestRulesAreBounded judges many entries full of keys, and counts what is remembered.
func TestRulesAreBounded(t *testing.T) {
	before := liveHeap()
	r := newRules(span, keyed)
	for n := uint64(1); n <= 3*keyed/maxRecords+10; n++ {
		keys := make([]hash, maxRecords)
		for i := range keys {
			keys[i] = hashOf(fmt.Sprint(n, "/", i))
		}
		if v, _ := r.judge(n, &header{name: name{1, n}, checked: n - 1}, true, keys); v != effective {
			t.Fatalf("entry %d: %d", n, v)
		}
		if len(r.keys) > keyed+maxRecords {
			t.Fatalf("%d keys are remembered", len(r.keys))
		}
	}
	if held := liveHeap() - before; held > 40<<20 {
		t.Errorf("the rules hold %d bytes", held)
	}
	for n := uint64(1 << 20); n < 1<<20+3*span; n++ {
		r.judge(n, &header{name: name{1, n}, checked: n - 1}, true, nil)
	}
	if len(r.entries) > span || len(r.names) > span || len(r.keys) > 0 {
		t.Errorf("%d entries, %d names and %d keys are remembered", len(r.entries), len(r.names), len(r.keys))
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // frees what the first one has only found
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestStateIsBounded lets terms begin, losses be reported and trims pile up.
func TestStateIsBounded(t *testing.T) {
	s := state{terms: []term{{}}, facts: map[string]*fact{}}
	for n := uint64(1); n < 10_000; n++ {
		s.begin(n, term{number: n, branch: n - 1})
		s.lost(Loss{Branch: n})
		s.trimmed(n, &trim{origin: position(n, 0)})
	}
	if len(s.terms) > maxRows || len(s.changes) > maxRows || len(s.losses) > maxRows || len(s.trims) > maxTrims {
		t.Errorf("%d terms, %d changes, %d losses, %d trims", len(s.terms), len(s.changes), len(s.losses), len(s.trims))
	}
	if got := s.term().number; got != 9999 {
		t.Errorf("the newest term is %d", got)
	}
	var again state
	again.facts = map[string]*fact{}
	if err := again.load(s.note()); err != nil || fmt.Sprint(again.terms, again.trims, again.losses, again.changes) != fmt.Sprint(s.terms, s.trims, s.losses, s.changes) {
		t.Errorf("read back: %v", err)
	}
}
