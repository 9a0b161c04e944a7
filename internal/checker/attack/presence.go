//go:build linux

package attack

import (
	"context"
	"time"
)

// presence opens streams with as many long selectors as possible and closes them again:
// the hub publishes an update for each selector, twice.
func presence(ctx context.Context, t *trial) {
	t.swarm(ctx, t.n(200), func(ctx context.Context, i int) bool {
		return t.hold(ctx, get("/.well-known/mercure?"+manySelectors(i)), time.Second)
	})
}
