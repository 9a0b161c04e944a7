package disklog

import (
	"fmt"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestDeleteScrubsOnce deletes so many events that it takes many batches. The files are
// not rewritten before the last one.
func TestDeleteScrubsOnce(t *testing.T) {
	log := open1(t, t.TempDir(), Options{Relaxed: true})
	const events = 10_000
	for i := range events / 1000 {
		recs := make([]eventlog.Record, 1000)
		for j := range recs {
			recs[j] = eventlog.Record{Topics: []string{"t"}, Data: fmt.Append(nil, i, j)}
		}
		if _, err := log.Append(t.Context(), recs...); err != nil {
			t.Fatal(err)
		}
	}
	batches, early := 0, 0
	log.OnBury(func() {
		if batches++; log.scrubbing.Load() || len(log.scrub) > 0 {
			early++
		}
	})
	if n, err := log.Delete(t.Context(), eventlog.ID{}, eventlog.Query{}); n != events || err != nil {
		t.Fatalf("%d events were deleted (%v), want %d", n, err, events)
	}
	if batches < 10 || early > 0 {
		t.Errorf("in %d of %d batches, files were being rewritten", early, batches)
	}
}
