//go:build linux

package attack

import (
	"context"
	"io"
)

// descriptors opens more connections than the hub may have files. Half send nothing,
// the others begin a head and do not end it.
func descriptors(ctx context.Context, t *trial) {
	t.swarm(ctx, t.Files+500, func(ctx context.Context, i int) bool {
		if i%2 == 0 {
			return t.drip(ctx, "GET /events?topic=attack HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		}
		c, done, err := t.dial(ctx)
		if err != nil {
			return t.failed(ctx, err)
		}
		defer done()
		_, err = io.Copy(io.Discard, c)
		t.count(ctx, "closed")
		return err == nil
	})
}
