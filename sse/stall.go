package sse

import (
	"net/http"
	"sync"
	"time"
)

// A stall ends a write whose peer takes nothing for a time. A deadline set before the
// write would do as much, but it passes while the process does not run (SIGSTOP, a
// frozen container, a debugger), although the peer reads on meanwhile. So the write is
// given a last chance first: once the process runs again, it goes on at once if the
// socket takes something.
type stall struct {
	rc     *http.ResponseController
	limit  time.Duration // how long a peer may take nothing; 0: for ever
	chance time.Duration // of that, how long the last chance is

	mu      sync.Mutex // guards all below
	timer   *time.Timer
	writing bool
	hurried bool
	last    bool      // this is the last chance
	due     time.Time // when to look again
}

// hurryTime is how long the peer has to take something when the stream is over.
const hurryTime = 100 * time.Millisecond

func newStall(rc *http.ResponseController, limit time.Duration) stall {
	chance := time.Second
	if limit > 0 {
		chance = min(limit/4, chance)
	}
	return stall{rc: rc, limit: limit, chance: chance}
}

// begin begins a write, or the next part of one.
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

// end ends a write. The response is not touched any more after it; a deadline that
// has ended the write stays, so that the end of the response does not wait either.
func (s *stall) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	if s.timer != nil {
		s.timer.Stop()
	}
}

// hurry gives the write under way, and each one to come, no more than hurryTime.
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

// look runs when the peer has taken nothing for most of the limit, and at the end of
// its last chance. If look comes late then, the whole process did not run, and the
// peer needs another chance.
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
