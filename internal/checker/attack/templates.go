//go:build linux

package attack

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
)

// templates opens streams with as many URI Templates as a request may have. Each
// template has as many expressions as allowed and no literal prefix, so that the hub
// must try it on every new topic. A long new topic then comes every second.
func templates(ctx context.Context, t *trial) {
	var streams sync.WaitGroup
	streams.Go(func() {
		t.swarm(ctx, t.n(100), func(ctx context.Context, i int) bool {
			return t.hold(ctx, get("/events?"+heavyTemplates(i)), time.Hour)
		})
	})
	sleep(ctx, 2*time.Second) // lets the streams open
	t.every(ctx, time.Second, func(i int) event {
		return event{Topics: []string{longTopic(i)}, Data: "x"}
	})
	streams.Wait()
}

// heavyTemplates returns a query with 100 templates that no other stream has. They
// match no topic, which shows only at the topic's end.
func heavyTemplates(i int) string {
	var q strings.Builder
	for j := range 100 {
		q.WriteString("&topic=" + url.QueryEscape(strings.Repeat("{+a}", 8)+fmt.Sprintf("!%d-%d!", i, j)))
	}
	return q.String()[1:]
}

// longTopic returns a new topic of 1,000 bytes.
func longTopic(i int) string {
	topic := fmt.Sprintf("attack/long/%d/%d/", time.Now().UnixNano(), i)
	return topic + strings.Repeat("a", 1000-len(topic))
}
