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
			if held > w.bytes*11/10 || held < w.bytes*9/10 || w.bytes < w.budget*9/10 {
				t.Errorf("%d bytes are held, and %d counted", held, w.bytes)
			}
		})
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

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // frees what the first one has only found
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
