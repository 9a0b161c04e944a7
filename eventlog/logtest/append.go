package logtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

func testAppend(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{})
	start := origin(t, log)
	full := eventlog.Record{
		Topics:      []string{"https://shop.example/orders/42", strings.Repeat("長", 4096/3), "a.b*>%{x} "},
		Type:        "price",
		Data:        []byte("line one\r\nline two\x00"),
		PublisherID: "order 42",
		Retry:       1500 * time.Millisecond,
		Private:     true,
	}
	before := time.Now()
	recs := []eventlog.Record{full, record("t", "")}
	ids := appendAll(t, log, recs...)
	clear(recs) // the slice belongs to the caller again
	ids = append(ids, appendN(t, log, "t", 3)...)
	for i := 1; i < len(ids); i++ {
		if ids[i].Epoch != ids[0].Epoch || ids[i].Compare(ids[i-1]) <= 0 {
			t.Errorf("id %d, %v, is not greater than the one before, %v", i, ids[i], ids[i-1])
		}
	}
	var last time.Time
	i := 0
	for e, err := range log.Read(t.Context(), start, eventlog.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.ID != ids[i] {
			t.Errorf("event %d has id %v, Append returned %v", i, e.ID, ids[i])
		}
		if e.Time.Before(last) || e.Time.Before(before.Add(-time.Second)) {
			t.Errorf("event %d: time %v runs backward", i, e.Time)
		}
		if i == 0 && (e.Type != full.Type || string(e.Data) != string(full.Data) || e.PublisherID != full.PublisherID ||
			e.Retry != full.Retry || !e.Private || !slices.Equal(e.Topics, full.Topics)) {
			t.Errorf("read back %+v, appended %+v", e.Record, full)
		}
		last = e.Time
		i++
	}
	if i != len(ids) {
		t.Errorf("read %d events of %d", i, len(ids))
	}
}

func testKeys(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{Events: 4})
	r := record("t", "first")
	r.Key = "k"
	id := appendAll(t, log, r)[0]
	other, elsewhere := r, r
	other.Data = []byte("second")
	elsewhere.Topics = []string{"u"}
	results, err := log.Append(t.Context(), r, other, elsewhere, record("t", "kept"))
	if err != nil {
		t.Fatal(err)
	}
	if results[0] != (eventlog.Result{ID: id, Duplicate: true}) {
		t.Errorf("equal content: %+v; want the first id, as a duplicate", results[0])
	}
	for i, what := range []string{"other data", "another topic"} {
		if !errors.Is(results[i+1].Err, eventlog.ErrKeyReused) {
			t.Errorf("%s: %+v; want ErrKeyReused", what, results[i+1])
		}
	}
	equal(t, "a refused record holds up no other", data(t, log.Read(t.Context(), origin(t, log), eventlog.Query{})), "first", "kept")
	twice := record("t", "twice")
	twice.Key = "k2"
	if results, err = log.Append(t.Context(), twice, twice); err != nil || !results[1].Duplicate || results[0].ID != results[1].ID {
		t.Errorf("twice in one call: %+v, %v", results, err)
	}
	appendN(t, log, "t", 4)
	settle(t, log, 4)
	if results, err = log.Append(t.Context(), r); err != nil || results[0].Duplicate || results[0].Err != nil || results[0].ID == id {
		t.Errorf("a key whose event is gone: %+v, %v; want a new event", results, err)
	}
}

// testConcurrent runs writers and tails at once. Each tail must see the same order, and
// each writer's events in the order of writing.
func testConcurrent(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{})
	start := origin(t, log)
	const writers, each, tails = 8, 200, 4
	var wg sync.WaitGroup
	orders := make([][]string, tails)
	for i := range tails {
		wg.Go(func() {
			for e, err := range log.Tail(t.Context(), start) {
				if err != nil {
					t.Error(err)
					return
				}
				if orders[i] = append(orders[i], string(e.Data)); len(orders[i]) == writers*each {
					return
				}
			}
		})
	}
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := log.Append(t.Context(), record("t", fmt.Sprintf("%d/%03d", w, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range tails {
		equal(t, "the tails agree", orders[i], orders[0]...)
	}
	last := map[byte]string{}
	for _, d := range orders[0] {
		if d <= last[d[0]] {
			t.Errorf("%s came after %s", d, last[d[0]])
		}
		last[d[0]] = d
	}
}

func testClosed(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{})
	start := origin(t, log)
	ended := make(chan error)
	go func() { ended <- lastError(log.Tail(context.Background(), start)) }()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, eventlog.ErrClosed) {
		t.Errorf("Tail ended with %v; want ErrClosed", err)
	}
	_, err := log.Append(t.Context(), record("t", "x"))
	for what, err := range map[string]error{
		"Append": err,
		"Read":   lastError(log.Read(t.Context(), start, eventlog.Query{})),
		"Close":  log.Close(),
	} {
		if !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("%s after Close: %v; want ErrClosed", what, err)
		}
	}
}

func testCancelled(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{})
	start := origin(t, log)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- lastError(log.Tail(ctx, start)) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Tail ended with %v; want context.Canceled", err)
	}
	if _, err := log.Append(ctx, record("t", "x")); err == nil {
		t.Error("Append with an ended context was accepted")
	}
}
