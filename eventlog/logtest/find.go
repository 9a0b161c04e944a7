package logtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

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
	var trimmed *eventlog.TrimmedError
	if _, err := log.At(t.Context(), time.Now().Add(-time.Hour)); !errors.As(err, &trimmed) || trimmed.Origin != origin(t, log) {
		t.Errorf("before what was dropped: %v; want TrimmedError with the origin", err)
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
