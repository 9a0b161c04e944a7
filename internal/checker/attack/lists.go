//go:build linux

package attack

import (
	"context"
	"fmt"
)

// lists asks many times for the list of all topics, on one HTTP/2 connection whose
// streams take nothing.
func lists(ctx context.Context, t *trial) {
	t.publish(ctx, t.n(50_000), func(i int) event {
		return event{Topics: []string{fmt.Sprintf("https://attack.example/lists/%d", i)}, Data: "x"}
	})
	t.swarm(ctx, 1, func(ctx context.Context, i int) bool {
		c, err := t.connect(ctx, 0)
		if err != nil {
			return t.failed(ctx, err)
		}
		defer c.close()
		go func() {
			for range t.n(300) {
				if _, err := c.open("/topics"); err != nil {
					return // read reports the failure
				}
			}
		}()
		return t.failed(ctx, c.read(ctx))
	})
}
