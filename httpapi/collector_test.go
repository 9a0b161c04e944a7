package httpapi

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// countingCollector counts how often it collects.
type countingCollector struct{ collected int }

func (c *countingCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c *countingCollector) Collect(ch chan<- prometheus.Metric) {
	c.collected++
	ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("collected", "", nil, nil), prometheus.CounterValue, float64(c.collected))
}

// TestSlowCollectorCollectsOnceASecond collects often, and again after a second.
func TestSlowCollectorCollectsOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counting countingCollector
		slow := &slowCollector{Collector: &counting}
		for i := range 30 {
			ch := make(chan prometheus.Metric, 10)
			slow.Collect(ch)
			if len(ch) != 1 {
				t.Fatalf("it sends %d metrics", len(ch))
			}
			if want := 1 + i/11; counting.collected != want {
				t.Errorf("after %v it has collected %d times, want %d", time.Duration(i)*100*time.Millisecond, counting.collected, want)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}
