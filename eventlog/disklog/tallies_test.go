package disklog

import (
	"fmt"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

// Pending tallies are settled between two pages of a list of topics. Each topic must be in
// the list once, as before or as after. A list must not commit anything.
func TestTopicsWhileSettling(t *testing.T) {
	const topics = 3 * pageEvents
	l := open1(t, t.TempDir(), Options{unsettled: 2 * topics})
	rounds := 0
	appendRound := func(from, to int) {
		t.Helper()
		var recs []eventlog.Record
		for i := from; i < to; i++ {
			recs = append(recs, record(fmt.Sprint(i), rounds))
		}
		if _, err := l.Append(t.Context(), recs...); err != nil {
			t.Fatal(err)
		}
		rounds++
	}
	pending := func() int { return len(l.pending) }
	list := func(first func()) map[string]int64 {
		t.Helper()
		listed := map[string]int64{}
		for topic, err := range l.Topics(t.Context()) {
			if len(listed) == 0 {
				first()
			}
			if _, twice := listed[topic.Name]; twice || err != nil {
				t.Fatalf("%+v, %v, twice: %t", topic, err, twice)
			}
			listed[topic.Name] = topic.Events
		}
		return listed
	}

	appendRound(0, topics)
	appendRound(0, topics)
	if n := pending(); n != 0 {
		t.Fatalf("%d topics are pending after the most events that may be pending", n)
	}
	appendRound(1, topics+1) // the last is new
	commits := l.commits.Load()
	listed := list(func() {})
	if n := l.commits.Load() - commits; n != 0 || pending() != topics {
		t.Errorf("a list takes %d commits and leaves %d topics pending", n, pending())
	}
	for i := range topics + 1 {
		want := map[int]int64{0: 2, topics: 1}[i]
		if want == 0 {
			want = 3
		}
		if n := listed[fmt.Sprint(i)]; n != want {
			t.Errorf("topic %d has %d events, want %d", i, n, want)
		}
	}

	listed = list(func() {
		appendRound(1, topics+1)
		if n := pending(); n != 0 {
			t.Fatalf("%d topics are pending", n)
		}
	})
	before, after := 0, 0
	for i := 1; i < topics; i++ {
		switch n := listed[fmt.Sprint(i)]; n {
		case 3:
			before++
		case 4:
			after++
		default:
			t.Errorf("topic %d has %d events, want 3 or 4", i, n)
		}
	}
	if before == 0 || after == 0 || listed[fmt.Sprint(topics)] == 0 {
		t.Errorf("%d topics are as before and %d as after; the new one has %d", before, after, listed[fmt.Sprint(topics)])
	}
}
