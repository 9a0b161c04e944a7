package mercure

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
)

// What waits to be published is bounded, and what does not fit is reported.
func TestPresenceIsBounded(t *testing.T) {
	log := eventlog.NewMemory(eventlog.Retention{Events: 10})
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(h.Close(), log.Close()); err != nil {
			t.Error(err)
		}
	}()
	var logged bytes.Buffer
	p := &Presence{hub: h, logger: slog.New(slog.NewTextHandler(&logged, nil)), more: make(chan struct{}, 1)}
	i := hub.StreamInfo{Selectors: []string{"small"}}
	for n := range hub.MaxSelectors - 1 {
		i.Selectors = append(i.Selectors, fmt.Sprint(n, strings.Repeat("x", hub.MaxTopicBytes-10))) // too long for an update
	}
	const streams = 100
	for range streams {
		p.note(i, true)
	}
	if p.size > presenceBudget || p.missed == 0 || len(p.queue)+p.missed != streams {
		t.Errorf("%d streams take %d bytes, and %d are missed", len(p.queue), p.size, p.missed)
	}
	waiting := len(p.queue)
	p.publish()
	if p.size != 0 || p.queue != nil || strings.Count(logged.String(), "faster than the log") != 1 {
		t.Errorf("then %d bytes are left, and the log says %s", p.size, logged.String())
	}
	if s, err := h.Stats(t.Context()); err != nil || s.Published != uint64(waiting) {
		t.Errorf("%d of %d were published, %v", s.Published, waiting, err)
	}
}
