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
	lowInterval   = 50 * time.Millisecond  // how old it may be below the floor
	maxBallast    = 16 << 20
)

// A space watches the file system's free space.
type space struct {
	l *Log

	low     atomic.Bool
	written atomic.Int64 // bytes since the last measurement
	due     atomic.Int64 // the time of the next measurement, Unix nanoseconds

	mu      sync.Mutex // guards the ballast
	ballast bool
}

func (s *space) open(l *Log) {
	s.l = l
	s.ballast = l.dir.exists(ballastName)
	s.measure(time.Now())
}

// enough reports whether n more bytes may be appended.
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

// step returns how many bytes may be written between two measurements.
func (s *space) step() int64 { return max(s.l.options.MinFree/16, 64<<10) }

// wrote counts n bytes twice: a commit writes them to the write-ahead log, and the store
// writes them again later.
func (s *space) wrote(n int) { s.written.Add(2 * int64(n)) }

func (s *space) measure(now time.Time) {
	floor := s.l.options.MinFree
	usage, err := s.l.guard.FS.GetDiskUsage(s.l.dir.path)
	free := int64(min(usage.AvailBytes, 1<<62))
	if err != nil { // unknown free space must not stop the log
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

// load creates the ballast. It writes real bytes, because a file system may not reserve
// space for holes. Without ballast a log works as well, until the disk is full.
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

// giveWay removes the ballast when the disk is full, so that the store can flush and
// retention can free space.
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

// full is called while a write waits for space.
func (l *Log) full() {
	l.space.giveWay()
	if l.stopping() {
		l.guard.windDown()
	}
}

// waits logs, at most once a minute, that a file cannot be opened for now. If the log is
// being closed, it ends the wait.
func (l *Log) waits(err error) {
	l.scarce.Do(func() {
		l.options.Logger.Error("eventlog: a file cannot be opened; operations that need it wait, and nothing is lost", "err", err)
	})
	if l.stopping() {
		l.guard.windDown()
	}
}
