package eventlog_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestMemoryBytes compares the bytes that retention counts with the heap, within a tenth:
// also where records are small parts of large requests, and after most events have been
// dropped.
func TestMemoryBytes(t *testing.T) {
	const retained = 8 << 20
	body := func(i int) string { return fmt.Sprint(i, strings.Repeat("新", 1000)) } // stands for a request's body
	for name, record := range map[string]func(i int) eventlog.Record{
		"a part of a body": func(i int) eventlog.Record {
			b := body(i)
			return eventlog.Record{Topics: []string{b[:20]}, Data: []byte(b)[:100]}
		},
		"topics alone": func(i int) eventlog.Record {
			return eventlog.Record{Topics: []string{body(i)[:900], body(-i)[:900], "all"}}
		},
		"ids and keys": func(i int) eventlog.Record {
			return eventlog.Record{Topics: []string{"t"}, PublisherID: body(i)[:200], Key: body(i)[:300], Type: body(i)[:50]}
		},
		"one id for many": func(i int) eventlog.Record {
			return eventlog.Record{Topics: []string{body(i / 100)[:900]}, PublisherID: body(i / 100)[:200]}
		},
		"small data": func(i int) eventlog.Record {
			return eventlog.Record{Topics: []string{"t"}, Data: []byte(body(i))[:17]}
		},
		"data of 33 KB": func(i int) eventlog.Record {
			return eventlog.Record{Topics: []string{"t"}, Data: []byte(strings.Repeat(body(i), 11))[:33_000:33_000]}
		},
		"shared topics": func(i int) eventlog.Record {
			return eventlog.Record{Topics: []string{fmt.Sprint(i % 1000)}, Data: make([]byte, 1<<10)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := liveHeap()
			log := eventlog.NewMemory(eventlog.Retention{Bytes: retained})
			defer log.Close()
			for i, n := 0, 0; n < 2*retained; i++ { // fill the log, and then replace its content
				r := record(i)
				if _, err := log.Append(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				n += 200 + len(r.Data) + len(r.PublisherID) + len(r.Key) + len(strings.Join(r.Topics, ""))
			}
			held := liveHeap() - before
			b, err := log.Bounds(t.Context())
			if err != nil || b.Bytes > retained || b.Bytes < retained*9/10 {
				t.Fatalf("%d bytes are counted (%v), want about %d", b.Bytes, err, retained)
			}
			if held > b.Bytes*11/10 || held < b.Bytes*9/10 {
				t.Errorf("%d bytes are held, and %d counted: %.2f times as many", held, b.Bytes, float64(held)/float64(b.Bytes))
			}
		})
	}
}

// liveHeap returns how many bytes of the heap are in use.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // frees what the first one has only found
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
