package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// An audience is all the streams of a run and those who read them.
type audience struct {
	endpoint *endpoint
	addr     *net.TCPAddr
	streams  []stream
	topics   int
	request  func(i int) []byte // what stream i asks for
	clock    func() int64
	window   *window
	threads  int
	inFlight int // connections being opened at a time, by each reader

	opened  atomic.Int64
	readers []*reader
	wg      sync.WaitGroup
	cancel  context.CancelFunc
	fail    func(error)
}

// A reader reads some of the streams. What it counts is its own until it ends,
// but for delivered, which it tells now and then.
type reader struct {
	*audience
	tally
	mine      []int // indexes of streams
	delivered atomic.Int64
}

// newAudience gives each feed its streams, in turn.
func newAudience(e *endpoint, feeds []*feed, subscribers int) (*audience, error) {
	addr, err := resolve(e.subscribe)
	if err != nil {
		return nil, err
	}
	a := &audience{endpoint: e, addr: addr, streams: make([]stream, subscribers), topics: len(feeds), inFlight: 128, cancel: func() {}}
	for i := range a.streams {
		f := feeds[i%len(feeds)]
		f.streams++
		a.streams[i].feed = f
		a.streams[i].fd = -1
	}
	a.request = func(i int) []byte { return e.subscribeRequest(a.streams[i].feed.topic, "") }
	return a, nil
}

// open opens all streams, and returns when the server has answered each.
func (a *audience) open(ctx context.Context, progress func(opened int64)) error {
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.cancel = cancel
	a.startReaders(reading)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	stalled := time.Now()
	for last := int64(0); ; {
		n := a.opened.Load()
		switch {
		case n == int64(len(a.streams)):
			return nil
		case n > last:
			last, stalled = n, time.Now()
		case time.Since(stalled) > 30*time.Second:
			return fmt.Errorf("only %d of %d streams are open, and no more for 30 s", n, len(a.streams))
		}
		progress(n)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (a *audience) addReader(mine []int) *reader {
	r := &reader{audience: a, mine: mine}
	r.tally = *newTally(a.window)
	a.readers = append(a.readers, r)
	return r
}

// count returns how many events all streams have had.
func (a *audience) count() (n int64) {
	for _, r := range a.readers {
		n += r.delivered.Load()
	}
	return n
}

// perEvent returns how many streams an event goes to.
func (a *audience) perEvent() float64 { return float64(len(a.streams)) / float64(a.topics) }

// close ends the readers, and the streams with them.
func (a *audience) close() {
	a.cancel()
	a.wg.Wait()
}

// take hands the bytes that a stream has brought to it, and keeps what it could
// make nothing of. It reports whether the stream goes on.
func (r *reader) take(s *stream, b []byte) bool {
	before := s.state
	n, err := s.consume(b, &r.tally)
	if before != s.state {
		r.opened.Add(1)
	}
	switch {
	case errors.Is(err, errEnded):
		return false
	case err != nil:
		r.fail(err)
		return false
	}
	s.rest = append(s.rest[:0], b[n:]...)
	return true
}

// gone notes that the server has ended a stream, which it is not to do.
func (r *reader) gone(s *stream) {
	if s.state != open {
		r.fail(errors.New("the server ended a stream before it had answered"))
	}
	s.state = closed
	r.faults.Ended++
}
