package logtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

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
		{"exclusive of the position", ids[1], eventlog.Query{}, []string{"2", "3", "4", "5"}},
		{"from the end", ids[5], eventlog.Query{}, nil},
		{"UpTo is inclusive", ids[0], eventlog.Query{UpTo: ids[2]}, []string{"1", "2"}},
		{"UpTo before the position", ids[3], eventlog.Query{UpTo: ids[2]}, nil},
		{"Limit", start, eventlog.Query{Limit: 2}, []string{"0", "1"}},
		{"Match", start, eventlog.Query{Match: even}, []string{"0", "2", "4"}},
		{"Limit counts what matches", start, eventlog.Query{Match: even, Limit: 2}, []string{"0", "2"}},
	} {
		equal(t, tt.why, data(t, log.Read(t.Context(), tt.after, tt.q)), tt.want...)
	}
}

// testReadByTopic appends more events than a page holds, in overlapping topics.
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

// testTailTrimmed lets retention overtake a tail. The tail must report it and must not
// skip an event silently.
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
			appendN(t, log, "t", 1000) // more than a page, so that the tail has not read some
			settle(t, log, 10)
		} else if string(e.Data) != fmt.Sprint(n-1) {
			t.Fatalf("event %d has the data %q: some were skipped silently", n, e.Data)
		}
		n++
	}
	var trimmed *eventlog.TrimmedError
	if !errors.As(err, &trimmed) || trimmed.Origin != origin(t, log) {
		t.Errorf("after %d events: %v; want TrimmedError with the origin", n, err)
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
		var trimmed *eventlog.TrimmedError
		for _, after := range []eventlog.ID{start, ids[0], ids[4]} {
			if err := lastError(read(t.Context(), after)); !errors.As(err, &trimmed) || trimmed.Origin != origin(t, log) {
				t.Errorf("after %v, which is not retained: %v; want TrimmedError with the origin", after, err)
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
