//go:build linux

package attack

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// scrapes asks for the hub's figures without a pause while the hub has many feeds.
func scrapes(ctx context.Context, t *trial) {
	var streams sync.WaitGroup
	streams.Go(func() {
		t.swarm(ctx, min(t.n(10_000), t.Files/2), func(ctx context.Context, i int) bool {
			return t.hold(ctx, get(fmt.Sprintf("/events?topic=attack/scrapes/%d", i)), time.Hour)
		})
	})
	paths := []string{"/stats", "/metrics"}
	t.swarm(ctx, 2, func(ctx context.Context, i int) bool {
		return t.ask(ctx, "GET", paths[i%2], "", "Authorization", t.operator)
	})
	streams.Wait()
}
