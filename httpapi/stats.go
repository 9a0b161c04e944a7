package httpapi

import (
	"encoding/json"
	"math"
	"net/http"
	"runtime/metrics"
	"time"

	"github.com/tidings-sse/tidings/hub"

	"github.com/tidings-sse/tidings/edge"
)

// stats is the hub's figures as one JSON object. Counters count from started_at; a
// client computes a rate from the difference of two answers.
type stats struct {
	Time      time.Time `json:"time"`
	StartedAt time.Time `json:"started_at"`
	Version   string    `json:"version,omitempty"`
	Draining  bool      `json:"draining"`

	Published struct {
		Events     uint64 `json:"events"`
		Bytes      uint64 `json:"bytes"`
		Duplicates uint64 `json:"duplicates"`
	} `json:"published"`
	Streams struct {
		Open        int               `json:"open"`
		Lagging     int               `json:"lagging"`
		CatchingUp  int               `json:"catching_up"`
		Feeds       int               `json:"feeds"`
		Connects    uint64            `json:"connects"`
		Disconnects map[string]uint64 `json:"disconnects"`
	} `json:"streams"`
	Delivered struct {
		Events uint64 `json:"events"`
		Bytes  uint64 `json:"bytes"`
	} `json:"delivered"`
	CatchUps uint64                   `json:"catch_ups"`
	Gaps     map[hub.GapReason]uint64 `json:"gaps"`
	Latency  latency                  `json:"latency_seconds"`
	Log      struct {
		Events      int64  `json:"events"`
		Bytes       int64  `json:"bytes"`
		LastEventID string `json:"last_event_id"`
	} `json:"log"`
	Memory struct {
		Bytes       uint64 `json:"bytes"`
		WindowBytes int    `json:"window_bytes"`
		PageBytes   int    `json:"page_bytes"`
	} `json:"memory"`
}

// latency is a distribution in seconds. Each bucket is [end, count], where count is the
// number of values below end and not below the previous end. Empty buckets are left
// out.
type latency struct {
	Count   uint64    `json:"count"`
	Sum     seconds   `json:"sum"`
	P50     seconds   `json:"p50"`
	P90     seconds   `json:"p90"`
	P99     seconds   `json:"p99"`
	Buckets []buckets `json:"buckets"`
}

type (
	seconds time.Duration
	buckets [2]any
)

func (s seconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(math.Round(float64(s)/1e3) / 1e6) // to the microsecond
}

func (a *api) stats(w http.ResponseWriter, r *http.Request) {
	s, err := a.hub.Stats(r.Context())
	if err != nil {
		a.Problem(err).Write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	answer := newStats(&s)
	answer.Version = a.version
	_, answer.Draining = a.hub.Draining()
	edge.Encode(w, answer)
}

func newStats(s *hub.Stats) *stats {
	v := &stats{Time: time.Now().UTC(), StartedAt: s.Started.UTC(), CatchUps: s.CatchUps, Gaps: s.Gaps}
	v.Published.Events, v.Published.Bytes, v.Published.Duplicates = s.Published, s.PublishedBytes, s.Duplicates
	v.Streams.Open, v.Streams.Lagging, v.Streams.CatchingUp = s.Streams, s.Lagging, s.CatchingUp
	v.Streams.Feeds, v.Streams.Connects = s.Feeds, s.Connects
	v.Streams.Disconnects = map[string]uint64{}
	for reason, n := range s.Disconnects {
		v.Streams.Disconnects[string(reason)] = n
	}
	v.Delivered.Events, v.Delivered.Bytes = s.Deliveries, s.DeliveredBytes
	v.Latency = latency{
		Count:   s.Latency.Count,
		Sum:     seconds(s.Latency.Sum),
		P50:     seconds(s.Latency.Quantile(0.5)),
		P90:     seconds(s.Latency.Quantile(0.9)),
		P99:     seconds(s.Latency.Quantile(0.99)),
		Buckets: []buckets{},
	}
	for _, b := range s.Latency.Buckets {
		v.Latency.Buckets = append(v.Latency.Buckets, buckets{seconds(b.UpTo), b.Count})
	}
	v.Log.Events, v.Log.Bytes, v.Log.LastEventID = s.Log.Events, s.Log.Bytes, s.Log.Last.String()
	v.Memory.Bytes, v.Memory.WindowBytes, v.Memory.PageBytes = memory(), s.WindowBytes, s.PageBytes
	return v
}

// memory returns how many bytes of memory the process has from the system.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
