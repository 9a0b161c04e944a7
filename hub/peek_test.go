package hub

import (
	"bytes"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

// TestAdvanceByNothing has a peer that accepts nothing of what the hub itself sends: the
// first position, and a heartbeat. A loop that writes without blocking then advances by 0.
func TestAdvanceByNothing(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	st, err := h.Stream(t.Context(), Subscription{Selectors: topic.Everything()}, StreamOptions{Heartbeat: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, block := range []string{"position", "heartbeat"} {
		first, err := st.Peek()
		if err != nil || len(first) == 0 {
			t.Fatalf("the %s is %q (%v)", block, first, err)
		}
		if !st.Advance(0) {
			t.Errorf("nothing is left of the %s", block)
		}
		again, err := st.Peek()
		if err != nil || !bytes.Equal(again, first) {
			t.Fatalf("after the %s %q comes %q (%v)", block, first, again, err)
		}
		st.Advance(len(again))
		if rest, err := st.Peek(); err != nil || len(rest) > 0 {
			t.Fatalf("after the %s comes %q (%v)", block, rest, err)
		}
		st.Beat()
	}
	s, err := h.Stats(t.Context())
	if err != nil || s.Lagging != 0 {
		t.Errorf("%d streams lag (%v)", s.Lagging, err)
	}
}

// TestClosedStreamForgetsItsList closes a stream that still has positions to send events
// of. A drain refers to closed streams for as long as it lasts.
func TestClosedStreamForgetsItsList(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	for range 3 {
		if _, err := h.Publish(t.Context(), eventlog.Record{Topics: []string{"t"}}); err != nil {
			t.Fatal(err)
		}
	}
	sub := Subscription{Selectors: topic.Everything(), From: From{Last: 3}}
	st, err := h.Stream(t.Context(), sub, StreamOptions{Heartbeat: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if !st.cursor.Recalls() {
		t.Fatal("the stream has no list")
	}
	if st.Close(); st.cursor.Recalls() {
		t.Error("a closed stream keeps its list")
	}
}
