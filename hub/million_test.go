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
	"github.com/tidings-sse/tidings/internal/feed"
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

// A hall queues the streams that were woken, and has those that are caught up on a topic
// of all in one group.
type hall struct {
	data     []byte
	together *feed.Group // nil: each stream has a topic of its own
	mu       sync.Mutex
	line     []*seat
	awake    bool // together has something to send
	come     sync.Cond
	last     time.Time // when a stream was last woken
}

func (ha *hall) Wake() {
	ha.mu.Lock()
	defer ha.mu.Unlock()
	ha.awake, ha.last = true, time.Now()
	ha.come.Signal()
}

// frames is a framing, as parked streams have one.
var frames = &hub.Framing{
	Open:  func(dst []byte) []byte { return append(dst, '[') },
	Close: func(dst []byte, _ int) []byte { return append(dst, ']') },
}

// fill opens streams on topics in turn, and parks them as a shard does.
func (ha *hall) fill(b *testing.B, h *hub.Hub, topics []string, streams int) []seat {
	seats := make([]seat, streams)
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
		c := st.Cursor()
		b.Cleanup(func() {
			if c.IsGrouped() {
				ha.together.Remove(c)
			}
			st.Close()
		})
		seats[i] = seat{st: st, hall: ha}
		c.SetWaker(&seats[i])
		if _, err := seats[i].take(nil); err != nil {
			b.Fatal(err)
		}
		if ha.together == nil && c.CanJoin() {
			ha.together = feed.NewGroup(c.Feed(), ha)
		}
		if ha.together != nil {
			ha.together.Add(c, int32(i))
		}
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
		if ha.together != nil {
			want -= ha.send()
		}
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

// send sends what there is to the group, and returns how many streams have sent the event.
func (ha *hall) send() (sent int) {
	pass := ha.together.Begin()
	defer pass.End()
	for i := 0; i < pass.Len(); {
		p, _, _ := pass.Pending(i)
		if len(p) == 0 {
			i++
			continue
		}
		if bytes.Contains(p, ha.data) {
			sent++
		}
		if pass.Sent(i) {
			i++
		}
	}
	return sent
}
