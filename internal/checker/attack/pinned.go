//go:build linux

package attack

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// pinned publishes forms with a small topic and a large body, because what is kept of
// an event might pin the whole body. It publishes no faster than a disk can store
// during a soak.
func pinned(ctx context.Context, t *trial) {
	text := url.QueryEscape(strings.Repeat("消息不会丢失", 60))
	const publishers = 32
	interval := time.Duration(float64(publishers*time.Second) / (5000 * t.Scale))
	t.swarm(ctx, publishers, func(ctx context.Context, i int) bool {
		begin := time.Now()
		ok := t.ask(ctx, "POST", "/events", fmt.Sprintf("topic=attack/pinned/%d&data=%s", i%1000, text),
			"Content-Type", "application/x-www-form-urlencoded", "Authorization", t.publisher)
		sleep(ctx, interval-time.Since(begin))
		return ok
	})
}
