package disklog

import "github.com/prometheus/client_golang/prometheus"

var _ prometheus.Collector = (*Log)(nil)

// newSyncTimes measures the syncs that publishers wait for.
func newSyncTimes() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "tidings_log_fsync_seconds",
		Help:    "How long the disk takes to have a group of publishes on stable storage.",
		Buckets: prometheus.ExponentialBuckets(64e-6, 2, 18), // to 8 s
	})
}

// Describe and Collect give Prometheus the time that syncs take.
func (l *Log) Describe(ch chan<- *prometheus.Desc) { l.guard.syncTimes.Describe(ch) }

func (l *Log) Collect(ch chan<- prometheus.Metric) { l.guard.syncTimes.Collect(ch) }
