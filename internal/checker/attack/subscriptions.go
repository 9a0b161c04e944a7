//go:build linux

package attack

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// subscriptions opens streams that are cheap to ask for and expensive to keep, each
// kind in turn.
func subscriptions(ctx context.Context, t *trial) {
	kinds := []func(ctx context.Context, i int) bool{
		func(ctx context.Context, i int) bool { return t.weigh(ctx, manySelectors(i)) },
		func(ctx context.Context, i int) bool {
			return t.weigh(ctx, fmt.Sprintf("topic=attack/%d&ignored=%s", i, strings.Repeat("x", 10_000)))
		},
		func(ctx context.Context, i int) bool {
			return t.weigh(ctx, fmt.Sprintf("topic=attack/%d%s", i, strings.Repeat("&type=t", 9900)))
		},
		func(ctx context.Context, i int) bool {
			return t.weigh(ctx, "topic=attack/payload", "Authorization", t.token("payload", false, grant{Payload: strings.Repeat("x", 45_000)}))
		},
		func(ctx context.Context, i int) bool {
			mine := []string{"a/{a}/{b}", "b/{+a}{b}", "c/{a,b}", "d/{?a,b}"}
			for j := range mine {
				mine[j] = fmt.Sprintf("https://attack.example/%d/%s", i, mine[j])
			}
			return t.weigh(ctx, "topic=attack/grants", "Authorization", t.token(fmt.Sprint(i), false, grant{Subscribe: mine}))
		},
		t.weighHeader,
	}
	t.swarm(ctx, t.n(1000), func(ctx context.Context, i int) bool { return kinds[i%len(kinds)](ctx, i) })
}

func (t *trial) weigh(ctx context.Context, query string, headers ...string) bool {
	return t.hold(ctx, get("/events?"+query, headers...), time.Hour)
}

// manySelectors returns a query with 100 topics of 640 bytes, nearly all that a
// subscription may name.
func manySelectors(i int) string {
	var q strings.Builder
	for j := range 100 {
		topic := fmt.Sprintf("attack/%d/%d/", i, j)
		q.WriteString("&topic=" + url.QueryEscape(topic+strings.Repeat("x", 640-len(topic))))
	}
	return q.String()[1:]
}

// weighHeader opens an HTTP/2 stream with a header as large as allowed.
func (t *trial) weighHeader(ctx context.Context, i int) bool {
	c, err := t.connect(ctx, 1<<20)
	if err != nil {
		return t.failed(ctx, err)
	}
	defer c.close()
	go func() {
		_, _ = c.open(fmt.Sprintf("/events?topic=attack/%d", i), "accept", "text/event-stream", "x-ignored", strings.Repeat("x", 120_000)) // read reports the failure
	}()
	return t.failed(ctx, c.read(ctx))
}
