package disklog

import "github.com/prometheus/client_golang/prometheus"

var _ prometheus.Collector = (*Log)(nil)

// newSyncTimes returns the histogram of the syncs that publishers wait for.
func newSyncTimes() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "tidings_log_fsync_seconds",
		Help:    "How long the disk takes to sync a group of publishes to stable storage.",
		Buckets: prometheus.ExponentialBuckets(64e-6, 2, 18), // to 8 s
	})
}

// Describe implements [prometheus.Collector].
func (l *Log) Describe(ch chan<- *prometheus.Desc) { l.guard.syncTimes.Describe(ch) }

// Collect implements [prometheus.Collector]. It collects the times of syncs.
func (l *Log) Collect(ch chan<- prometheus.Metric) { l.guard.syncTimes.Collect(ch) }
