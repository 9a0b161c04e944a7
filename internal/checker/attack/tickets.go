//go:build linux

package attack

import "context"

// tickets asks for tickets that it does not use, with one subject's token and without a
// token.
func tickets(ctx context.Context, t *trial) {
	token := t.token("tickets", false, grant{})
	t.swarm(ctx, 32, func(ctx context.Context, i int) bool {
		if i%2 == 0 {
			return t.ask(ctx, "POST", "/tickets", "")
		}
		return t.ask(ctx, "POST", "/tickets", "", "Authorization", token)
	})
}
