package logtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// A Place is where a durable engine keeps one log.
type Place struct {
	// Open opens the log, and creates it the first time. The test closes it
	// before it opens it again.
	Open func(t *testing.T, r eventlog.Retention) eventlog.Log

	// Crash ends the open log like a crash of the machine: the next Open finds
	// only what was on stable storage. Nil skips the tests that need it.
	Crash func(t *testing.T)
}

// RunDurable tests an engine whose events survive Close: it runs Run and additional
// tests. place returns a new, empty place.
func RunDurable(t *testing.T, place func(t *testing.T) Place) {
	Run(t, func(t *testing.T, r eventlog.Retention) eventlog.Log { return place(t).Open(t, r) })
	for name, test := range map[string]func(*testing.T, Place){
		"Reopen":         testReopen,
		"ReopenTrimmed":  testReopenTrimmed,
		"Crash":          testCrash,
		"CrashThenPlace": testCrashThenPlace,
		"DeletedID":      testDeletedIDStays,
	} {
		t.Run(name, func(t *testing.T) { test(t, place(t)) })
	}
}

func closeLog(t *testing.T, log eventlog.Log) {
	t.Helper()
	if err := log.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// A view is all that a log's methods return about its contents.
type view struct {
	bounds eventlog.Bounds
	events []string
	topics map[string]eventlog.Topic
}

func look(t *testing.T, log eventlog.Log) view {
	t.Helper()
	v := view{topics: map[string]eventlog.Topic{}}
	var err error
	if v.bounds, err = log.Bounds(t.Context()); err != nil {
		t.Fatal(err)
	}
	for e, err := range log.Read(t.Context(), v.bounds.Origin, eventlog.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		v.events = append(v.events, fmt.Sprint(e.ID, e.Time.UnixNano(), e.Record))
	}
	for topic, err := range log.Topics(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		v.topics[topic.Name] = topic
	}
	return v
}

func sameView(t *testing.T, what string, got, want view) {
	t.Helper()
	equal(t, what+": events", got.events, want.events...)
	if got.bounds != want.bounds {
		t.Errorf("%s: Bounds = %+v, want %+v", what, got.bounds, want.bounds)
	}
	if fmt.Sprint(got.topics) != fmt.Sprint(want.topics) {
		t.Errorf("%s: Topics = %+v, want %+v", what, got.topics, want.topics)
	}
}

// varied returns n records that together use every field of a record.
func varied(n int) []eventlog.Record {
	var recs []eventlog.Record
	for i := range n {
		r := record([]string{"a", "b", "長い.名前/{x}*>"}[i%3], fmt.Sprint(i))
		if i%2 == 0 {
			r.Topics = append(r.Topics, "even")
		}
		if i%5 == 0 {
			r.Type, r.Retry, r.Private = "price", time.Second, true
		}
		if i%7 == 0 {
			r.PublisherID = fmt.Sprint("mine ", i)
			r.Key = fmt.Sprint("key ", i)
		}
		recs = append(recs, r)
	}
	return recs
}

// testReopen checks that closing and opening a log changes nothing.
func testReopen(t *testing.T, p Place) {
	log := p.Open(t, eventlog.Retention{})
	recs := varied(700)
	ids := appendAll(t, log, recs...)
	if n, err := log.Delete(t.Context(), eventlog.ID{}, eventlog.Query{Match: func(e *eventlog.Event) bool { return string(e.Data) == "7" }}); n != 1 || err != nil {
		t.Fatalf("Delete = %d, %v", n, err)
	}
	before := look(t, log)
	for range 3 {
		closeLog(t, log)
		log = p.Open(t, eventlog.Retention{})
		sameView(t, "reopened", look(t, log), before)
	}
	defer func() { closeLog(t, log) }()

	if got, err := log.ByPublisherID(t.Context(), "mine 14"); err != nil || got != ids[14] {
		t.Errorf("ByPublisherID = %v, %v; want %v", got, err, ids[14])
	}
	other := recs[14]
	other.Data = []byte("other")
	results, err := log.Append(t.Context(), recs[14], other)
	if err != nil || results[0] != (eventlog.Result{ID: ids[14], Duplicate: true}) || results[1].Err != eventlog.ErrKeyReused {
		t.Errorf("a key from before: %+v, %v; want a duplicate of %v, and ErrKeyReused", results, err, ids[14])
	}
	if newest, err := log.Newest(t.Context(), "b", 2, nil); err != nil || len(newest) != 2 || newest[1].ID != ids[697] {
		t.Errorf("Newest = %v, %v; want 2 up to %v", newest, err, ids[697])
	}
	after := appendAll(t, log, recs[7], record("a", "new")) // a deleted event's key may be used again
	if after[0].Compare(ids[len(ids)-1]) <= 0 || after[0].Epoch != ids[0].Epoch {
		t.Errorf("the first new id, %v, does not follow %v", after[0], ids[len(ids)-1])
	}
	equal(t, "from an earlier position", data(t, log.Read(t.Context(), ids[698], eventlog.Query{})), "699", "7", "new")
	if at, err := log.At(t.Context(), time.Now().Add(time.Hour)); err != nil || at != after[1] {
		t.Errorf("At = %v, %v; want the end, %v", at, err, after[1])
	}
}

// testReopenTrimmed checks that the origin, and what was dropped before it, survive.
func testReopenTrimmed(t *testing.T, p Place) {
	log := p.Open(t, eventlog.Retention{Events: 10})
	start := origin(t, log)
	appendAll(t, log, varied(1000)...)
	settle(t, log, 10)
	before := look(t, log)
	closeLog(t, log)
	log = p.Open(t, eventlog.Retention{})
	sameView(t, "reopened", look(t, log), before)
	if err := lastError(log.Read(t.Context(), start, eventlog.Query{})); err == nil {
		t.Error("reading from a position trimmed before reopening succeeds")
	}
	if _, err := log.At(t.Context(), time.Now().Add(-time.Hour)); err == nil {
		t.Error("finding a time trimmed before reopening succeeds")
	}
	closeLog(t, log)

	log = p.Open(t, eventlog.Retention{Events: 5}) // the new options' limit applies
	settle(t, log, 5)
	closeLog(t, log)
}

// testDeletedIDStays checks that a deleted event's position is still found after the log
// is opened again, or after a crash if the engine can crash, until retention drops it.
func testDeletedIDStays(t *testing.T, p Place) {
	end := func(log eventlog.Log) { closeLog(t, log) }
	if p.Crash != nil {
		end = func(eventlog.Log) { p.Crash(t) }
	}
	named := record("t", "x")
	named.PublisherID = "mine"
	log := p.Open(t, eventlog.Retention{})
	ids := appendAll(t, log, record("t", "0"), named, named, record("t", "3"), record("t", "4"))
	if n, err := log.Delete(t.Context(), eventlog.ID{}, withID("mine")); n != 2 || err != nil {
		t.Fatalf("Delete = %d, %v; want 2", n, err)
	}
	for range 2 {
		end(log)
		log = p.Open(t, eventlog.Retention{})
		findID(t, log, "the next life", ids[1])
		equal(t, "from its position", data(t, log.Read(t.Context(), ids[1], eventlog.Query{})), "3", "4")
	}
	end(log)
	log = p.Open(t, eventlog.Retention{Events: 1})
	settle(t, log, 1)
	end(log)
	log = p.Open(t, eventlog.Retention{})
	findID(t, log, "retention has passed it", eventlog.ID{})
	closeLog(t, log)
}

// testCrash checks that acknowledged events survive repeated crashes, and that no
// position is used twice.
func testCrash(t *testing.T, p Place) {
	if p.Crash == nil {
		t.Skip("this engine has nothing to crash")
	}
	var want []string
	var last eventlog.ID
	key := record("t", "once")
	key.Key = "k"
	for life := range 5 {
		log := p.Open(t, eventlog.Retention{})
		if life == 0 {
			want = append(want, "once")
			last = appendAll(t, log, key)[0]
		}
		equal(t, "after a crash", data(t, log.Read(t.Context(), origin(t, log), eventlog.Query{})), want...)
		results, err := log.Append(t.Context(), key)
		if err != nil || !results[0].Duplicate {
			t.Errorf("a key from before: %+v, %v", results, err)
		}
		for i := range 20 {
			d := fmt.Sprint(life, "/", i)
			id := appendAll(t, log, record("t", d))[0]
			if id.Compare(last) <= 0 || id.Epoch != last.Epoch {
				t.Fatalf("life %d: the id %v does not follow %v", life, id, last)
			}
			want, last = append(want, d), id
		}
		p.Crash(t)
	}
}

// testCrashThenPlace resumes readers at the end of the log that crashed, and at positions
// just beyond, which the crash may have lost.
func testCrashThenPlace(t *testing.T, p Place) {
	if p.Crash == nil {
		t.Skip("this engine has nothing to crash")
	}
	log := p.Open(t, eventlog.Retention{})
	ids := appendN(t, log, "t", 3)
	p.Crash(t)
	log = p.Open(t, eventlog.Retention{})
	defer func() { closeLog(t, log) }()
	equal(t, "before there is more", data(t, log.Read(t.Context(), ids[2], eventlog.Query{})))
	got := make(chan string)
	go func() {
		for e, err := range log.Tail(t.Context(), ids[2]) {
			if err != nil {
				got <- err.Error()
			} else {
				got <- string(e.Data)
			}
			return
		}
	}()
	next := appendAll(t, log, record("t", "new"))[0]
	if d := <-got; d != "new" {
		t.Errorf("Tail from the old end: %q", d)
	}
	places := []eventlog.ID{ids[2], next.Prev()}
	if lost := ids[2]; lost.Compare(next.Prev()) < 0 {
		lost.Lo++
		places = append(places, lost)
	}
	for _, after := range places {
		equal(t, fmt.Sprintf("after %v", after), data(t, log.Read(t.Context(), after, eventlog.Query{})), "new")
	}
	if !slices.IsSortedFunc([]eventlog.ID{ids[0], ids[1], ids[2], next}, eventlog.ID.Compare) {
		t.Errorf("%v does not follow %v", next, ids)
	}
}
