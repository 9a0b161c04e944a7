package disklog

import (
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// Topics' events may come from the index or a scan, from memory or from the disk, or partly
// from each. The result must be the same.
func TestReadTopics(t *testing.T) {
	const events = 6 * pageEvents
	for name, window := range map[string]int64{"memory": 0, "half of it": events / 2 * 256, "disk": 1} {
		t.Run(name, func(t *testing.T) {
			l := open1(t, t.TempDir(), Options{Window: window})
			var recs []eventlog.Record
			for i := range events {
				r := record([]string{"a", "b", "rare", "c", "c", "c"}[i%6], i)
				switch {
				case i%6 == 2 && i%5 != 0:
					r.Topics = []string{"c"}
				case i%7 == 0:
					r.Topics = []string{"b", "a"}
				}
				recs = append(recs, r)
			}
			if _, err := l.Append(t.Context(), recs...); err != nil {
				t.Fatal(err)
			}
			gone := eventlog.Query{Topics: []string{"a"}, Match: func(e *eventlog.Event) bool { return e.ID.Lo%4 == 0 }}
			b, err := l.Bounds(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n, err := l.Delete(t.Context(), b.Origin, gone); err != nil || n == 0 {
				t.Fatalf("Delete = %d, %v", n, err)
			}
			everything := all(t, l)
			for _, topics := range [][]string{{"a"}, {"b", "rare"}, {"a", "b"}, {"nobody's"}} {
				for skip := uint64(0); skip < events; skip += 100 {
					after := eventlog.ID{Epoch: b.Origin.Epoch, Lo: b.Origin.Lo + skip}
					wants := func(e *eventlog.Event) bool {
						return slices.ContainsFunc(e.Topics, func(topic string) bool { return slices.Contains(topics, topic) })
					}
					var want, got []eventlog.ID
					for _, e := range everything {
						if e.ID.Compare(after) > 0 && wants(e) {
							want = append(want, e.ID)
						}
					}
					for e, err := range l.Read(t.Context(), after, eventlog.Query{Topics: topics, Match: wants}) {
						if err != nil {
							t.Fatal(err)
						}
						got = append(got, e.ID)
					}
					if !slices.Equal(got, want) {
						t.Errorf("%v after %d: %d events, want %d", topics, skip, len(got), len(want))
					}
				}
			}
		})
	}
}

// Pages from the disk end with the event that brings them to their bytes, or their number.
func TestPagesAreBounded(t *testing.T) {
	l := open1(t, t.TempDir(), Options{Window: 1})
	large, small := record("large", 0), record("small", 0)
	large.Data = make([]byte, pageBytes/4+1)
	for range 10 {
		if _, err := l.Append(t.Context(), large); err != nil {
			t.Fatal(err)
		}
	}
	middle, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), slices.Repeat([]eventlog.Record{small}, 2*pageEvents)...); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		why   string
		after eventlog.ID
		q     eventlog.Query
		want  int
	}{
		{"large events", middle.Origin, eventlog.Query{}, 4},
		{"large events of a topic", middle.Origin, eventlog.Query{Topics: []string{"large"}}, 4},
		{"small events", middle.Last, eventlog.Query{}, pageEvents},
		{"small events of a topic", middle.Last, eventlog.Query{Topics: []string{"small"}}, pageEvents},
	} {
		page, next, _, err := l.page(t.Context(), tt.after, tt.q)
		if err != nil || len(page) != tt.want || next != page[len(page)-1].ID {
			t.Errorf("a page of %s has %d events, and ends at %v, %v; want %d", tt.why, len(page), next, err, tt.want)
		}
	}
	for _, foreign := range []eventlog.ID{
		{Epoch: middle.Last.Epoch, Lo: middle.Last.Lo + 1000},
		{Epoch: middle.Last.Epoch, Hi: 1, Lo: middle.Last.Lo},
	} {
		if _, _, _, err := l.page(t.Context(), foreign, eventlog.Query{}); !errors.Is(err, eventlog.ErrAhead) {
			t.Errorf("after %v, which was never given: %v", foreign, err)
		}
	}
}

// Another name may have the hash of the one that is asked for: what stands under it in an
// index is compared with that.
func TestNamesOfOneHash(t *testing.T) {
	l := open1(t, t.TempDir(), Options{})
	r := record("a", 1)
	r.PublisherID = "mine"
	results, err := l.Append(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	at := results[0].ID.Lo
	for _, key := range [][]byte{indexKey(nil, topicSpace, hashOf("other"), at), indexKey(nil, publisherSpace, hashOf("another's"), at)} {
		if err := l.db.Set(key, nil, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	for topic, want := range map[string]int{"a": 1, "other": 0} {
		if events, err := l.Newest(t.Context(), topic, 10, nil); err != nil || len(events) != want {
			t.Errorf("the newest of %q: %d events, %v; want %d", topic, len(events), err, want)
		}
	}
	if id, err := l.ByPublisherID(t.Context(), "mine"); err != nil || id != results[0].ID {
		t.Errorf("by its id: %v, %v", id, err)
	}
	if id, err := l.ByPublisherID(t.Context(), "another's"); !errors.Is(err, eventlog.ErrNotFound) {
		t.Errorf("by an id of the same hash: %v, %v", id, err)
	}
}
