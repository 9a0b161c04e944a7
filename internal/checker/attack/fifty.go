//go:build linux

package attack

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// fifty publishes events to fifty topics each, while streams ask for some of them by
// name and by template, so that each event matches each stream many times.
func fifty(ctx context.Context, t *trial) {
	var streams sync.WaitGroup
	streams.Go(func() {
		t.swarm(ctx, t.n(200), func(ctx context.Context, i int) bool {
			return t.hold(ctx, get(fmt.Sprintf("/events?topic=attack/fifty/{x}&topic=attack/fifty/%d&topic=attack/fifty/%d", i%50, (i+7)%50)), holdFor)
		})
	})
	t.every(ctx, 10*time.Millisecond, func(i int) event {
		topics := make([]string, 50)
		for j := range topics {
			topics[j] = fmt.Sprintf("attack/fifty/%d", j)
		}
		return event{Topics: topics, Data: "x"}
	})
	streams.Wait()
}
