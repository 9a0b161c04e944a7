//go:build linux

package attack

import (
	"context"
	"fmt"
	"strings"
)

// headers sends headers that the hub may remember, all different: half of them as large
// as a head may be, half much larger.
func headers(ctx context.Context, t *trial) {
	sizes := []int{120_000, 900_000}
	huge := strings.Repeat("x", sizes[1])
	names := []string{"Origin", "Host"}
	t.swarm(ctx, 4, func(ctx context.Context, i int) bool {
		t.ask(ctx, "GET", "/events?topic=a&last=1", "", "Accept", "application/x-ndjson",
			names[i/4%2], fmt.Sprintf("https://%d.%s.example", i, huge[:sizes[i/8%2]]))
		return true // a refusal is what the attack is about
	})
}
