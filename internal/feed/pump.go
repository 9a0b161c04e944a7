package feed

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// pump reads the log's tail and routes each event to the feeds that it concerns. It is
// the log's only tail reader.
func (s *Set) pump(ctx context.Context, after eventlog.ID) {
	defer s.o.Ended()
	defer close(s.pumped)
	for {
		err := s.route(ctx, after)
		var trimmed *eventlog.TrimmedError
		if errors.As(err, &trimmed) { // retention overtook the pump
			after = trimmed.Origin
			s.skip(after)
			continue
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
			err = ErrClosed
		} else {
			s.o.Logger.Error("the event log failed", "err", err)
		}
		s.err.Store(&err)
		return
	}
}

func (s *Set) route(ctx context.Context, after eventlog.ID) error {
	var ws wires
	for e, err := range s.log.Tail(ctx, after) {
		if err != nil {
			return err
		}
		ws.next()
		var g guard // of the event, shared by all feeds
		encode := func(f *Feed) ([]byte, guard) {
			if g == nil {
				g = guardOf(e)
			}
			if seen := f.shown(e); seen != e {
				return f.key.form.Append(nil, seen), g
			}
			return ws.of(e, f.key.form), g
		}
		at := appended(e)
		add := func(f *Feed) { f.add(e, at, encode) }
		skip := func(f *Feed) { f.pass(e) }
		s.lockFirst()
		for _, topic := range s.router.Route(e.Topics, add, skip) {
			s.matchLater(topic)
		}
		s.moveHead(e.ID)
		s.mu.Unlock()
		s.live.Note()
	}
	return ctx.Err()
}

// lockFirst locks s.mu for the pump, ahead of subscribers that come or go, see enter.
func (s *Set) lockFirst() {
	s.pumps.Store(true)
	s.mu.Lock()
	s.pumps.Store(false)
}

// skip continues after events that retention dropped before they were routed. Subscribers
// find the gap when they read the log.
func (s *Set) skip(to eventlog.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.feeds {
		f.skip(to)
	}
	s.moveHead(to)
}

// appended returns when an event was appended, in Unix nanoseconds by the system's clock.
// If e.Time is in the future or more than [eventlog.MaxStep] ago, the log's clock does
// not follow the system's (see [eventlog.Clock]), and appended returns the current time.
func appended(e *eventlog.Event) int64 {
	now := time.Now()
	if ago := now.Sub(e.Time); ago < 0 || ago > eventlog.MaxStep {
		return now.UnixNano()
	}
	return e.Time.UnixNano()
}

// maxLate is how many topics may wait to be matched. While the queue is full, events to
// other such topics are not matched later: each makes the streams whose templates may
// match read the log.
const maxLate = 64

// matchLater queues a topic whose templates take longer to try than live delivery may
// wait. It does nothing if the queue is full. s.mu is held.
func (s *Set) matchLater(topic string) {
	s.totals.LateMatches.Add(1)
	if _, ok := s.inLate[topic]; ok || len(s.inLate) == maxLate {
		return
	}
	topic = strings.Clone(topic) // a substring would keep the whole event in memory
	s.inLate[topic] = struct{}{}
	s.late <- topic // never blocks: inLate has at most as many topics as the channel has room for
}

// matchLate tries the templates on queued topics, so that the next event to such a topic
// finds them cached.
func (s *Set) matchLate(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case topic := <-s.late:
			s.mu.Lock()
			t := s.router.Trial(topic)
			s.mu.Unlock()
			pace := s.live.Begin(false, nil)
			t.Run(ctx, pace.Keep)
			pace.End()
			s.mu.Lock()
			s.router.Tried(t)
			delete(s.inLate, topic)
			s.mu.Unlock()
		}
	}
}
