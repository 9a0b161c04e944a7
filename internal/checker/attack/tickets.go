//go:build linux

package attack

import "context"

// tickets asks for tickets that nobody will use.
func tickets(ctx context.Context, t *trial) {
	t.swarm(ctx, 32, func(ctx context.Context, i int) bool { return t.ask(ctx, "POST", "/tickets", "") })
}
