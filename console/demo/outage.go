package demo

import (
	"context"
	"sync/atomic"
	"time"
)

// longestOutage limits the outage that a page can request.
const longestOutage = 30 * time.Second

// An Outage is the data of a `pause` on the topic `outage`. It asks this host to publish
// nothing for a while, for all viewers.
type Outage struct {
	Seconds float64 `json:"seconds"`
}

// outages silences the host for as long as pages have requested.
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

// guard wraps generate, and skips it while the host is silenced.
func (o *outages) guard(generate func(time.Time, emit)) func(time.Time, emit) {
	return func(now time.Time, out emit) {
		if now.UnixMilli() >= o.until.Load() {
			generate(now, out)
		}
	}
}
