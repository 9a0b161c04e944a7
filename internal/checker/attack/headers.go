//go:build linux

package attack

import (
	"context"
	"fmt"
	"strings"
)

// headers sends huge headers that the hub may remember, each another one.
func headers(ctx context.Context, t *trial) {
	huge := strings.Repeat("x", 900_000)
	names := []string{"Origin", "Host"}
	t.swarm(ctx, 4, func(ctx context.Context, i int) bool {
		t.ask(ctx, "GET", "/events?topic=a&last=1", "", "Accept", "application/x-ndjson",
			names[i/4%2], fmt.Sprintf("https://%d.%s.example", i, huge))
		return true // to be refused is what it is about
	})
}
