package disklog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidings-sse/tidings/eventlog"
)

func openCopy(t *testing.T, fs vfs.FS) *Log {
	t.Helper()
	return open1(t, "data", Options{Copy: true, Relaxed: true, FS: fs, tune: small, Window: 2000, unsettled: 7})
}

// change returns entry n with events at the given indexes, whose data are their positions.
func change(n uint64, indexes ...uint64) Change {
	c := Change{Entry: n, Time: time.Unix(int64(n), 0), Mark: fmt.Append(nil, "mark ", n)}
	for _, i := range indexes {
		r := eventlog.Record{Topics: []string{"t", fmt.Sprint("topic", i)}, Data: fmt.Append(nil, n, "/", i), Key: fmt.Sprint("key", n, "/", i)}
		e := eventlog.NewEvent(r, eventlog.ID{Lo: n<<16 | i}, time.Time{})
		c.Events = append(c.Events, ChangeEvent{e, AppendRecord(nil, &r)})
	}
	return c
}

func apply(t *testing.T, l *Log, changes ...Change) {
	t.Helper()
	if err := l.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}

// content describes all that readers see of a copy.
func content(t *testing.T, l *Log) (s []string) {
	t.Helper()
	b, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s = append(s, fmt.Sprint(b), fmt.Sprint(l.Applied().Entry, l.Applied().Time.UnixNano()))
	for _, e := range all(t, l) {
		s = append(s, fmt.Sprint(e.ID, e.Time.UnixNano(), e.Record))
	}
	var topics []string
	for topic, err := range l.Topics(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		topics = append(topics, fmt.Sprint(topic))
	}
	slices.Sort(topics)
	s = append(s, topics...)
	for n, err := range l.Notes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, n.Key+"="+string(n.Value))
	}
	for m, err := range l.Marks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, fmt.Sprint(m.Entry, m.Time.UnixNano(), string(m.Data)))
	}
	return s
}

func wantContent(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("%s: line %d:\ngot  %q\nwant %q", what, i, got[min(i, len(got)):min(i+3, len(got))], want[min(i, len(want)):min(i+3, len(want))])
			return
		}
	}
}

// TestCopyCrash checks that after a crash a copy is as after some entry, and that what is
// applied again then leads to the same content.
func TestCopyCrash(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l := openCopy(t, fs)
	var states [][]string
	states = append(states, content(t, l))
	entries := func(i uint64) Change {
		c := change(i, 0, 3, i%5+4)
		switch i % 7 {
		case 2:
			c.Notes = []Note{{"a", fmt.Append(nil, i)}, {"b", nil}}
		case 3:
			c = Change{Entry: i, Time: c.Time, Mark: c.Mark, Bury: []uint64{(i-1)<<16 | 3, 1}, Notes: []Note{{"b", []byte("x")}}}
		}
		return c
	}
	const n = 60
	for i := uint64(1); i <= n; i++ {
		apply(t, l, entries(i))
		states = append(states, content(t, l))
	}
	for _, percent := range []int{0, 30, 60, 100} {
		after := openCopy(t, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, uint64(percent)))}))
		from := after.Applied().Entry
		wantContent(t, fmt.Sprint("a crash that kept ", from, " entries"), content(t, after), states[from])
		var rest []Change
		for i := from + 1; i <= n; i++ {
			rest = append(rest, entries(i))
		}
		apply(t, after, rest...)
		wantContent(t, "applied again, in one call", content(t, after), states[n])
	}
	if err := l.Apply(t.Context(), []Change{change(n)}); err == nil {
		t.Error("an entry was applied twice")
	}
}

// TestCopyCut checks that Cut undoes entries exactly, and Empty everything.
func TestCopyCut(t *testing.T) {
	fs := vfs.NewMem()
	l := openCopy(t, fs)
	empty := content(t, l)
	for i := uint64(1); i <= 20; i++ {
		apply(t, l, change(i, 0, 1, i%3+2))
	}
	want := content(t, l)
	end := all(t, l)
	for i := uint64(21); i <= 50; i++ {
		apply(t, l, change(i, 0, i%4+1, 9))
	}
	if err := l.Cut(t.Context(), 20, 20<<16|0xffff); err != nil {
		t.Fatal(err)
	}
	wantContent(t, "cut", content(t, l), want)
	if _, known, err := l.Known(t.Context(), "key21/0", []byte{kindEvent}); known || err != nil {
		t.Errorf("a key that was cut is known: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openCopy(t, fs)
	wantContent(t, "opened again", content(t, l), want)
	apply(t, l, change(21, 0, 9))
	if got := all(t, l); len(got) != len(end)+2 {
		t.Errorf("%d events after the cut, want %d", len(got), len(end)+2)
	}
	if err := l.Empty(t.Context(), l.Epoch(), nil); err != nil {
		t.Fatal(err)
	}
	wantContent(t, "emptied", content(t, l), empty)
	for i := uint64(1); i <= 20; i++ {
		apply(t, l, change(i, 0, 1, i%3+2))
	}
	wantContent(t, "applied anew", content(t, l), want)
}

// TestCopyTerms checks what positions of an ended term lead to.
func TestCopyTerms(t *testing.T) {
	l := openCopy(t, vfs.NewMem())
	for i := uint64(1); i <= 9; i++ {
		apply(t, l, change(i, 0))
	}
	before := all(t, l)
	forgotten := 0
	l.OnBury(func() { forgotten++ })
	apply(t, l, Change{Entry: 10, Time: time.Unix(10, 0), Terms: []Term{{}, {Number: 2, From: 7 << 16}}})
	apply(t, l, change(11, 0))
	after := all(t, l)
	if len(after) != 10 || after[5].ID != before[5].ID || after[6].ID.Hi != 2 || after[6].ID.Lo != before[6].ID.Lo || after[9].ID.Hi != 2 {
		t.Fatalf("the ids are %v", after)
	}
	if forgotten != 1 {
		t.Error("OnBury's function was not called, though ids have changed")
	}
	var lost *eventlog.LostError
	if err := l.Await(t.Context(), before[7].ID); !errors.As(err, &lost) || !errors.Is(err, eventlog.ErrEpoch) || lost.Branch != l.id(7<<16-1) {
		t.Errorf("a position that was lost: %v", err)
	}
	for _, id := range []eventlog.ID{before[5].ID, lost.Branch, after[8].ID} {
		if err := l.Await(t.Context(), id); err != nil {
			t.Errorf("%v: %v", id, err)
		}
	}
	unknown := after[8].ID
	unknown.Hi = 3
	if err := l.Await(t.Context(), unknown); !errors.Is(err, eventlog.ErrAhead) {
		t.Errorf("a term that has not begun: %v; want ErrAhead", err)
	}
}

// TestCopyTermEdges reads up to an event that the engine has lost, whose position another
// event has, and from the ID before the first event of a term.
func TestCopyTermEdges(t *testing.T) {
	l := openCopy(t, vfs.NewMem())
	for i := uint64(1); i <= 9; i++ {
		apply(t, l, change(i, 0))
	}
	lost := all(t, l)[6].ID
	apply(t, l, Change{Entry: 10, Time: time.Unix(10, 0), Terms: []Term{{}, {Number: 2, From: lost.Lo}}})
	for e, err := range l.Read(t.Context(), lost.Prev(), eventlog.Query{UpTo: lost}) {
		t.Errorf("an event that was lost is read as %v (%v)", e, err)
	}
	first := all(t, l)[6].ID
	n := 0
	for e, err := range l.Read(t.Context(), first.Prev(), eventlog.Query{UpTo: first}) {
		if n++; err != nil || e.ID != first {
			t.Errorf("the first event of the term is read as %v (%v)", e, err)
		}
	}
	if n != 1 {
		t.Errorf("%d events are read, want 1", n)
	}
}

// TestCopyFloor checks that a copy drops what a floor says, though a later event has the key
// of one that is dropped.
func TestCopyFloor(t *testing.T) {
	fs := vfs.NewMem()
	l := openCopy(t, fs)
	for i := uint64(1); i <= 9; i++ {
		apply(t, l, change(i, 0, 1))
	}
	again := change(10, 0)
	again.Events[0].Event.Key = "key2/0"
	value := AppendRecord(nil, &again.Events[0].Event.Record)
	again.Events[0].Value = value
	apply(t, l, again)
	floor := Change{Entry: 11, Time: time.Unix(11, 0), Floor: 4 << 16, Dropped: time.Unix(4, 0), Forget: 3}
	apply(t, l, floor)
	reached := func() bool {
		b, err := l.Bounds(t.Context())
		return err == nil && b.Origin.Lo == floor.Floor
	}
	eventually(t, "drop", reached)
	if got := all(t, l); len(got) != 12 || got[0].ID.Lo != 4<<16|1 {
		t.Errorf("%d events are left, from %v", len(got), got[0].ID)
	}
	if r, known, err := l.Known(t.Context(), "key2/0", value); !known || err != nil || r.ID.Lo != 10<<16 {
		t.Errorf("the key of a dropped event, used again: %+v, %v, %v", r, known, err)
	}
	if m, ok, err := l.LastMark(t.Context(), 3); !ok || m.Entry != 3 || err != nil {
		t.Errorf("the mark of entry 3: %+v, %v, %v", m, ok, err)
	}
	if m, ok, err := l.LastMark(t.Context(), 2); ok || err != nil {
		t.Errorf("a mark that was forgotten: %+v, %v", m, err)
	}
	floor.Entry, floor.Floor = 12, 12<<16|7 // beyond all events
	apply(t, l, floor)
	eventually(t, "drop all", reached)
	want := content(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wantContent(t, "opened again", content(t, openCopy(t, fs)), want)
}

// TestCopyKeyReused checks that a copy opens again if an event that is to be dropped has no entry in
// the index of keys, because a later event got its key and is gone.
func TestCopyKeyReused(t *testing.T) {
	for _, cut := range []bool{false, true} {
		fs := vfs.NewMem()
		l := openCopy(t, fs)
		for i := uint64(1); i <= 9; i++ {
			apply(t, l, change(i, 0, 1))
		}
		floor := Change{Entry: 10, Time: time.Unix(10, 0), Floor: 4 << 16, Dropped: time.Unix(4, 0), Mark: []byte("m")}
		again := change(11, 0)
		again.Events[0].Event.Key = "key2/0"
		again.Events[0].Value = AppendRecord(nil, &again.Events[0].Event.Record)
		var err error
		if cut {
			apply(t, l, floor, again)
			err = l.Cut(t.Context(), 10, 10<<16|0xffff)
		} else {
			apply(t, l, floor, again, Change{Entry: 12, Time: time.Unix(12, 0), Bury: []uint64{11 << 16}})
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		openCopy(t, fs)
	}
}

// TestCopyKinds checks that a copy is not taken for a log of its own, nor the reverse.
func TestCopyKinds(t *testing.T) {
	for _, isCopy := range []bool{true, false} {
		dir := t.TempDir()
		l := open1(t, dir, Options{Copy: isCopy})
		if _, err := l.Append(t.Context(), record("t", 1)); (err == nil) == isCopy {
			t.Errorf("Append to a copy (%v): %v", isCopy, err)
		}
		if _, err := l.Delete(t.Context(), eventlog.ID{}, eventlog.Query{}); (err == nil) == isCopy {
			t.Errorf("Delete from a copy (%v): %v", isCopy, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := openQuiet(dir, Options{Copy: !isCopy}); !errors.Is(err, ErrDamaged) {
			t.Errorf("opened as the other kind: %v", err)
		}
	}
}
