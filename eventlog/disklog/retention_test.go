package disklog

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestRetentionKeepsUp appends large batches as fast as possible. Removing a constant
// number of events at a time would not keep up.
func TestRetentionKeepsUp(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const limit, batch = 1000, 4000
	l := open1(t, t.TempDir(), Options{Retention: eventlog.Retention{Events: limit}})
	recs := make([]eventlog.Record, batch)
	for i := range recs {
		recs[i] = record("t", i)
	}
	most := int64(0)
	for range 60 {
		if _, err := l.Append(t.Context(), recs...); err != nil {
			t.Fatal(err)
		}
		b, err := l.Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, b.Events)
	}
	if most > limit+16*batch {
		t.Errorf("up to %d events were retained, with a limit of %d and batches of %d", most, limit, batch)
	}
	t.Logf("up to %d events were retained", most)
}

// TestRetentionCatchesUp commits many times while retention is blocked. Afterwards
// retention must remove more at a time than publishers add.
func TestRetentionCatchesUp(t *testing.T) {
	const limit, batch, batches = 1000, 400, 20
	for name, r := range map[string]eventlog.Retention{
		"events": {Events: limit},
		"bytes":  {Bytes: limit * 60}, // each event counts about 60 bytes
	} {
		l := open1(t, "data", Options{FS: vfs.NewMem(), Retention: r})
		recs := make([]eventlog.Record, batch)
		for i := range recs {
			recs[i] = record("t", i)
		}
		l.prune.Lock()
		for range batches {
			if _, err := l.Append(t.Context(), recs...); err != nil {
				t.Fatal(err)
			}
		}
		old, err := (&trimmer{l: l}).oldest()
		if err != nil || len(old) != 4*batch {
			t.Errorf("%s: %d events go at once, %v; want %d", name, len(old), err, 4*batch)
		}
		l.prune.Unlock()
		eventually(t, "catch up", func() bool {
			at, _ := l.shown()
			return l.over(&at) == 0
		})
		at, _ := l.shown()
		if at.events < limit*3/4 || at.events > limit*5/4 {
			t.Errorf("%s: %d events are left", name, at.events)
		}
	}
}

// TestRetentionCounts checks from which event on there are too many.
func TestRetentionCounts(t *testing.T) {
	for _, tt := range []struct {
		why  string
		r    eventlog.Retention
		at   state
		want int64
	}{
		{"as many as may be", eventlog.Retention{Events: 10}, state{events: 10, bytes: 1000}, 0},
		{"one more", eventlog.Retention{Events: 10}, state{events: 11, bytes: 1100}, 1},
		{"as many bytes as may be", eventlog.Retention{Bytes: 1000}, state{events: 10, bytes: 1000}, 0},
		{"one byte more", eventlog.Retention{Bytes: 1000}, state{events: 10, bytes: 1001}, 1},
		{"a half more", eventlog.Retention{Bytes: 1000}, state{events: 15, bytes: 1500}, 6},
		{"the larger of both", eventlog.Retention{Events: 5, Bytes: 1000}, state{events: 15, bytes: 1500}, 10},
		{"no limit", eventlog.Retention{}, state{events: 15, bytes: 1500}, 0},
	} {
		l := &Log{options: Options{Retention: tt.r}}
		if got := l.over(&tt.at); got != tt.want {
			t.Errorf("%s: %d are too many, want %d", tt.why, got, tt.want)
		}
	}
}

// TestRetentionRemovesInBatches checks that what goes at once is bounded, and that
// tombstones among the oldest do not pass for events.
func TestRetentionRemovesInBatches(t *testing.T) {
	const events, limit, buried = 3 * pruneBatch, 10, pruneBatch / 2
	l := open1(t, "data", Options{FS: vfs.NewMem(), Retention: eventlog.Retention{Events: limit}})
	l.prune.Lock()
	for i := range events {
		if _, err := l.Append(t.Context(), record("t", i)); err != nil {
			t.Fatal(err)
		}
	}
	old, err := (&trimmer{l: l}).oldest()
	if err != nil || len(old) != pruneBatch {
		t.Errorf("%d events go at once, %v; want %d", len(old), err, pruneBatch)
	}
	l.prune.Unlock()
	eventually(t, "go", func() bool { at, _ := l.shown(); return at.events == limit })

	l = open1(t, "other", Options{FS: vfs.NewMem(), Retention: eventlog.Retention{Events: limit + buried}})
	for i := range limit + buried {
		if _, err := l.Append(t.Context(), record("t", i)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	upTo := b.Origin
	upTo.Lo += buried
	if n, err := l.Delete(t.Context(), b.Origin, eventlog.Query{UpTo: upTo}); err != nil || n != buried {
		t.Fatalf("Delete = %d, %v", n, err)
	}
	l.prune.Lock()
	defer l.prune.Unlock()
	for i := range buried + 1 {
		if _, err := l.Append(t.Context(), record("t", i)); err != nil {
			t.Fatal(err)
		}
	}
	if old, err = (&trimmer{l: l}).oldest(); err != nil || len(old) != buried+1 {
		t.Errorf("%d go where %d tombstones come before an event too many, %v", len(old), buried, err)
	}
}

// TestDroppedLeavesDisk drops far more events than it retains, in a store that does not
// compact by itself.
func TestDroppedLeavesDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 240 MiB")
	}
	const limit, written = 40 << 20, 240 << 20
	l := open1(t, t.TempDir(), Options{
		Retention: eventlog.Retention{Bytes: limit},
		tune:      func(p *pebble.Options) { p.L0CompactionThreshold = 1000 },
	})
	recs := make([]eventlog.Record, 16)
	for i := range recs {
		recs[i] = eventlog.Record{Topics: []string{"t"}, Data: bytes.Repeat([]byte("x"), 16<<10)}
	}
	for range written / (16 * 16 << 10) {
		if _, err := l.Append(t.Context(), recs...); err != nil {
			t.Fatal(err)
		}
	}
	size := func() uint64 { return l.db.Metrics().BlobFiles.LiveSize }
	if err := l.db.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "give the space back", func() bool { return size() < limit+reclaimBytes+fileSize })
}

// TestDeletedIDLeavesIndex looks into the store: when retention drops the position of a
// deleted event, the index entry of its id must go too.
func TestDeletedIDLeavesIndex(t *testing.T) {
	l := open1(t, t.TempDir(), Options{Retention: eventlog.Retention{Events: 100}})
	entries := func() (n int) {
		it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{publisherSpace}, UpperBound: []byte{publisherSpace + 1}})
		if err != nil {
			t.Fatal(err)
		}
		for ok := it.First(); ok; ok = it.Next() {
			n++
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 20 {
		r := record("t", i)
		r.PublisherID = fmt.Sprint("mine", i%5)
		if _, err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := l.Delete(t.Context(), eventlog.ID{}, byPublisherID("mine2")); n != 4 || err != nil {
		t.Fatalf("Delete = %d, %v; want 4", n, err)
	}
	if n := entries(); n != 20 {
		t.Errorf("%d entries after the deletion, want 20", n)
	}
	others := make([]eventlog.Record, 100)
	for i := range others {
		others[i] = record("t", i)
	}
	if _, err := l.Append(t.Context(), others...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "leave the index", func() bool {
		at, _ := l.shown()
		return entries() == 0 && at.tombs == 0 && at.events == 100
	})
}

// TestKeyOfADroppedEvent checks that an idempotency key is good again once retention has
// dropped its event, even if the store still has an entry of it.
func TestKeyOfADroppedEvent(t *testing.T) {
	l := open1(t, "data", Options{FS: vfs.NewMem(), Retention: eventlog.Retention{Events: 5}})
	first, err := l.Append(t.Context(), record("t", 0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := l.Append(t.Context(), record("t", i)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "drop it", func() bool { at, _ := l.shown(); return at.origin >= first[0].ID.Lo })
	if err := l.db.Set(hashKey(nil, keySpace, hashOf("k")), appendUint64s(nil, first[0].ID.Lo), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	r := record("t", 1)
	r.Key = "k"
	if results, err := l.Append(t.Context(), r); err != nil || results[0].Err != nil || results[0].Duplicate {
		t.Errorf("an event with the key of one that was dropped: %+v, %v", results, err)
	}
}
