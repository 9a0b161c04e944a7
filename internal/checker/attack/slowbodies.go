//go:build linux

package attack

import (
	"context"
	"strings"
)

// slowBodies publishes bodies that stop short of their end and then send a byte a
// second, half of them without a token.
func slowBodies(ctx context.Context, t *trial) {
	head := "POST /events?topic=attack/slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n"
	body := "\r\n" + strings.Repeat("x", 900_000)
	t.swarm(ctx, t.n(500), func(ctx context.Context, i int) bool {
		if i%2 == 0 {
			return t.drip(ctx, head+body)
		}
		return t.drip(ctx, head+"Authorization: "+t.publisher+"\r\n"+body)
	})
}
