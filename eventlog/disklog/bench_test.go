package disklog

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

// BenchmarkAppend measures concurrent publishers that append events of 200 bytes on 10,000
// topics, one per call, b.N in all.
func BenchmarkAppend(b *testing.B) {
	for _, mode := range []struct {
		name      string
		retention eventlog.Retention
		relaxed   bool
	}{
		{"durable", eventlog.Retention{}, false},
		{"retained", eventlog.Retention{Events: 200_000}, false},
		{"relaxed", eventlog.Retention{}, true},
	} {
		for _, publishers := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/publishers=%d", mode.name, publishers), func(b *testing.B) {
				l, err := Open(b.TempDir(), Options{Retention: mode.retention, Relaxed: mode.relaxed, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					b.Fatal(err)
				}
				benchmarkAppend(b, l, publishers)
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

func benchmarkAppend(b *testing.B, l *Log, publishers int) {
	data := []byte(strings.Repeat("x", 200))
	topics := make([][]string, 10_000)
	for i := range topics {
		topics[i] = []string{fmt.Sprintf("https://shop.example/orders/%d", i)}
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	commits := l.commits.Load()
	b.ResetTimer()
	for range publishers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := l.Append(b.Context(), eventlog.Record{Topics: topics[i%10_000], Data: data}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if at, err := l.Bounds(b.Context()); err != nil || at.Last.Lo != uint64(b.N) {
		b.Fatalf("Bounds = %+v, %v; want %d events", at, err, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.N)/float64(max(1, l.commits.Load()-commits)), "events/commit")
}
