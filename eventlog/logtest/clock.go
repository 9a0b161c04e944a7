package logtest

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// OpenClock opens a log with a clock. For a durable engine it opens the same log again.
type OpenClock func(t *testing.T, r eventlog.Retention, c *eventlog.Clock) eventlog.Log

// RunClock tests an engine while the system's clock steps. place returns a function that
// opens a new, empty log.
func RunClock(t *testing.T, place func(t *testing.T) OpenClock) {
	for name, test := range map[string]func(*testing.T, OpenClock){
		"NeverBackward":  testNeverBackward,
		"WrongYear":      testWrongYear,
		"AgeWhileAhead":  testAgeWhileAhead,
		"AgeAfterAhead":  testAgeAfterAhead,
		"SmallStepsHold": testSmallSteps,
	} {
		t.Run("Clock"+name, func(t *testing.T) { test(t, place(t)) })
	}
}

// RunClockDurable runs the additional tests for an engine whose events survive Close.
func RunClockDurable(t *testing.T, place func(t *testing.T) OpenClock) {
	t.Run("ClockReopen", func(t *testing.T) { testClockReopen(t, place(t)) })
}

const year = 365 * 24 * time.Hour

// A system is a machine whose clock can be set.
type system struct{ ahead atomic.Int64 }

func (s *system) set(ahead time.Duration) { s.ahead.Store(int64(ahead)) }

func (s *system) clock() *eventlog.Clock {
	begun := time.Now()
	return &eventlog.Clock{
		Logger: slog.New(slog.DiscardHandler),
		Read: func() (time.Time, time.Duration) {
			now := time.Now()
			return now.Round(0).Add(time.Duration(s.ahead.Load())), now.Sub(begun)
		},
	}
}

// times returns the times of all events and checks that they never decrease.
func times(t *testing.T, log eventlog.Log) (all []time.Time) {
	t.Helper()
	for e, err := range log.Read(t.Context(), origin(t, log), eventlog.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n := len(all); n > 0 && e.Time.Before(all[n-1]) {
			t.Errorf("event %d is from %v, the one before from %v: time runs backward", n, e.Time, all[n-1])
		}
		all = append(all, e.Time)
	}
	return all
}

func wantAbout(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if got.Sub(want).Abs() > eventlog.MaxStep/2 {
		t.Errorf("%s has the time %v, want about %v", what, got, want)
	}
}

func testNeverBackward(t *testing.T, open OpenClock) {
	var sys system
	clock := sys.clock()
	log := openLog(t, func(t *testing.T, r eventlog.Retention) eventlog.Log { return open(t, r, clock) }, eventlog.Retention{})
	for _, ahead := range []time.Duration{0, -30 * time.Second, 0, -time.Hour, -year, -time.Hour, 20 * time.Second, -20 * time.Second} {
		sys.set(ahead)
		appendN(t, log, "t", 2)
	}
	for i, at := range times(t, log) {
		wantAbout(t, fmt.Sprint("event ", i), at, time.Now())
	}
	if n := clock.Steps(); n != 1 {
		t.Errorf("%d steps were refused; want 1", n)
	}
}

// testWrongYear sets the clock ahead and back while events are appended. Their times must
// follow the time that passes.
func testWrongYear(t *testing.T, open OpenClock) {
	var sys system
	clock := sys.clock()
	log := openLog(t, func(t *testing.T, r eventlog.Retention) eventlog.Log { return open(t, r, clock) }, eventlog.Retention{})
	for _, ahead := range []time.Duration{0, year, 2 * year, 0, 61 * time.Second, 0} {
		sys.set(ahead)
		appendN(t, log, "t", 2)
	}
	for i, at := range times(t, log) {
		wantAbout(t, fmt.Sprint("event ", i), at, time.Now())
	}
	if n := clock.Steps(); n != 2 {
		t.Errorf("%d steps were refused; want 2", n)
	}
}

// testAgeWhileAhead checks that a clock in the wrong year does not make events expire.
func testAgeWhileAhead(t *testing.T, open OpenClock) {
	var sys system
	r := eventlog.Retention{Age: time.Hour, Events: 10}
	log := openLog(t, func(t *testing.T, r eventlog.Retention) eventlog.Log { return open(t, r, sys.clock()) }, r)
	appendN(t, log, "t", 8)
	sys.set(year)
	appendN(t, log, "t", 4) // two beyond the limit, so that retention runs
	settle(t, log, 10)
	if n := len(times(t, log)); n != 10 {
		t.Errorf("%d events are left, want 10", n)
	}
}

// testAgeAfterAhead checks that events expire by age when the clock is right again.
func testAgeAfterAhead(t *testing.T, open OpenClock) {
	var sys system
	log := openLog(t, func(t *testing.T, r eventlog.Retention) eventlog.Log { return open(t, r, sys.clock()) }, eventlog.Retention{Age: 50 * time.Millisecond})
	appendN(t, log, "t", 1)
	sys.set(year)
	appendN(t, log, "t", 3)
	sys.set(0)
	appendN(t, log, "t", 3)
	settle(t, log, 0)
}

func testSmallSteps(t *testing.T, open OpenClock) {
	var sys system
	clock := sys.clock()
	log := openLog(t, func(t *testing.T, r eventlog.Retention) eventlog.Log { return open(t, r, clock) }, eventlog.Retention{})
	for i := range 5 {
		sys.set(time.Duration(i) * 50 * time.Second)
		appendN(t, log, "t", 1)
	}
	all := times(t, log)
	wantAbout(t, "the last event", all[4], time.Now().Add(200*time.Second))
	if n := clock.Steps(); n != 0 {
		t.Errorf("%d steps were refused; want none", n)
	}
}

// testClockReopen opens a log whose last event is from the wrong year. The log's time must
// continue from there, and its events must still expire.
func testClockReopen(t *testing.T, open OpenClock) {
	var sys system
	sys.set(year) // the first reading, which cannot be recognised as wrong
	log := open(t, eventlog.Retention{}, sys.clock())
	appendN(t, log, "t", 3)
	closeLog(t, log)
	sys.set(0)
	clock := sys.clock()
	log = open(t, eventlog.Retention{}, clock)
	appendN(t, log, "t", 3)
	for i, at := range times(t, log) {
		wantAbout(t, fmt.Sprint("event ", i), at, time.Now().Add(year))
	}
	if n := clock.Steps(); n != 1 {
		t.Errorf("%d steps were refused; want 1", n)
	}
	closeLog(t, log)
	log = openLog(t, func(t *testing.T, r eventlog.Retention) eventlog.Log { return open(t, r, sys.clock()) }, eventlog.Retention{Age: 50 * time.Millisecond})
	appendN(t, log, "t", 1)
	settle(t, log, 0)
}
