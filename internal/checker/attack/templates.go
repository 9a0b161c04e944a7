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

// templates opens streams with as many URI Templates as a request may have, each
// with as many expressions and no literal prefix, so that each has to be tried
// on every new topic. Then a long new topic comes every second.
func templates(ctx context.Context, t *trial) {
	var streams sync.WaitGroup
	streams.Go(func() {
		t.swarm(ctx, t.n(100), func(ctx context.Context, i int) bool {
			return t.hold(ctx, get("/events?"+heavyTemplates(i)), time.Hour)
		})
	})
	sleep(ctx, 2*time.Second) // the streams are open
	t.every(ctx, time.Second, func(i int) event {
		return event{Topics: []string{longTopic(i)}, Data: "x"}
	})
	streams.Wait()
}

// heavyTemplates is a query of 100 templates that nobody else has. They match no
// topic, which is found out at its end.
func heavyTemplates(i int) string {
	var q strings.Builder
	for j := range 100 {
		q.WriteString("&topic=" + url.QueryEscape(strings.Repeat("{+a}", 8)+fmt.Sprintf("!%d-%d!", i, j)))
	}
	return q.String()[1:]
}

// longTopic is a new topic of 1,000 bytes.
func longTopic(i int) string {
	topic := fmt.Sprintf("attack/long/%d/%d/", time.Now().UnixNano(), i)
	return topic + strings.Repeat("a", 1000-len(topic))
}
