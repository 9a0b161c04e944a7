package disklog

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	spaceInterval = 250 * time.Millisecond // how old a measurement may be
	lowInterval   = 50 * time.Millisecond  // likewise, below the floor
	maxBallast    = 16 << 20
)

// A space watches how much the file system has left.
type space struct {
	l *Log

	low     atomic.Bool
	written atomic.Int64 // since it was measured
	due     atomic.Int64 // when to measure next, Unix nanoseconds

	mu      sync.Mutex // guards the ballast
	ballast bool
}

func (s *space) open(l *Log) {
	s.l = l
	s.ballast = l.dir.exists(ballastName)
	s.measure(time.Now())
}

// enough reports whether n bytes more may be appended.
func (s *space) enough(n int) bool {
	if s.l.guard.full.Load() {
		return false
	}
	now := time.Now()
	due := s.due.Load()
	if s.written.Load() > s.step() || now.UnixNano() >= due {
		if s.due.CompareAndSwap(due, now.Add(spaceInterval).UnixNano()) {
			s.measure(now)
		}
	}
	return !s.low.Load()
}

// step is how much may be written between two measurements.
func (s *space) step() int64 { return max(s.l.options.MinFree/16, 64<<10) }

// wrote counts what a commit writes to the log, and will cost in the tables.
func (s *space) wrote(n int) { s.written.Add(2 * int64(n)) }

func (s *space) measure(now time.Time) {
	floor := s.l.options.MinFree
	usage, err := s.l.guard.FS.GetDiskUsage(s.l.dir.path)
	free := int64(min(usage.AvailBytes, 1<<62))
	if err != nil { // what cannot be known does not stop a log
		free = floor
	}
	low := free < floor
	if low != s.low.Swap(low) {
		s.l.options.Logger.Warn("eventlog: free space", "free", free, "floor", floor, "appending", !low)
	}
	wait := spaceInterval
	if low {
		wait = lowInterval
	}
	s.written.Store(0)
	s.due.Store(now.Add(wait).UnixNano())
	if free > 2*floor {
		s.load()
	}
}

// load puts the ballast in place: real bytes, in case a file system keeps no
// room for holes. A log that has none works as well, until the disk is full.
func (s *space) load() {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := min(s.l.options.MinFree/4, maxBallast)
	if s.ballast || size <= 0 {
		return
	}
	name := s.l.dir.join(ballastName)
	if err := writeFile(s.l.guard.FS, name, make([]byte, size)); err != nil {
		_ = s.l.guard.FS.Remove(name)
		return
	}
	s.ballast = true
}

// giveWay is called when the disk is full: the ballast goes, so that the store
// can flush what it has and retention can free what it holds.
func (s *space) giveWay() {
	s.low.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ballast {
		if err := s.l.guard.FS.Remove(s.l.dir.join(ballastName)); err == nil || errors.Is(err, os.ErrNotExist) {
			s.ballast = false
		}
	}
}

// full is called while a write waits for room.
func (l *Log) full() {
	l.space.giveWay()
	if l.stopping() {
		l.guard.windDown()
	}
}

// waits says, once a minute, that a file cannot be opened for now. A log that is being
// closed waits no longer.
func (l *Log) waits(err error) {
	l.scarce.Do(func() {
		l.options.Logger.Error("eventlog: a file cannot be opened, and what needs it waits; nothing is lost", "err", err)
	})
	if l.stopping() {
		l.guard.windDown()
	}
}
