package disklog

import (
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestRetentionKeepsUp has large batches come as fast as they can, for which
// removing a few events at a time would never be enough.
func TestRetentionKeepsUp(t *testing.T) {
	const limit, batch = 1000, 4000
	l := open1(t, t.TempDir(), Options{Retention: eventlog.Retention{Events: limit}})
	recs := make([]eventlog.Record, batch)
	for i := range recs {
		recs[i] = record("t", i)
	}
	most := int64(0)
	for range 60 {
		if _, err := l.Append(t.Context(), recs...); err != nil {
			t.Fatal(err)
		}
		b, err := l.Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, b.Events)
	}
	if most > limit+16*batch {
		t.Errorf("up to %d events were retained, with a limit of %d and batches of %d", most, limit, batch)
	}
	t.Logf("up to %d events were retained", most)
}
