package hub_test

import (
	"context"
	"fmt"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"
)

// A program publishes to a hub of its own, and reads a topic from its beginning.
func Example() {
	log := eventlog.NewMemory(eventlog.Retention{})
	defer func() { _ = log.Close() }()
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		panic(err)
	}
	defer func() { _ = h.Close() }()

	ctx := context.Background()
	for _, data := range []string{"first", "second"} {
		if _, err := h.Publish(ctx, eventlog.Record{Topics: []string{"news"}, Data: []byte(data)}); err != nil {
			panic(err)
		}
	}
	news, err := topic.Parse("news")
	if err != nil {
		panic(err)
	}
	read := 0
	for e, err := range h.Subscribe(ctx, hub.Subscription{Selectors: news, From: hub.From{LastEventID: hub.Earliest}}) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: %s\n", e.Topics[0], e.Data)
		if read++; read == 2 {
			break // Subscribe goes on with what is published from now on
		}
	}
	// Output:
	// news: first
	// news: second
}
