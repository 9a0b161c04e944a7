package eventlog_test

import (
	"context"
	"fmt"

	"github.com/tidings-sse/tidings/eventlog"
)

// Append returns the id of each event; Read goes on after one.
func Example() {
	log := eventlog.NewMemory(eventlog.Retention{Events: 1000})
	defer func() { _ = log.Close() }()
	ctx := context.Background()
	results, err := log.Append(ctx,
		eventlog.Record{Topics: []string{"news"}, Data: []byte("first")},
		eventlog.Record{Topics: []string{"sport"}, Data: []byte("second")},
		eventlog.Record{Topics: []string{"news"}, Data: []byte("third")},
	)
	if err != nil {
		panic(err)
	}
	for e, err := range log.Read(ctx, results[0].ID, eventlog.Query{}) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: %s\n", e.Topics[0], e.Data)
	}
	// Output:
	// sport: second
	// news: third
}

// A record with a key that is still retained is not appended again.
func ExampleRecord_key() {
	log := eventlog.NewMemory(eventlog.Retention{})
	defer func() { _ = log.Close() }()
	order := eventlog.Record{Topics: []string{"orders"}, Data: []byte("lamp"), Key: "order-42"}
	for range 2 { // as a publisher does that got no answer
		results, err := log.Append(context.Background(), order)
		if err != nil {
			panic(err)
		}
		fmt.Println("duplicate:", results[0].Duplicate)
	}
	// Output:
	// duplicate: false
	// duplicate: true
}
