package hub

import (
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

func TestAudience(t *testing.T) {
	h, _ := newTestHub(t, eventlog.Retention{})
	for _, selectors := range [][]string{{"news"}, {"news", "weather"}, {"*"}, {"orders/{id}"}, {"orders/{id}", "news"}, {"orders/7", "orders/{id}"}} {
		openStream(t, h, From{}, selectors...)
	}
	audience := h.Audience()
	for topic, want := range map[string]int{"news": 4, "weather": 2, "orders/7": 4, "orders/8": 4, "other": 1} {
		if got := audience(topic); got != want {
			t.Errorf("%d streams get %s, want %d", got, topic, want)
		}
	}
}
