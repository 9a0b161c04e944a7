//go:build linux

package attack

import (
	"context"
	"fmt"
)

// reads makes requests, with templates that match nothing, for which the hub looks at
// every topic or event: all retained events, the newest event, a list.
func reads(ctx context.Context, t *trial) {
	t.publish(ctx, t.n(20_000), func(i int) event {
		return event{Topics: []string{fmt.Sprintf("https://attack.example/reads/a/rather/long/topic/%d", i)}, Data: "x"}
	})
	paths := []struct{ path, accept string }{
		{"/events?", "application/x-ndjson"},
		{"/events?last=1&", "application/x-ndjson"},
		{"/topics?", "*/*"},
		{"/events?last=1&type=zzz&", "application/x-ndjson"},
	}
	t.swarm(ctx, 8, func(ctx context.Context, i int) bool {
		p := paths[i%len(paths)]
		return t.ask(ctx, "GET", p.path+heavyTemplates(i), "", "Accept", p.accept)
	})
}
