package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"
)

// BenchmarkMillion measures the hub's own part in serving a million streams, without
// sockets: the memory for each, and the time from a publish until every stream of the
// topic has been woken and has sent the event.
//
//	go test -run '^$' -bench Million -benchtime 10x ./hub
func BenchmarkMillion(b *testing.B) {
	const streams = 1_000_000
	for _, topics := range []int{1, streams} {
		b.Run(fmt.Sprintf("%d topics of %d", topics, streams/topics), func(b *testing.B) {
			million(b, topics, streams)
		})
	}
}

func million(b *testing.B, topics, streams int) {
	log := eventlog.NewMemory(eventlog.Retention{Events: 1000})
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { // after the streams
		if err := errors.Join(h.Close(), log.Close()); err != nil {
			b.Error(err)
		}
	})
	names := make([]string, topics)
	for i := range names {
		names[i] = fmt.Sprint("topic/", i)
	}
	data := []byte(`{"price":12.5,"symbol":"TDNG","volume":1200,"note":"a hundred bytes of data, more or less, per event"}`)
	hall := &hall{data: data}
	hall.come.L = &hall.mu
	hall.together = h.Fanout(hall)

	before := heap()
	seats := hall.fill(b, h, names, streams)
	opened := heap() - before

	n := 0
	var waking time.Duration
	for b.Loop() {
		began := time.Now()
		_, err := h.Publish(context.Background(), eventlog.Record{Topics: []string{names[n*7919%topics]}, Data: data})
		if err != nil {
			b.Fatal(err)
		}
		n++
		hall.serve(b, streams/topics)
		waking += hall.last.Sub(began)
	}
	b.ReportMetric(float64(opened)/float64(streams), "B/stream")
	b.ReportMetric(float64(waking)/float64(n*streams/topics), "ns/wake")
	b.ReportMetric(float64(b.Elapsed())/float64(n*streams/topics), "ns/delivery")
	runtime.KeepAlive(seats)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // frees what finalizers and pools held
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// A hall queues the streams that were woken, as a shard does, except those that its
// Fanout serves.
type hall struct {
	data     []byte
	together *hub.Fanout
	taken    int // streams of the Fanout that have sent the event
	seats    []seat
	mu       sync.Mutex
	line     []*seat
	awake    bool // together has something to serve
	come     sync.Cond
	last     time.Time // when a stream was last woken
}

func (ha *hall) Wake() {
	ha.mu.Lock()
	defer ha.mu.Unlock()
	ha.awake, ha.last = true, time.Now()
	ha.come.Signal()
}

func (ha *hall) Write(_ int32, b []byte) (int, error) {
	if bytes.Contains(b, ha.data) {
		ha.taken++
	}
	return len(b), nil
}

func (ha *hall) Leave(tag int32, _ error) {
	ha.line = append(ha.line, &ha.seats[tag])
}

// frames is a framing, as parked streams have one.
var frames = &hub.Framing{
	Open:  func(dst []byte) []byte { return append(dst, '[') },
	Close: func(dst []byte, _ int) []byte { return append(dst, ']') },
}

// fill opens streams on topics in turn, and parks them as a shard does.
func (ha *hall) fill(b *testing.B, h *hub.Hub, topics []string, streams int) []seat {
	seats := make([]seat, streams)
	ha.seats = seats
	for i := range seats {
		sel, err := topic.Parse(topics[i%len(topics)])
		if err != nil {
			b.Fatal(err)
		}
		st, err := h.Stream(context.Background(), hub.Subscription{Selectors: sel}, hub.StreamOptions{
			Retry: 3 * time.Second, Heartbeat: 15 * time.Second, Framing: frames,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			ha.together.Remove(st)
			st.Close()
		})
		seats[i] = seat{st: st, hall: ha}
		st.Park(&seats[i])
		if _, err := seats[i].take(nil); err != nil {
			b.Fatal(err)
		}
		ha.together.Add(st, int32(i))
	}
	return seats
}

type seat struct {
	st   *hub.Stream
	hall *hall
}

func (s *seat) Wake() {
	s.hall.mu.Lock()
	defer s.hall.mu.Unlock()
	s.hall.line = append(s.hall.line, s)
	s.hall.last = time.Now()
	s.hall.come.Signal()
}

// take sends what there is, and reports whether data is in it.
func (s *seat) take(data []byte) (found bool, err error) {
	for {
		p, err := s.st.Peek()
		if len(p) == 0 || err != nil {
			return found, err
		}
		found = found || data != nil && bytes.Contains(p, data)
		s.st.Advance(len(p))
	}
}

// serve serves the queue until want streams have sent the event.
func (ha *hall) serve(b *testing.B, want int) {
	for want > 0 {
		ha.mu.Lock()
		for len(ha.line) == 0 && !ha.awake {
			ha.come.Wait()
		}
		line := ha.line
		ha.line, ha.awake = nil, false
		ha.mu.Unlock()
		ha.taken = 0
		for ha.together.Serve(256) >= 0 {
		}
		want -= ha.taken
		for _, s := range line {
			found, err := s.take(ha.data)
			if err != nil {
				b.Fatal(err)
			}
			if found {
				want--
			}
		}
	}
}
