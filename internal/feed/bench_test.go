package feed

import (
	"fmt"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

// BenchmarkRoute measures routing one event that one feed wants. The time must not depend
// on how many other topics and feeds there are.
func BenchmarkRoute(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("%d feeds", n), func(b *testing.B) {
			d := newMemoryDesk(b)
			for i := range n {
				d.open(d.Head(), fmt.Sprint("topic/", i))
			}
			routeEvents(b, d, func(i int) string { return fmt.Sprint("topic/", i%n) })
		})
	}
	for _, n := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprintf("%d templates", n), func(b *testing.B) {
			d := newMemoryDesk(b)
			for i := range n {
				d.open(d.Head(), fmt.Sprintf("topic/%d/{id}", i))
			}
			routeEvents(b, d, func(i int) string { return fmt.Sprintf("topic/%d/x", i%min(n, 1000)) })
		})
	}
}

func routeEvents(b *testing.B, d *desk, topic func(int) string) {
	events := make([]*eventlog.Event, 1000)
	for i := range events {
		events[i] = &eventlog.Event{Record: eventlog.Record{Topics: []string{topic(i)}, Data: make([]byte, 100)}}
	}
	b.ReportAllocs()
	routed := 0
	for i := 0; b.Loop(); i++ {
		e := *events[i%len(events)]
		e.ID = eventlog.ID{Epoch: 1, Lo: uint64(i + 1)}
		d.mu.Lock()
		d.router.Route(e.Topics, func(f *Feed) {
			routed++
			f.add(&e, 0, func(*Feed) ([]byte, guard) { return plain{}.Append(nil, &e), nil })
		}, func(f *Feed) { f.pass(&e) })
		d.mu.Unlock()
	}
	if routed < b.N {
		b.Fatalf("%d of %d events were routed", routed, b.N)
	}
}
