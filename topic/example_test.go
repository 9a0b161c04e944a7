package topic_test

import (
	"fmt"

	"github.com/tidings-sse/tidings/topic"
)

// A subscription selects topics by their names or by URI Templates.
func ExampleParse() {
	s, err := topic.Parse("news", "https://shop.example/orders/{id}")
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Match([]string{"https://shop.example/orders/42"}))
	fmt.Println(s.Match([]string{"https://shop.example/orders/42/items"}))
	// Output:
	// true
	// false
}
