//go:build linux

package attack

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// stalled opens HTTP/2 streams that stop taking bytes in the middle of a large event.
// Each has its own selectors, so that they share nothing.
func stalled(ctx context.Context, t *trial) {
	const perConnection = 500
	var streams sync.WaitGroup
	streams.Go(func() {
		t.swarm(ctx, max(1, t.n(3000)/perConnection), func(ctx context.Context, i int) bool {
			return t.stall(ctx, i, min(perConnection, t.n(3000)))
		})
	})
	large := strings.Repeat("x", 900_000)
	t.every(ctx, 2*time.Second, func(i int) event { return event{Topics: []string{"attack/stalled"}, Data: large} })
	streams.Wait()
}

// stall opens streams on one connection.
func (t *trial) stall(ctx context.Context, i, streams int) bool {
	c, err := t.connect(ctx, 16<<10)
	if err != nil {
		return t.failed(ctx, err)
	}
	defer c.close()
	go func() {
		for j := range streams {
			path := fmt.Sprintf("/events?topic=attack/stalled&topic=attack/own/%d/%d", i, j)
			if _, err := c.open(path, "accept", "text/event-stream"); err != nil {
				return // read reports the failure
			}
		}
	}()
	return t.failed(ctx, c.read(ctx))
}
