//go:build linux

package attack

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// oneshot opens streams with a new template each and leaves at once, while events to
// new topics make the hub try the templates.
func oneshot(ctx context.Context, t *trial) {
	var visits sync.WaitGroup
	visits.Go(func() {
		t.swarm(ctx, 32, func(ctx context.Context, i int) bool {
			return t.hold(ctx, get(fmt.Sprintf("/events?topic=attack/oneshot/%d/{x}", i)), 0)
		})
	})
	t.every(ctx, 100*time.Millisecond, func(i int) event {
		topics := make([]string, 100)
		for j := range topics {
			topics[j] = fmt.Sprintf("attack/oneshot/%d/%d", i*100+j, time.Now().UnixNano())
		}
		return event{Topics: topics, Data: "x"}
	})
	visits.Wait()
}
