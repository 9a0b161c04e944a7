package eventlog

import (
	"log/slog"
	"sync"
	"time"
)

// MaxStep is how far the system's clock may step at a time for a [Clock] to follow.
const MaxStep = time.Minute

// A Clock gives a log's events their times. It follows the system's clock as long as
// that goes by the time that passes, give or take MaxStep. A longer step, in either
// direction, is refused: the Clock goes on by the time that passes, which steps do not
// change, and follows again when the system's clock is back within MaxStep of that. So
// an hour in the wrong year leaves no mark on a log, and no event is too old by it.
//
// Where a log begins, nothing tells a wrong time from a right one: a Clock begins with
// the system's time, or with that of the log's last event if that is ahead of it.
//
// The zero value is ready. It belongs to one log; its methods may be called by several
// goroutines at once.
type Clock struct {
	// Read returns the system's time, and how much has passed since any fixed moment.
	// Nil reads the system's clocks. Where those do not tell a step from a machine
	// that slept, as on all but Linux, longer steps forward are followed.
	Read func() (wall time.Time, passed time.Duration)

	Logger *slog.Logger // nil: slog.Default()

	mu      sync.Mutex // guards what follows
	begun   bool
	time    time.Time // at the last reading,
	passed  time.Duration
	slept   time.Duration // as the function of that name
	refused bool          // the system's clock is elsewhere
	steps   uint64
}

// Now returns the time. It may be a little before what Now returned last: a log does
// not go back with it.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

// Begin makes the Clock go on from a log's last event, if that is more than MaxStep
// ahead of the system's clock. Call it once, when the log is opened.
func (c *Clock) Begin(last time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if last.Sub(now) > MaxStep {
		c.time = last
		c.refuse(now)
	}
}

// Steps returns how many steps of the system's clock were refused.
func (c *Clock) Steps() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.steps
}

func (c *Clock) now() time.Time {
	wall, passed := c.read()
	due := c.time.Add(passed - c.passed)
	off := wall.Sub(due)
	if c.begun && off > MaxStep && c.Read == nil {
		asleep, known := slept()
		due, c.slept = due.Add(asleep-c.slept), asleep
		if off = wall.Sub(due); !known {
			off = 0
		}
	}
	if c.passed = passed; c.begun && off.Abs() > MaxStep {
		c.time = due
		c.refuse(wall)
		return due
	}
	if c.refused {
		c.refused = false
		c.logger().Info("eventlog: the system's clock is right again, and the log follows it", "clock", wall)
	}
	if !c.begun {
		c.begun = true
		c.slept, _ = slept()
	}
	c.time = wall
	return wall
}

// refuse notes that the system's clock is somewhere else.
func (c *Clock) refuse(wall time.Time) {
	if c.refused {
		return
	}
	c.refused = true
	c.steps++
	c.logger().Warn("eventlog: the system's clock is more than a minute off from the log's, which goes on by the time that passes; set the clock, or restart the hub if the clock is right",
		"clock", wall, "log", c.time)
}

// start is the moment from which time that passes is counted.
var start = time.Now()

func (c *Clock) read() (wall time.Time, passed time.Duration) {
	if c.Read != nil {
		return c.Read()
	}
	now := time.Now()
	return now.Round(0), now.Sub(start) // by the monotonic clock
}

func (c *Clock) logger() *slog.Logger {
	if c.Logger != nil {
		return c.Logger
	}
	return slog.Default()
}
