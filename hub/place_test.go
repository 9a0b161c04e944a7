package hub

import (
	"context"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/topic"
)

// TestLastLooksAtSoMuch checks that a search for From.Last is limited, and that OnPartial
// is called when it stopped early.
func TestLastLooksAtSoMuch(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	recs := make([]eventlog.Record, 1000)
	for n := 0; n <= maxLastLooks; n += len(recs) {
		for i := range recs {
			recs[i] = eventlog.Record{Topics: []string{"a"}, Type: "other"}
			if n+i == 0 || n+i == maxLastLooks {
				recs[i].Type = "wanted"
			}
		}
		if _, err := h.Publish(t.Context(), recs...); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		last    int
		typ     string
		partial bool
		found   int
	}{{1, "wanted", false, 1}, {2, "wanted", true, 1}, {1, "zzz", true, 0}, {3, "other", false, 3}} {
		partial := false
		sub := Subscription{Selectors: mustSelect(t, "a"), Types: []string{tt.typ}, From: From{Last: tt.last}, OnPartial: func() { partial = true }}
		events, _, err := h.Retained(t.Context(), sub)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, err := range events {
			if err != nil {
				t.Fatal(err)
			}
			found++
		}
		if found != tt.found || partial != tt.partial {
			t.Errorf("the newest %d of type %s: %d events, partial %v; want %d, %v", tt.last, tt.typ, found, partial, tt.found, tt.partial)
		}
	}
}

// TestReadsWaitForSlots checks that reads, searches and lists of topics wait for slots,
// and that those with slow selectors have a slot of their own.
func TestReadsWaitForSlots(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	put(t, h, "a", "x")
	slow := make([]string, 40)
	for i := range slow {
		slow[i] = "{+a}" + string(rune('a'+i%20)) + "{x}/" + string(rune('a'+i/20))
	}
	costly := mustSelect(t, slow...)
	other, err := h.feeds.Slots.Begin(t.Context(), &costly)
	if err != nil {
		t.Fatal(err)
	}
	read := func(texts ...string) (n int, err error) {
		ctx := t.Context()
		if len(texts) > 1 {
			var cancel func()
			ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
		}
		sel := mustSelect(t, texts...)
		events, _, err := h.Retained(ctx, Subscription{Selectors: sel, From: From{LastEventID: Earliest}})
		if err != nil {
			return 0, err
		}
		for _, err := range events {
			if err != nil {
				return 0, err
			}
			n++
		}
		for _, err := range h.TopicsSeen(ctx, sel, topic.Everything()) {
			if err != nil {
				return 0, err
			}
			n++
		}
		return n, nil
	}
	if n, err := read("a"); n != 2 || err != nil {
		t.Errorf("an ordinary read waits for slow ones: %d, %v", n, err)
	}
	if _, err := read(slow...); err == nil {
		t.Error("a slow read waits for nobody")
	}
	other.End()
}
