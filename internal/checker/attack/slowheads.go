//go:build linux

package attack

import "context"

// slowHeads sends heads at a byte a second.
func slowHeads(ctx context.Context, t *trial) {
	t.swarm(ctx, t.n(2000), func(ctx context.Context, i int) bool {
		return t.drip(ctx, "GET /events?topic=attack HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
	})
}
