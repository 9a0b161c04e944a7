package daemon

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/tidings-sse/tidings/hub"
)

const (
	tidyEvery = 5 * time.Second
	crowd     = 1000 // streams; on a large hub, a quarter of the open ones

	tidyAgain = time.Minute // the least time between two collections for the sake of free memory
	muchFree  = 32 << 20    // bytes of free memory that are worth a collection, if they are a quarter of the heap
)

// tidy returns memory to the system after a crowd of streams has come or gone, and when
// much of the heap has become free in other ways. Otherwise the process would keep for
// minutes what their connecting took and what they held: a hub with little to do collects
// garbage rarely, and the runtime returns free memory slowly.
func tidy(ctx context.Context, h *hub.Hub) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	var c crowds
	again, last := false, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s, _ := h.Stats(ctx) // only the log's figures can fail
			moved := c.moved(s.Connects, uint64(s.Streams))
			if moved || again || !c.moving && time.Since(last) > tidyAgain && isMuch(heapMemory()) { // pooled memory survives one collection
				giveBack()
				last = time.Now()
			}
			again = moved
		}
	}
}

// giveBack returns unused memory to the system. Setting GOMAXPROCS to 1 makes the
// runtime drop the ended goroutines, dozens with a stack, that it caches for each other
// P.
func giveBack() {
	n := runtime.GOMAXPROCS(1)
	runtime.GOMAXPROCS(n)
	debug.FreeOSMemory()
}

// heapMemory returns how many bytes the runtime keeps and does not use, and how many
// objects take.
func heapMemory() (free, used uint64) {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}

// isMuch reports whether so much memory is free that it is worth a collection.
func isMuch(free, used uint64) bool { return free > muchFree && free > used/4 }

// crowds detects crowds from how many streams were opened and how many are open.
type crowds struct {
	settled, last uint64
	moving        bool // many streams come or go
}

// moved reports whether a crowd has come or gone since it last reported one, and only a
// few streams still come or go.
func (c *crowds) moved(opened, open uint64) bool {
	turnover := 2*opened - open // streams opened plus streams closed
	c.moving = turnover-c.last >= crowd/10
	c.last = turnover
	if c.moving || turnover-c.settled < max(crowd, open/4) {
		return false
	}
	c.settled = turnover
	return true
}
