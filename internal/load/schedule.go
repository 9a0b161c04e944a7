package load

import (
	"context"
	"time"
)

// A schedule determines when events are due.
type schedule struct {
	rate  float64                 // events per second; 0: as fast as they are answered
	until int64                   // no event is due from then on
	limit int64                   // events in all; 0: no limit
	ready func(events int64) bool // without a rate: reports whether that many events may be sent by now
}

// hand puts tickets for the schedule into p.tickets, and closes it. It returns how many
// events were due but could not be sent.
func (p *press) hand(ctx context.Context, s schedule) (unsent int64) {
	defer close(p.tickets)
	batch := int64(p.batch)
	begin := p.clock()
	for n := int64(0); ctx.Err() == nil && (s.limit == 0 || n < s.limit); {
		now := p.clock()
		due := int64(-1)
		if s.rate > 0 {
			due = begin + int64(float64(n)/s.rate*1e9)
		}
		switch {
		case max(now, due) >= s.until:
			return p.leave(s.rate > 0)
		case s.rate == 0 && !s.ready(n+batch):
			time.Sleep(100 * time.Microsecond)
			continue
		case due > now:
			time.Sleep(time.Duration(due - now))
			continue // a timer may fire early
		}
		select {
		case p.tickets <- ticket{n, due}:
			n += batch
		case <-ctx.Done():
		}
	}
	return 0
}

// grace is how long after the end events that were due before it may still be sent.
const grace = time.Second

// leave takes back unsent tickets, and counts their events if they were due.
func (p *press) leave(due bool) (unsent int64) {
	for end := p.clock() + int64(grace); due && len(p.tickets) > 0 && p.clock() < end; {
		time.Sleep(time.Millisecond)
	}
	for {
		select {
		case <-p.tickets:
			if due {
				unsent += int64(p.batch)
			}
		default:
			return unsent
		}
	}
}
