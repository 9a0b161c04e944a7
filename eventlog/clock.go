package eventlog

import (
	"log/slog"
	"sync"
	"time"
)

// MaxStep is the largest step of the system's clock that a [Clock] follows.
const MaxStep = time.Minute

// A Clock assigns times to a log's events. It follows the system's clock as long as that
// agrees, within MaxStep, with the time that has passed. It refuses a longer step in
// either direction: it then advances by the time that passes, which steps do not affect,
// and follows the system's clock again once the two are within MaxStep. So an hour in the
// wrong year leaves no trace in a log, and does not make events expire.
//
// A Clock cannot know whether the first time that it reads is right. It starts with the
// system's time, or with the time of the log's last event if that is ahead.
//
// The zero value is ready to use. A Clock belongs to one log and is safe for concurrent
// use.
type Clock struct {
	// Read returns the system's time, and the time passed since any fixed moment.
	// Nil reads the system's clocks. Except on Linux those do not distinguish a step
	// forward from a machine that slept, so a Clock follows longer steps forward.
	Read func() (wall time.Time, passed time.Duration)

	Logger *slog.Logger // nil: slog.Default()

	mu      sync.Mutex // guards what follows
	begun   bool
	time    time.Time // at the last reading
	passed  time.Duration
	slept   time.Duration // the result of slept at the last reading
	refused bool          // the system's clock is more than MaxStep off
	steps   uint64
}

// Now returns the time. It may be slightly before the previous result; the log must not
// let its own time run backward.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

// Begin makes the Clock continue from the time of a log's last event, if that is more
// than MaxStep ahead of the system's clock. Call it once, when the log is opened.
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

// refuse records that the system's clock has stepped too far.
func (c *Clock) refuse(wall time.Time) {
	if c.refused {
		return
	}
	c.refused = true
	c.steps++
	c.logger().Warn("eventlog: the system's clock is more than a minute off the log's, which advances by the time that passes; set the clock, or restart the hub if the clock is right",
		"clock", wall, "log", c.time)
}

// start is the moment from which passed time is counted.
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
