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

// An audience is all streams of a run, with their readers.
type audience struct {
	endpoint *endpoint
	addr     *net.TCPAddr
	streams  []stream
	topics   int
	request  func(i int) []byte // returns the request of stream i
	clock    func() int64
	window   *window
	threads  int
	inFlight int // how many connections each reader opens at the same time

	opened  atomic.Int64
	readers []*reader
	wg      sync.WaitGroup
	cancel  context.CancelFunc
	fail    func(error)
}

// A reader reads some of the streams. Only the reader uses its tally until it ends; it
// updates delivered now and then for others.
type reader struct {
	*audience
	tally
	mine      []int // indexes of streams
	delivered atomic.Int64
}

// newAudience assigns the streams to feeds in turn.
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

// open opens all streams, and returns when the server has answered each. It fails if no
// stream opens for 30 s.
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

// count returns how many events all streams have received.
func (a *audience) count() (n int64) {
	for _, r := range a.readers {
		n += r.delivered.Load()
	}
	return n
}

// perEvent returns how many streams receive each event.
func (a *audience) perEvent() float64 { return float64(len(a.streams)) / float64(a.topics) }

// close ends the readers, and the streams with them.
func (a *audience) close() {
	a.cancel()
	a.wg.Wait()
}

// take passes newly read bytes to a stream, and keeps the rest that the stream could not
// use yet. It reports whether the stream continues.
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

// gone records that the server has ended a stream, which is a fault.
func (r *reader) gone(s *stream) {
	if s.state != open {
		r.fail(errors.New("the server ended a stream before it had answered"))
	}
	s.state = closed
	r.faults.Ended++
}
