package demo

import (
	"context"
	"sync/atomic"
	"time"
)

// longestOutage bounds what a page can ask for.
const longestOutage = 30 * time.Second

// An Outage asks, on the topic `outage` and as `pause`, that this host publish
// nothing for a while. It holds for every viewer.
type Outage struct {
	Seconds float64 `json:"seconds"`
}

// outages keeps the host silent as long as pages have asked for.
type outages struct{ until atomic.Int64 } // Unix milliseconds

func (o *outages) follow(ctx context.Context, hub Hub) {
	for event, err := range hub.Follow(ctx, "outage", "") {
		if err != nil {
			return
		}
		if ask, ok := decode[Outage](event); ok && event.Type == "pause" && ask.Seconds > 0 {
			pause := time.Duration(min(ask.Seconds, longestOutage.Seconds()) * float64(time.Second))
			o.until.Store(time.Now().Add(pause).UnixMilli())
		}
	}
}

// guard leaves out the seconds in which the host is silent.
func (o *outages) guard(generate func(time.Time, emit)) func(time.Time, emit) {
	return func(now time.Time, out emit) {
		if now.UnixMilli() >= o.until.Load() {
			generate(now, out)
		}
	}
}
