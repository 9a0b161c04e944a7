package hub

import (
	"runtime"
	"sync/atomic"
	"time"
)

// activity remembers when something was last published.
type activity struct{ last atomic.Int64 } // in Unix nanoseconds

// liveFor is for how long after it who catches up makes room for who is live.
const liveFor = 100 * time.Millisecond

func (a *activity) note() { a.last.Store(time.Now().UnixNano()) }

func (a *activity) recent(now time.Time) bool { return now.UnixNano()-a.last.Load() < int64(liveFor) }

// turn is how long the log is read at a time for those who catch up.
const turn = 500 * time.Microsecond

// pace limits work that fills a processor to half of the time while events are being
// published: after each slice it sleeps for as long as the slice took. An event that is
// published passes through half a dozen goroutines, and through the peers' side of the
// network, which all wait for a processor.
type pace struct {
	begun  time.Time // the slice
	spent  time.Duration
	looked int  // see over
	costly bool // each look takes long
	live   *activity
	slot   chan struct{} // that end gives back; nil: none
}

// keep is called often, and rests when it is time.
func (p *pace) keep() {
	now := time.Now()
	took := now.Sub(p.begun)
	if took < turn {
		return
	}
	p.spent += took
	if p.live.recent(now) {
		time.Sleep(took)
	} else {
		runtime.Gosched()
	}
	p.begun = time.Now()
}

// over is called before each look at an event or a topic. It reports whether others
// are to get their turn.
func (p *pace) over() bool {
	if p.looked++; p.costly || p.looked%32 == 0 {
		p.keep()
	}
	return p.looked >= pageScan || p.spent > pageTime
}

// Rest is called often by work that fills a processor and has no slot, with what it
// returned before, or the time when the work began. While events are being published it
// makes the work rest for as long as it has taken since, but no longer than 10 ms: a peer
// may have held it up.
func (h *Hub) Rest(begun time.Time) (again time.Time) {
	took := time.Since(begun)
	if took < turn {
		return begun
	}
	if h.Live() {
		time.Sleep(min(took, pageTime))
	}
	return time.Now()
}

// end gives the slot back.
func (p *pace) end() { <-p.slot }
