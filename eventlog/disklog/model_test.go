package disklog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

// A model is a log as a plain slice.
type model struct {
	events []*eventlog.Event // without deleted ones
	named  []*eventlog.Event // those with a publisher's id, deleted ones included
	origin eventlog.ID
	last   eventlog.ID
}

// TestModel runs random operations on a log and on the model, and compares the two.
func TestModel(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			dir := t.TempDir()
			o := Options{tune: small, Window: []int64{1, 20_000, 1 << 20}[rng.IntN(3)], Retention: eventlog.Retention{Events: int64(100 + rng.IntN(400))},
				unsettled: []uint64{1, 50, unsettled}[seed]}
			l := open1(t, dir, o)
			m := &model{origin: l.id(0), last: l.id(0)}
			for step := range 80 {
				switch n := rng.IntN(20); {
				case n < 10:
					m.append(t, l, rng, step)
				case n < 12:
					m.delete(t, l, rng)
				case n == 12:
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
					l = open1(t, dir, o)
				}
				m.trim(t, l, o.Retention.Events)
				m.compare(t, l, rng)
				if t.Failed() {
					t.Fatalf("at step %d", step)
				}
			}
		})
	}
}

func (m *model) append(t *testing.T, l *Log, rng *rand.Rand, step int) {
	var recs []eventlog.Record
	for i := range 1 + rng.IntN(60) {
		r := testRecord(step, i)
		if rng.IntN(5) == 0 {
			r.Key, r.PublisherID = fmt.Sprint("key", rng.IntN(200)), fmt.Sprint("mine", rng.IntN(200))
			r.Data = r.Data[:rng.IntN(2)] // so that some records are repeated, and some keys reused
		}
		recs = append(recs, r)
	}
	results, err := l.Append(t.Context(), recs...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range recs {
		if j := slices.IndexFunc(m.events, func(e *eventlog.Event) bool { return r.Key != "" && e.Key == r.Key }); j >= 0 {
			want := eventlog.Result{ID: m.events[j].ID, Duplicate: true}
			if fmt.Sprint(m.events[j].Record) != fmt.Sprint(r) {
				want = eventlog.Result{Err: eventlog.ErrKeyReused}
			}
			if results[i] != want {
				t.Errorf("a used key: %+v, want %+v", results[i], want)
			}
			continue
		}
		if results[i].Err != nil || results[i].Duplicate || results[i].ID.Compare(m.last) <= 0 {
			t.Errorf("a new event: %+v after %v", results[i], m.last)
		}
		m.last = results[i].ID
		e := &eventlog.Event{Record: r, ID: m.last}
		m.events = append(m.events, e)
		if r.PublisherID != "" {
			m.named = append(m.named, e)
		}
	}
}

func (m *model) delete(t *testing.T, l *Log, rng *rand.Rand) {
	topic, third := fmt.Sprint("topic", rng.IntN(7)), uint64(rng.IntN(3))
	match := func(e *eventlog.Event) bool { return slices.Contains(e.Topics, topic) && e.ID.Lo%3 == third }
	q := eventlog.Query{Topics: []string{topic}, Match: match}
	if len(m.named) > 0 && rng.IntN(2) == 0 {
		q = byPublisherID(m.named[rng.IntN(len(m.named))].PublisherID)
	}
	before := len(m.events)
	m.events = slices.DeleteFunc(m.events, q.Match)
	if n, err := l.Delete(t.Context(), eventlog.ID{}, q); err != nil || n != before-len(m.events) {
		t.Errorf("Delete = %d, %v; want %d", n, err, before-len(m.events))
	}
}

func byPublisherID(id string) eventlog.Query {
	return eventlog.Query{PublisherID: id, Match: func(e *eventlog.Event) bool { return e.PublisherID == id }}
}

// trim waits for retention, and drops from the model what it dropped.
func (m *model) trim(t *testing.T, l *Log, limit int64) {
	var b eventlog.Bounds
	eventually(t, "trim", func() bool {
		var err error
		b, err = l.Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return b.Events <= limit
	})
	if over := len(m.events) - int(limit); over > 0 {
		m.origin = m.events[over-1].ID
		m.events = m.events[over:]
		m.named = slices.DeleteFunc(m.named, func(e *eventlog.Event) bool { return e.ID.Compare(m.origin) <= 0 })
	}
	if b.Origin != m.origin || b.Last != m.last || b.Events != int64(len(m.events)) {
		t.Errorf("Bounds = %+v; want %v to %v with %d events", b, m.origin, m.last, len(m.events))
	}
}

func (m *model) compare(t *testing.T, l *Log, rng *rand.Rand) {
	ctx := t.Context()
	text := func(e *eventlog.Event) string { return fmt.Sprint(e.ID, e.Record) }
	same := func(what string, got, want []*eventlog.Event) {
		t.Helper()
		if !slices.EqualFunc(got, want, func(a, b *eventlog.Event) bool { return text(a) == text(b) }) {
			t.Errorf("%s: %d events, want %d", what, len(got), len(want))
		}
	}
	read := func(after eventlog.ID, q eventlog.Query) (events []*eventlog.Event) {
		for e, err := range l.Read(ctx, after, q) {
			if err != nil {
				t.Fatalf("after %v: %v", after, err)
			}
			events = append(events, e)
		}
		return events
	}
	after := l.id(m.origin.Lo + rng.Uint64N(m.last.Lo-m.origin.Lo+1))
	want := slices.Clone(m.events)
	want = slices.DeleteFunc(want, func(e *eventlog.Event) bool { return e.ID.Compare(after) <= 0 })
	got := read(after, eventlog.Query{})
	same("Read", got, want)
	if m.origin.Lo > 0 {
		var trimmed *eventlog.TrimmedError
		for _, err := range l.Read(ctx, l.id(m.origin.Lo-1), eventlog.Query{}) {
			if !errors.As(err, &trimmed) {
				t.Errorf("before the origin: %v", err)
			}
		}
	}

	topics := []string{fmt.Sprint("topic", rng.IntN(9)), fmt.Sprint("topic", rng.IntN(9))}
	on := func(e *eventlog.Event) bool {
		return slices.ContainsFunc(e.Topics, func(t string) bool { return slices.Contains(topics, t) })
	}
	limit := rng.IntN(50)
	want = slices.DeleteFunc(want, func(e *eventlog.Event) bool { return !on(e) })
	if limit > 0 {
		want = want[:min(limit, len(want))]
	}
	same("Read by topic", read(after, eventlog.Query{Topics: topics, Match: on, Limit: limit}), want)

	count := map[string]eventlog.Topic{}
	var newest []*eventlog.Event
	for _, e := range m.events {
		for _, topic := range e.Topics {
			c := count[topic]
			count[topic] = eventlog.Topic{Name: topic, Events: c.Events + 1, Last: e.ID}
		}
		if slices.Contains(e.Topics, topics[0]) {
			newest = append(newest, e)
		}
	}
	found, err := l.Newest(ctx, topics[0], 20, nil)
	if err != nil {
		t.Fatal(err)
	}
	same("Newest", found, newest[max(0, len(newest)-20):])
	if rng.IntN(3) == 0 { // not always, because it settles the tallies, and Open must also cope with pending ones
		m.compareTopics(t, l, count)
	}

	for range 20 {
		name := fmt.Sprint("mine", rng.IntN(200))
		if len(m.named) > 0 && rng.IntN(2) == 0 {
			name = m.named[rng.IntN(len(m.named))].PublisherID
		}
		i := slices.IndexFunc(m.named, func(e *eventlog.Event) bool { return e.PublisherID == name })
		switch id, err := l.ByPublisherID(ctx, name); {
		case i < 0 && !errors.Is(err, eventlog.ErrNotFound), i >= 0 && (err != nil || id != m.named[i].ID):
			t.Errorf("ByPublisherID = %v, %v; want that of the %d-th", id, err, i)
		}
		q := byPublisherID(name)
		want := slices.DeleteFunc(slices.Clone(got), func(e *eventlog.Event) bool { return !q.Match(e) })
		same("Read by publisher's id", read(after, q), want)
	}
	if len(got) > 0 {
		e := got[rng.IntN(len(got))]
		place, err := l.At(ctx, e.Time)
		first := slices.IndexFunc(got, func(o *eventlog.Event) bool { return !o.Time.Before(e.Time) })
		var trimmed *eventlog.TrimmedError
		if errors.As(err, &trimmed) { // a dropped event has the same time
			return
		}
		if err != nil || place.Compare(got[first].ID) >= 0 || first > 0 && place.Compare(got[first-1].ID) < 0 {
			t.Errorf("At(%v) = %v, %v; want the position before %v", e.Time, place, err, got[first].ID)
		}
	}
}

func (m *model) compareTopics(t *testing.T, l *Log, want map[string]eventlog.Topic) {
	for topic, err := range l.Topics(t.Context()) {
		if topic.Bytes = 0; err != nil || topic != want[topic.Name] {
			t.Errorf("Topics: %+v, %v; want %+v", topic, err, want[topic.Name])
		}
		delete(want, topic.Name)
	}
	if len(want) > 0 {
		t.Errorf("Topics: %v are missing", want)
	}
}
