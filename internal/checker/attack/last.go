//go:build linux

package attack

import (
	"context"
	"strings"
)

// last asks for as many retained events as possible, many small ones or few large ones,
// and does not read them.
func last(ctx context.Context, t *trial) {
	small, large := strings.Repeat("x", 20_000), strings.Repeat("x", 900_000)
	t.publish(ctx, t.n(10_000), func(int) event { return event{Topics: []string{"attack/last/small"}, Data: small} })
	t.publish(ctx, t.n(250), func(int) event { return event{Topics: []string{"attack/last/large"}, Data: large} })
	t.swarm(ctx, t.n(40), func(ctx context.Context, i int) bool {
		if i%2 == 0 {
			return t.hold(ctx, get("/events?last=10000&topic=attack/last/small"), holdFor)
		}
		return t.hold(ctx, get("/events?topic=attack/last/large", "Accept", "application/x-ndjson"), holdFor)
	})
}
