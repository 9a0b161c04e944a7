package disklog

import (
	"slices"
	"testing"

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
