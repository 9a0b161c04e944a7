package logtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

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
		settle(t, log, 9) // ten exceed the limit, with the overhead of each
		got := len(data(t, log.Read(t.Context(), origin(t, log), eventlog.Query{})))
		if got < 5 || got > 9 {
			t.Errorf("%d events of 10,000 bytes are retained within 100,000", got)
		}
	})
	t.Run("Age", func(t *testing.T) {
		log := openLog(t, open, eventlog.Retention{Age: 50 * time.Millisecond})
		appendN(t, log, "t", 5)
		settle(t, log, 0) // even while nothing is appended
		appendN(t, log, "t", 1)
		equal(t, "after the trim", data(t, log.Read(t.Context(), origin(t, log), eventlog.Query{})), "0")
	})
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
	for _, want := range []int{1, 0} { // the second call finds nothing left
		if n, err := log.Delete(t.Context(), eventlog.ID{}, eventlog.Query{Topics: []string{"a"}, Match: is("secret")}); n != want || err != nil {
			t.Fatalf("Delete = %d, %v; want %d", n, err, want)
		}
	}
	equal(t, "read", data(t, log.Read(t.Context(), start, eventlog.Query{})), "1", "3", "4")
	equal(t, "read by topic", data(t, log.Read(t.Context(), start, onTopic("b"))), "4")
	equal(t, "its position stays", data(t, log.Read(t.Context(), ids[1], eventlog.Query{})), "3", "4")
	if events, err := log.Newest(t.Context(), "b", 2, nil); err != nil || len(events) != 1 {
		t.Errorf("Newest = %d events, %v; want 1", len(events), err)
	}
	if got, err := log.ByPublisherID(t.Context(), "mine"); err != nil || got != ids[1] {
		t.Errorf("its id: %v, %v; want its position, %v", got, err, ids[1])
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
	appendN(t, log, "t", 200) // retention drops tombstones like events
	settle(t, log, 100)
	if b, err := log.Bounds(t.Context()); err != nil || b.Events != 100 {
		t.Errorf("Bounds = %+v, %v; want 100 events", b, err)
	}
}

// testDeletedID deletes events with one publisher's id among others, more than a page
// holds, and one of them before the rest.
func testDeletedID(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{})
	start := origin(t, log)
	var recs []eventlog.Record
	var want []string
	for i := range 3000 {
		r := record("t", fmt.Sprint(i))
		if r.PublisherID = "other"; i%3 == 1 {
			r.PublisherID = "mine"
			want = append(want, fmt.Sprint(i))
		}
		recs = append(recs, r)
	}
	ids := appendAll(t, log, recs...)
	check := func(why string, want ...string) {
		t.Helper()
		equal(t, why, data(t, log.Read(t.Context(), start, withID("mine"))), want...)
		findID(t, log, why, ids[1])
	}
	check("all are there", want...)
	equal(t, "an id that nobody has", data(t, log.Read(t.Context(), start, withID("nobody's"))))

	if n, err := log.Delete(t.Context(), ids[0], eventlog.Query{UpTo: ids[1]}); n != 1 || err != nil {
		t.Fatalf("Delete = %d, %v; want 1", n, err)
	}
	check("the first is deleted", want[1:]...)
	for _, rest := range []int{len(want) - 1, 0} {
		if n, err := log.Delete(t.Context(), eventlog.ID{}, withID("mine")); n != rest || err != nil {
			t.Fatalf("Delete by id = %d, %v; want %d", n, err, rest)
		}
	}
	check("all are deleted")
	equal(t, "from its position", data(t, log.Read(t.Context(), ids[1], eventlog.Query{Limit: 2})), "2", "3")
	again := record("t", "again")
	again.PublisherID = "mine"
	appendAll(t, log, again)
	check("the id is used again", "again")
}

// testDeletedIDTrimmed lets retention drop a deleted event's position, and then that of a
// later event with the same id.
func testDeletedIDTrimmed(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{Events: 10})
	named := record("t", "x")
	named.PublisherID = "mine"
	appendN(t, log, "t", 1)
	first := appendAll(t, log, named)[0]
	appendN(t, log, "t", 6)
	second := appendAll(t, log, named)[0]
	if n, err := log.Delete(t.Context(), eventlog.ID{}, withID("mine")); n != 2 || err != nil {
		t.Fatalf("Delete = %d, %v; want 2", n, err)
	}
	findID(t, log, "both are retained", first)
	appendN(t, log, "t", 6)
	settle(t, log, 10)
	findID(t, log, "one is retained", second)
	appendN(t, log, "t", 10)
	settle(t, log, 10)
	findID(t, log, "none is retained", eventlog.ID{})
}

// findID checks the position that the publisher's id "mine" has; zero means none.
func findID(t *testing.T, log eventlog.Log, why string, want eventlog.ID) {
	t.Helper()
	got, err := log.ByPublisherID(t.Context(), "mine")
	if got != want || want.IsZero() != errors.Is(err, eventlog.ErrNotFound) || !want.IsZero() && err != nil {
		t.Errorf("%s: ByPublisherID = %v, %v; want %v", why, got, err, want)
	}
}

// testDeleteOvertaken lets retention drop events while they are being deleted. In the end
// all of them must be gone, and no later event.
func testDeleteOvertaken(t *testing.T, open Open) {
	log := openLog(t, open, eventlog.Retention{Events: 1000})
	appendN(t, log, "old", 900)
	more := make([]eventlog.Record, 600)
	for i := range more {
		more[i] = record("new", fmt.Sprint(i))
	}
	seen := 0
	n, err := log.Delete(t.Context(), eventlog.ID{}, eventlog.Query{Match: func(*eventlog.Event) bool {
		if seen++; seen == 100 {
			appendAll(t, log, more...)
			settle(t, log, 1000)
		}
		return true
	}})
	if err != nil || n == 0 || n > 900 {
		t.Errorf("Delete = %d, %v; want some of 900", n, err)
	}
	got := data(t, log.Read(t.Context(), origin(t, log), eventlog.Query{}))
	if len(got) != len(more) || got[0] != "0" {
		t.Errorf("%d events are left; want the %d later ones", len(got), len(more))
	}
}
