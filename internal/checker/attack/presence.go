//go:build linux

package attack

import (
	"context"
	"time"
)

// presence connects to as many long selectors as there may be, and goes again:
// the hub publishes each selector's coming and going.
func presence(ctx context.Context, t *trial) {
	t.swarm(ctx, t.n(200), func(ctx context.Context, i int) bool {
		return t.hold(ctx, get("/.well-known/mercure?"+manySelectors(i)), time.Second)
	})
}
