package disklog

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestWindowBytes compares the bytes that the window counts with the heap, within a tenth.
func TestWindowBytes(t *testing.T) {
	for name, size := range map[string]int{"small": 10, "1 KB": 1000, "33 KB": 33_000} {
		t.Run(name, func(t *testing.T) {
			before := liveHeap()
			w := window{budget: 8 << 20}
			for i := range 3 * int(w.budget) / (size + 200) {
				r := eventlog.Record{Topics: []string{fmt.Sprint("topic", i)}, Data: make([]byte, size)}
				w.push(eventlog.NewEvent(r, eventlog.ID{}, time.Unix(int64(i), 0)))
			}
			held := liveHeap() - before
			if held > w.bytes*11/10 || held < w.bytes*9/10 {
				t.Errorf("%d bytes are held, and %d counted", held, w.bytes)
			}
			if w.bytes < w.budget*9/10 || w.bytes > w.budget {
				t.Errorf("%d bytes are counted, and %d may be", w.bytes, w.budget)
			}
		})
	}
}

// fill pushes events of a few bytes, of which each has its position for a topic.
func (w *window) fill(n int) {
	for range n {
		at := w.base + uint64(len(w.events)) + 1
		r := eventlog.Record{Topics: []string{fmt.Sprint(at)}}
		w.push(eventlog.NewEvent(r, eventlog.ID{Lo: at}, time.Unix(0, 0)))
	}
}

// TestWindowTrims checks that a window lets go of what is up to an origin, of the room for
// it, too, and of nothing else.
func TestWindowTrims(t *testing.T) {
	const events, left = 200_000, 10
	before := liveHeap()
	w := window{budget: 1 << 30}
	w.fill(events)
	w.trim(events - left)
	if held := liveHeap() - before; held > 64<<10 {
		t.Errorf("%d events hold %d bytes", left, held)
	}
	if _, ok := w.get(events - left); ok {
		t.Error("an event up to the origin is there")
	}
	size := int64(0)
	for at := uint64(events - left + 1); at <= events; at++ {
		e, ok := w.get(at)
		if !ok || e.ID.Lo != at {
			t.Fatalf("the event at %d is not there", at)
		}
		size += e.Footprint() + overhead
	}
	if w.bytes != size {
		t.Errorf("%d bytes are counted, and there are %d", w.bytes, size)
	}
}

// TestWindowPages checks that a page ends with the number of events that was asked for, or
// at the end that was.
func TestWindowPages(t *testing.T) {
	w := window{budget: 1 << 30, base: 100}
	w.fill(50)
	for _, tt := range []struct {
		after, end uint64
		n, want    int
		to         uint64
	}{{100, 150, 20, 20, 120}, {140, 150, 20, 10, 150}, {100, 110, 20, 10, 110}, {150, 150, 20, 0, 150}} {
		page, to := w.page(tt.after, tt.end, tt.n)
		if len(page) != tt.want || to != tt.to || len(page) > 0 && page[0].ID.Lo != tt.after+1 {
			t.Errorf("of %d after %d, up to %d: %d events, to %d; want %d, to %d", tt.n, tt.after, tt.end, len(page), to, tt.want, tt.to)
		}
	}
}

// TestWindowKeepsNoBodies checks that neither the window nor the pending tallies keep the
// request alive that an event came in.
func TestWindowKeepsNoBodies(t *testing.T) {
	const events, body = 500, 60_000
	l := open1(t, t.TempDir(), Options{})
	publish := func(i int) {
		b := fmt.Sprint(i, " ", strings.Repeat("x", body))
		r := eventlog.Record{Topics: []string{b[:20]}, Data: []byte(b)[:20], Type: b[:3], PublisherID: b[:10], Key: b[:15]}
		if _, err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	publish(-1) // and what the store allocates once
	before := liveHeap()
	for i := range events {
		publish(i)
	}
	if held := liveHeap() - before; held > events*body/4 {
		t.Errorf("%d events of a few bytes hold %d bytes", events, held)
	}
}

// TestPendingNamesAreBounded checks that many topics with long names are settled before
// the number of events requires it.
func TestPendingNamesAreBounded(t *testing.T) {
	l := open1(t, t.TempDir(), Options{})
	most := 0
	for i := range 3 * maxNames / (100 * 4000) {
		var r eventlog.Record
		for j := range 100 {
			r.Topics = append(r.Topics, fmt.Sprint(i, " ", j, strings.Repeat("x", 3980)))
		}
		if _, err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		most = max(most, len(l.pending)*4000)
	}
	if most > maxNames+maxGroup {
		t.Errorf("%d bytes of names were pending, want at most %d", most, maxNames)
	}
}

// TestUnsettledEventsAreBounded checks that tallies are written before so many events are in
// none: opening the log after a crash reads those again.
func TestUnsettledEventsAreBounded(t *testing.T) {
	l := open1(t, t.TempDir(), Options{unsettled: 10})
	for i := range 100 {
		if _, err := l.Append(t.Context(), record("t", i)); err != nil {
			t.Fatal(err)
		}
		if at, _ := l.shown(); at.last-at.tallied >= 10 {
			t.Fatalf("%d events are in no tally", at.last-at.tallied)
		}
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // frees what the first one has only found
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
