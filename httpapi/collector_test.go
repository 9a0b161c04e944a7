package httpapi

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
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

// stuckCollector does not collect until it is released.
type stuckCollector struct{ entered, leave chan struct{} }

func (c stuckCollector) Describe(chan<- *prometheus.Desc) {}

func (c stuckCollector) Collect(chan<- prometheus.Metric) {
	c.entered <- struct{}{}
	<-c.leave
}

// TestScrapesAreFew checks that a scrape is refused while as many as allowed are being
// answered.
func TestScrapesAreFew(t *testing.T) {
	log := eventlog.NewMemory(eventlog.Retention{})
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = h.Close(), log.Close() }()
	stuck := stuckCollector{make(chan struct{}), make(chan struct{})}
	handler := metricsHandler(h, h.Budget(), []prometheus.Collector{stuck})
	scrape := func() int {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Code
	}
	var scrapes sync.WaitGroup
	for range maxScrapes {
		scrapes.Go(func() { scrape() })
		<-stuck.entered
	}
	if status := scrape(); status != http.StatusServiceUnavailable {
		t.Errorf("one more is answered with %d", status)
	}
	close(stuck.leave)
	scrapes.Wait()
}
