// Package logtest is the conformance suite of event logs: what package
// eventlog promises, as tests that every engine runs.
package logtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// Open returns a new, empty log. The test closes it.
type Open func(t *testing.T, r eventlog.Retention) eventlog.Log

// Run tests the engine that open opens.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"Append":        testAppend,
		"Read":          testRead,
		"ReadByTopic":   testReadByTopic,
		"Tail":          testTail,
		"TailTrimmed":   testTailTrimmed,
		"Places":        testPlaces,
		"Retention":     testRetention,
		"Keys":          testKeys,
		"Newest":        testNewest,
		"At":            testAt,
		"ByPublisherID": testByPublisherID,
		"Topics":        testTopics,
		"Delete":        testDelete,
		"Concurrent":    testConcurrent,
		"Closed":        testClosed,
		"Cancelled":     testCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func record(topic, data string) eventlog.Record {
	return eventlog.Record{Topics: []string{topic}, Data: []byte(data)}
}

func openLog(t *testing.T, open Open, r eventlog.Retention) eventlog.Log {
	t.Helper()
	log := open(t, r)
	t.Cleanup(func() {
		if err := log.Close(); err != nil && !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	return log
}

func appendAll(t *testing.T, log eventlog.Log, recs ...eventlog.Record) []eventlog.ID {
	t.Helper()
	results, err := log.Append(t.Context(), recs...)
	if err != nil || len(results) != len(recs) {
		t.Fatalf("Append = %d results, %v; want %d", len(results), err, len(recs))
	}
	ids := make([]eventlog.ID, len(results))
	for i, r := range results {
		if r.Err != nil || r.Duplicate {
			t.Fatalf("Append: result %d = %+v", i, r)
		}
		ids[i] = r.ID
	}
	return ids
}

// appendN appends n events, one a call, with their number as data.
func appendN(t *testing.T, log eventlog.Log, topic string, n int) []eventlog.ID {
	t.Helper()
	var ids []eventlog.ID
	for i := range n {
		ids = append(ids, appendAll(t, log, record(topic, fmt.Sprint(i)))...)
	}
	return ids
}

func origin(t *testing.T, log eventlog.Log) eventlog.ID {
	t.Helper()
	b, err := log.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b.Origin
}

// settle waits until retention has left no more than n events: an engine may
// let it work behind.
func settle(t *testing.T, log eventlog.Log, n int64) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		b, err := log.Bounds(t.Context())
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("retention should leave %d events: %+v, %v", n, b, err)
		}
		if b.Events <= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// data drains events, which must not end in an error, into their data.
func data(t *testing.T, events iter.Seq2[*eventlog.Event, error]) []string {
	t.Helper()
	got := []string{}
	for e, err := range events {
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, string(e.Data))
	}
	return got
}

// lastError drains events and returns the error they end with.
func lastError(events iter.Seq2[*eventlog.Event, error]) (err error) {
	for _, err = range events {
	}
	return err
}

// onTopic asks for the events of some topics, and takes no others.
func onTopic(topics ...string) eventlog.Query {
	return eventlog.Query{Topics: topics, Match: func(e *eventlog.Event) bool {
		return slices.ContainsFunc(e.Topics, func(t string) bool { return slices.Contains(topics, t) })
	}}
}

func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

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
	ids := appendAll(t, log, full, record("t", ""))
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
			t.Errorf("event %d has id %v, its publisher was told %v", i, e.ID, ids[i])
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

func testRead(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{})
	start := origin(t, log)
	equal(t, "an empty log", data(t, log.Read(t.Context(), start, eventlog.Query{})))
	ids := appendN(t, log, "t", 6)
	even := func(e *eventlog.Event) bool { return (e.Data[0]-'0')%2 == 0 }
	for _, tt := range []struct {
		why   string
		after eventlog.ID
		q     eventlog.Query
		want  []string
	}{
		{"from the start", start, eventlog.Query{}, []string{"0", "1", "2", "3", "4", "5"}},
		{"exclusive of the place", ids[1], eventlog.Query{}, []string{"2", "3", "4", "5"}},
		{"from the end", ids[5], eventlog.Query{}, nil},
		{"UpTo is inclusive", ids[0], eventlog.Query{UpTo: ids[2]}, []string{"1", "2"}},
		{"UpTo before the place", ids[3], eventlog.Query{UpTo: ids[2]}, nil},
		{"Limit", start, eventlog.Query{Limit: 2}, []string{"0", "1"}},
		{"Match", start, eventlog.Query{Match: even}, []string{"0", "2", "4"}},
		{"Limit counts what matches", start, eventlog.Query{Match: even, Limit: 2}, []string{"0", "2"}},
	} {
		equal(t, tt.why, data(t, log.Read(t.Context(), tt.after, tt.q)), tt.want...)
	}
}

// testReadByTopic has more events than any page holds, in topics that overlap.
func testReadByTopic(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{})
	start := origin(t, log)
	const n = 2000
	var recs []eventlog.Record
	var want []string
	for i := range n {
		r := record([]string{"a", "b", "c", "d"}[i%4], fmt.Sprint(i))
		if i%3 == 0 {
			r.Topics = append(r.Topics, "thirds")
		}
		recs = append(recs, r)
		if i%4 == 1 || i%3 == 0 {
			want = append(want, fmt.Sprint(i))
		}
	}
	appendAll(t, log, recs...)
	topics := []string{"b", "thirds", "none"}
	equal(t, "two topics of many", data(t, log.Read(t.Context(), start, onTopic(topics...))), want...)
}

func testTail(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{})
	start := origin(t, log)
	appendN(t, log, "t", 3)
	const more = 1000
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			i := 0
			for e, err := range log.Tail(ctx, start) {
				if err != nil {
					t.Errorf("after %d events: %v", i, err)
					return
				}
				want := fmt.Sprint(i)
				if i >= 3 {
					want = fmt.Sprint(i - 3)
				}
				if string(e.Data) != want {
					t.Errorf("event %d: got %q, want %q", i, e.Data, want)
					return
				}
				if i++; i == more+3 {
					return
				}
			}
		})
	}
	appendN(t, log, "t", more)
	wg.Wait()
}

// testTailTrimmed has retention overtake a tail: it is told, whatever it was
// given before, and no event is skipped in silence.
func testTailTrimmed(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{Events: 10})
	start := origin(t, log)
	appendN(t, log, "t", 1)
	n := 0
	var err error
	var e *eventlog.Event
	for e, err = range log.Tail(t.Context(), start) {
		if err != nil {
			break
		}
		if n == 0 {
			appendN(t, log, "t", 1000) // more than any page, so that some were never taken
			settle(t, log, 10)
		} else if string(e.Data) != fmt.Sprint(n-1) {
			t.Fatalf("event %d has the data %q: some were skipped without a word", n, e.Data)
		}
		n++
	}
	var trimmed *eventlog.ErrTrimmed
	if !errors.As(err, &trimmed) || trimmed.Origin != origin(t, log) {
		t.Errorf("after %d events: %v; want ErrTrimmed with the origin", n, err)
	}
}

func testPlaces(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{Events: 3})
	start := origin(t, log)
	ids := appendN(t, log, "t", 10)
	settle(t, log, 3)
	for _, read := range []func(context.Context, eventlog.ID) iter.Seq2[*eventlog.Event, error]{
		log.Tail,
		func(ctx context.Context, after eventlog.ID) iter.Seq2[*eventlog.Event, error] {
			return log.Read(ctx, after, eventlog.Query{})
		},
	} {
		var trimmed *eventlog.ErrTrimmed
		for _, after := range []eventlog.ID{start, ids[0], ids[4]} {
			if err := lastError(read(t.Context(), after)); !errors.As(err, &trimmed) || trimmed.Origin != origin(t, log) {
				t.Errorf("after %v, which is not retained: %v; want ErrTrimmed with the origin", after, err)
			}
		}
		ahead := ids[9]
		ahead.Lo++
		if err := lastError(read(t.Context(), ahead)); !errors.Is(err, eventlog.ErrAhead) {
			t.Errorf("beyond the end: %v; want ErrAhead", err)
		}
		foreign := ids[8]
		foreign.Epoch++
		for _, after := range []eventlog.ID{foreign, {}} {
			if err := lastError(read(t.Context(), after)); !errors.Is(err, eventlog.ErrEpoch) {
				t.Errorf("after %v, of another log: %v; want ErrEpoch", after, err)
			}
		}
	}
}

func testRetention(t *testing.T, open Open) {
	t.Run("Events", func(t *testing.T) {
		log := openLog(t, open, eventlog.Retention{Events: 3})
		appendN(t, log, "t", 10)
		settle(t, log, 3)
		equal(t, "the newest three", data(t, log.Read(t.Context(), origin(t, log), eventlog.Query{})), "7", "8", "9")
		if b, err := log.Bounds(t.Context()); err != nil || b.Events != 3 {
			t.Errorf("Bounds = %+v, %v; want 3 events", b, err)
		}
	})
	t.Run("Bytes", func(t *testing.T) {
		log := openLog(t, open, eventlog.Retention{Bytes: 100_000})
		for range 50 {
			appendAll(t, log, record("t", strings.Repeat("x", 10_000)))
		}
		settle(t, log, 10)
		got := len(data(t, log.Read(t.Context(), origin(t, log), eventlog.Query{})))
		if got < 5 || got > 10 {
			t.Errorf("%d events of 10,000 bytes are retained within 100,000", got)
		}
	})
	t.Run("Age", func(t *testing.T) {
		log := openLog(t, open, eventlog.Retention{Age: 50 * time.Millisecond})
		appendN(t, log, "t", 5)
		settle(t, log, 0) // also while nothing is appended
		appendN(t, log, "t", 1)
		equal(t, "after the trim", data(t, log.Read(t.Context(), origin(t, log), eventlog.Query{})), "0")
	})
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

func testNewest(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{})
	for i := range 10 {
		appendAll(t, log, record("a", fmt.Sprint("a", i)), record("b", fmt.Sprint("b", i)))
	}
	odd := func(e *eventlog.Event) bool { return e.Data[1]%2 == 1 }
	for _, tt := range []struct {
		why   string
		topic string
		n     int
		match func(*eventlog.Event) bool
		want  []string
	}{
		{"oldest first", "a", 3, nil, []string{"a7", "a8", "a9"}},
		{"n of those that match", "b", 3, odd, []string{"b5", "b7", "b9"}},
		{"as many as there are", "b", 99, odd, []string{"b1", "b3", "b5", "b7", "b9"}},
		{"no such topic", "c", 3, nil, []string{}},
	} {
		events, err := log.Newest(t.Context(), tt.topic, tt.n, tt.match)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, e := range events {
			got = append(got, string(e.Data))
		}
		equal(t, tt.why, got, tt.want...)
	}
}

func testAt(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{Events: 3})
	start := origin(t, log)
	at := func(when time.Time) eventlog.ID {
		t.Helper()
		id, err := log.At(t.Context(), when)
		if err != nil {
			t.Fatalf("At(%v): %v", when, err)
		}
		return id
	}
	if got := at(time.Now().Add(-time.Hour)); got != start {
		t.Errorf("in an empty log: %v; want its start, %v", got, start)
	}
	ids := appendN(t, log, "t", 3)
	if got := at(time.Now().Add(-time.Hour)); got != start {
		t.Errorf("before the first: %v; want the start, %v", got, start)
	}
	if got := at(time.Now().Add(time.Hour)); got != ids[2] {
		t.Errorf("in the future: %v; want the end, %v", got, ids[2])
	}
	for e, err := range log.Read(t.Context(), start, eventlog.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if got := at(e.Time); got.Compare(e.ID) >= 0 {
			t.Errorf("at an event's own time: %v leaves %v out", got, e.ID)
		}
	}
	appendN(t, log, "t", 3)
	settle(t, log, 3)
	var trimmed *eventlog.ErrTrimmed
	if _, err := log.At(t.Context(), time.Now().Add(-time.Hour)); !errors.As(err, &trimmed) || trimmed.Origin != origin(t, log) {
		t.Errorf("before what was dropped: %v; want ErrTrimmed with the origin", err)
	}
}

func testByPublisherID(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{Events: 3})
	named := record("t", "x")
	named.PublisherID = "mine"
	ids := appendAll(t, log, named, record("t", "y"), named)
	find := func(name string) (eventlog.ID, error) { return log.ByPublisherID(t.Context(), name) }
	if got, err := find("mine"); err != nil || got != ids[0] {
		t.Errorf("the oldest of two: %v, %v; want %v", got, err, ids[0])
	}
	if _, err := find("other"); !errors.Is(err, eventlog.ErrNotFound) {
		t.Errorf("an unknown id: %v; want ErrNotFound", err)
	}
	appendN(t, log, "t", 1)
	settle(t, log, 3)
	if got, err := find("mine"); err != nil || got != ids[2] {
		t.Errorf("the oldest retained: %v, %v; want %v", got, err, ids[2])
	}
	appendN(t, log, "t", 3)
	settle(t, log, 3)
	if _, err := find("mine"); !errors.Is(err, eventlog.ErrNotFound) {
		t.Errorf("none retained: %v; want ErrNotFound", err)
	}
}

func testTopics(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{Events: 3})
	appendN(t, log, "gone", 2)
	appendN(t, log, "a", 1)
	ids := appendAll(t, log, record("b", "1"), eventlog.Record{Topics: []string{"b", "c"}, Data: []byte("2")})
	settle(t, log, 3)
	got := map[string]eventlog.Topic{}
	for topic, err := range log.Topics(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got[topic.Name] = topic
	}
	if len(got) != 3 || got["a"].Events != 1 || got["b"].Events != 2 || got["c"].Events != 1 {
		t.Errorf("Topics = %+v; want a:1 b:2 c:1", got)
	}
	if got["b"].Last != ids[1] || got["b"].Bytes <= 0 {
		t.Errorf("Topics: b = %+v; want its last, %v, and a size", got["b"], ids[1])
	}
}

func testDelete(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{Events: 100})
	start := origin(t, log)
	secret := record("a", "secret")
	secret.PublisherID, secret.Key = "mine", "k"
	secret.Topics = append(secret.Topics, "b")
	ids := appendAll(t, log, record("a", "1"), secret, record("a", "3"), record("b", "4"))
	is := func(what string) func(*eventlog.Event) bool {
		return func(e *eventlog.Event) bool { return string(e.Data) == what }
	}
	for _, want := range []int{1, 0} { // the second time there is nothing left
		if n, err := log.Delete(t.Context(), eventlog.ID{}, eventlog.Query{Topics: []string{"a"}, Match: is("secret")}); n != want || err != nil {
			t.Fatalf("Delete = %d, %v; want %d", n, err, want)
		}
	}
	equal(t, "read", data(t, log.Read(t.Context(), start, eventlog.Query{})), "1", "3", "4")
	equal(t, "read by topic", data(t, log.Read(t.Context(), start, onTopic("b"))), "4")
	equal(t, "its place stays", data(t, log.Read(t.Context(), ids[1], eventlog.Query{})), "3", "4")
	if events, err := log.Newest(t.Context(), "b", 2, nil); err != nil || len(events) != 1 {
		t.Errorf("Newest = %d events, %v; want 1", len(events), err)
	}
	if _, err := log.ByPublisherID(t.Context(), "mine"); !errors.Is(err, eventlog.ErrNotFound) {
		t.Errorf("its id: %v; want ErrNotFound", err)
	}
	if b, err := log.Bounds(t.Context()); err != nil || b.Events != 3 || b.Origin != start || b.Last != ids[3] {
		t.Errorf("Bounds = %+v, %v; want 3 events between the same ends", b, err)
	}
	if results, err := log.Append(t.Context(), secret); err != nil || results[0].Duplicate || results[0].Err != nil {
		t.Errorf("its key: %+v, %v; want a new event", results, err)
	}
	if n, err := log.Delete(t.Context(), eventlog.ID{}, eventlog.Query{}); n != 4 || err != nil {
		t.Errorf("Delete of all = %d, %v; want 4", n, err)
	}
	equal(t, "nothing is left", data(t, log.Read(t.Context(), start, eventlog.Query{})))
	appendN(t, log, "t", 200) // tombstones go with the rest
	settle(t, log, 100)
	if b, err := log.Bounds(t.Context()); err != nil || b.Events != 100 {
		t.Errorf("Bounds = %+v, %v; want 100 events", b, err)
	}
}

// testConcurrent has writers and tails run at once: each tail sees the same
// order, and each writer's events in the order it wrote them.
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
