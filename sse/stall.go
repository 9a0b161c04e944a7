package sse

import (
	"net/http"
	"sync"
	"time"
)

// A stall ends a write when the peer takes no bytes for a time. A deadline set before the
// write is not enough: it also passes while the process does not run (SIGSTOP, a frozen
// container, a debugger), although the peer keeps reading. So the write first gets a last
// chance: once the process runs again, the write continues at once if the socket takes
// bytes.
type stall struct {
	rc     *http.ResponseController
	limit  time.Duration // how long a peer may take no bytes; 0: no limit
	chance time.Duration // the last part of the limit, which is the last chance

	mu      sync.Mutex // guards all below
	timer   *time.Timer
	writing bool
	hurried bool
	last    bool      // this is the last chance
	due     time.Time // when the timer is due
}

// hurryTime is how long a hurried write may take.
const hurryTime = 100 * time.Millisecond

func newStall(rc *http.ResponseController, limit time.Duration) stall {
	chance := time.Second
	if limit > 0 {
		chance = min(limit/4, chance)
	}
	return stall{rc: rc, limit: limit, chance: chance}
}

// begin starts the clock for a write, or for the next part of one.
func (s *stall) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing, s.last = true, s.hurried
	if s.hurried {
		s.lookAfter(hurryTime)
	} else if s.limit > 0 {
		s.lookAfter(s.limit - s.chance)
	}
}

// end stops the clock. The response is not used after it. A deadline that has ended the
// write stays set, so that finishing the response does not block either.
func (s *stall) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	if s.timer != nil {
		s.timer.Stop()
	}
}

// hurry limits the current write and all later ones to hurryTime.
func (s *stall) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hurried = true; s.writing {
		s.last = true
		s.lookAfter(hurryTime)
	}
}

func (s *stall) lookAfter(d time.Duration) {
	s.due = time.Now().Add(d)
	if s.timer == nil {
		s.timer = time.AfterFunc(d, s.look)
	} else {
		s.timer.Reset(d)
	}
}

// look runs when the peer has taken no bytes for most of the limit, and again at the end
// of the last chance. If that second call is late, the whole process was not running, and
// the peer gets another chance.
func (s *stall) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.writing:
	case s.last && time.Since(s.due) < s.chance:
		_ = s.rc.SetWriteDeadline(time.Unix(1, 0))
	default:
		s.last = true
		s.lookAfter(s.chance)
	}
}
