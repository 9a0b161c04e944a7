package pace

import (
	"runtime"
	"sync/atomic"
	"time"
)

// An Activity knows when an event was last published, and how much works in the
// background. [New] makes one. Several goroutines may use it at once.
type Activity struct {
	last  atomic.Int64  // in Unix nanoseconds
	paces atomic.Int64  // paces that have begun and not ended
	half  time.Duration // how many paces may each run half the time
}

// New returns an Activity for a machine with the given number of processors.
func New(processors int) *Activity { return &Activity{half: time.Duration(processors / 2)} }

// liveFor is how long after an event catching up makes room for live delivery.
const liveFor = 100 * time.Millisecond

// Note records that an event has just been published.
func (a *Activity) Note() { a.last.Store(time.Now().UnixNano()) }

// Recent reports whether an event was published within 100 ms of now. A time far in the
// future does not count: the system's clock may have been set back.
func (a *Activity) Recent(now time.Time) bool {
	return time.Duration(now.UnixNano()-a.last.Load()).Abs() < liveFor
}

const (
	// Turn is how long background work runs before it rests or yields.
	Turn = 500 * time.Microsecond
	// MaxLooks is how many events or topics are looked at before others get their turn.
	MaxLooks = 8192
	// MaxTime is how long looking at them may take, for slow selectors.
	MaxTime = 10 * time.Millisecond
)

// A Pace limits background work to half the time while events are being published: after
// each slice it sleeps for as long as the slice took, and longer while much other work
// is paced, so that all of it together takes about half of the processors. A published
// event passes through half a dozen goroutines, and through the peers' side of the
// network, which all need a CPU.
type Pace struct {
	begun  time.Time // start of the slice
	spent  time.Duration
	looked int  // calls of Over
	costly bool // each look takes long, so Over calls Keep every time
	live   *Activity
	rests  time.Duration // how many times as long as it has worked it rests; 0: once
	slot   chan struct{} // released by End; nil: none
	later  func() error  // waits for a slot among long reads; nil: the pace may go on in its slot
}

// Begin returns a Pace. costly says that each look takes long; slot, unless nil, is
// a slot that the caller holds, and that End releases by receiving from it. The caller must
// call End.
func (a *Activity) Begin(costly bool, slot chan struct{}) *Pace {
	a.paces.Add(1)
	return &Pace{begun: time.Now(), costly: costly, live: a, slot: slot}
}

// End ends the pace and releases its slot.
func (p *Pace) End() {
	p.live.paces.Add(-1)
	p.release()
}

func (p *Pace) release() {
	if p.slot != nil {
		<-p.slot
		p.slot = nil
	}
}

const (
	// shortLooks is how many events or topics short work may look at.
	shortLooks = 1024
	// shortTime is how long it may take. That is much longer than so many looks usually
	// take, because under load the goroutine may wait for a processor meanwhile.
	shortTime = 10 * MaxTime
)

// BeginShort does what Begin does, for work that is expected to be short. Once it is not,
// it gives its slot back, and goes on with the slot of the Pace that long returns.
func (a *Activity) BeginShort(slot chan struct{}, long func() (*Pace, error)) *Pace {
	p := a.Begin(false, slot)
	p.later = func() error {
		other, err := long()
		if err == nil {
			p.slot, p.costly = other.slot, other.costly
			a.paces.Add(-1) // Begin counted it twice
		}
		return err
	}
	return p
}

// SlowDown makes the pace rest n times as long as it works.
func (p *Pace) SlowDown(n int) { p.rests = time.Duration(n) }

// EachCounts says that each look takes long.
func (p *Pace) EachCounts() { p.costly = true }

// IsSpent reports whether the pace has looked at more than n events or topics, or worked
// longer than t.
func (p *Pace) IsSpent(n int, t time.Duration) bool { return p.looked > n || p.spent > t }

// IsShort reports whether the work still has a slot for short work.
func (p *Pace) IsShort() bool { return p.later != nil }

// Yield gives a slot for short work back and waits for one for long work, see
// [Activity.BeginShort]; it does nothing if the pace has no such slot. If the
// work is not wanted any more by then, Over reports true from now on.
func (p *Pace) Yield() {
	if p.later == nil {
		return
	}
	p.release()
	p.live.paces.Add(-1) // waiting does not count as work
	err := p.later()
	p.live.paces.Add(1)
	p.later, p.spent = nil, 0
	if err != nil {
		p.looked = MaxLooks
	}
	p.begun = time.Now()
}

// rest returns how long work rests after a slice.
func (a *Activity) rest(took time.Duration) time.Duration {
	half := max(a.half, 1)
	return took * max(time.Duration(a.paces.Load()), half) / half
}

// Keep ends the slice and rests if the slice has lasted for [Turn]. Call it often.
func (p *Pace) Keep() {
	now := time.Now()
	took := now.Sub(p.begun)
	if p.later != nil {
		if p.looked >= shortLooks || took >= shortTime {
			p.Yield()
		}
		return
	}
	if took < Turn {
		return
	}
	p.spent += took
	if p.live.Recent(now) {
		time.Sleep(p.live.rest(took) * max(p.rests, 1))
	} else {
		runtime.Gosched()
	}
	p.begun = time.Now()
}

// Over reports whether others are to get their turn: after [MaxLooks] looks or [MaxTime].
// Call it before each look at an event or a topic; it also calls Keep.
func (p *Pace) Over() bool {
	if p.looked++; p.costly || p.looked%32 == 0 {
		p.Keep()
	}
	return p.looked >= MaxLooks || p.spent > MaxTime
}

// RestAfter rests after work that began at the given time, as Keep does, but at most 10 ms,
// since a slow peer may have been the reason. It returns when the work goes on.
func (a *Activity) RestAfter(begun time.Time) (again time.Time) {
	took := time.Since(begun)
	if took < Turn {
		return begun
	}
	if a.Recent(time.Now()) {
		time.Sleep(min(took, MaxTime))
	}
	return time.Now()
}
