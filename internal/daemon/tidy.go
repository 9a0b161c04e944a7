package daemon

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/tidings-sse/tidings/hub"
)

const (
	tidyEvery = 5 * time.Second
	crowd     = 1000 // streams, or a quarter of those that are open
)

// tidy gives memory back once a crowd of streams has come, or gone. What their
// connecting took, and what they held, would stay with the process for minutes:
// until the next collection, which is far off on a hub with little to do, and
// until the runtime gets round to returning what that frees.
func tidy(ctx context.Context, h *hub.Hub) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	var c crowds
	again := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			moved := c.moved(h.Turnover())
			if moved || again { // what is pooled outlives one collection
				giveBack()
			}
			again = moved
		}
	}
}

// giveBack returns to the system what the process does not use. For each
// processor the runtime keeps goroutines that have ended, dozens with a stack,
// until that processor is taken away.
func giveBack() {
	n := runtime.GOMAXPROCS(1)
	runtime.GOMAXPROCS(n)
	debug.FreeOSMemory()
}

// crowds notices them in how many streams were opened, and are open.
type crowds struct{ settled, last uint64 }

// moved reports whether a crowd has come or gone since it last did, and no more
// than a few are coming or going still.
func (c *crowds) moved(opened, open uint64) bool {
	turnover := 2*opened - open // opened and closed
	moving := turnover-c.last >= crowd/10
	c.last = turnover
	if moving || turnover-c.settled < max(crowd, open/4) {
		return false
	}
	c.settled = turnover
	return true
}
