//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tidings-sse/tidings/sse"
)

// A subscriber is an EventSource that reads until it has received its last event, over
// as many connections as that takes.
type subscriber struct {
	query url.Values
	from  string // the last event ID to begin with, if any
	// each is called with every event, and reports whether it is the last.
	each func(e event, id string) (last bool)
	// hold, unless nil, keeps the subscriber from reading on its first connection until
	// the channel is closed.
	hold chan struct{}
	// transport may be shared by subscribers, but no connection is.
	transport *http.Transport

	source *sse.Source
	opens  atomic.Int32 // streams that the hub has opened
	gaps   int
	torn   int
	ended  chan struct{} // closed when the subscriber has returned
	err    error         // why it returned; nil after the last event
}

// newTransport returns a transport for streams. receive is the size of the sockets'
// receive buffers in bytes; 0: the system's default.
func newTransport(receive int) *http.Transport {
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		if receive == 0 {
			return nil
		}
		var err error
		ctlErr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receive)
		})
		return errors.Join(ctlErr, err)
	}}
	return &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true}
}

// start starts the subscription, which ends when ctx does at the latest.
func (s *subscriber) start(ctx context.Context, h *process) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url("/events?"+s.query.Encode()), nil)
	if err != nil {
		return err
	}
	client := &sse.Client{
		HTTPClient:  &http.Client{Transport: s.transport},
		MaxBackoff:  time.Second,
		LastEventID: s.from,
		OnOpen: func(*http.Response) {
			if s.opens.Add(1) == 1 && s.hold != nil {
				select {
				case <-s.hold:
				case <-ctx.Done():
				}
			}
		},
	}
	s.source = client.Source(req)
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		s.err = s.read()
	}()
	return nil
}

func (s *subscriber) read() error {
	for e, err := range s.source.Events() {
		if err != nil {
			return err
		}
		switch e.Type {
		case "position":
			continue
		case "gap":
			s.gaps++
			continue
		}
		ev, ok := parseEvent(e.Data)
		if !ok {
			s.torn++
			continue
		}
		if s.each(ev, e.ID) {
			return nil
		}
	}
	return io.ErrUnexpectedEOF // the source was closed too early
}

// verdict returns the torn events and gaps that the subscriber has received.
func (s *subscriber) verdict() verdict { return verdict{Torn: s.torn, Gaps: s.gaps} }

// placed waits until all subscribers have a position in the log, from which on they
// must miss nothing. For a subscriber on hold it waits only until its stream is open,
// because the hub knows the position then.
func placed(ctx context.Context, subs []*subscriber) error {
	deadline := time.Now().Add(time.Minute)
	for i, s := range subs {
		for s.opens.Load() == 0 || s.hold == nil && s.source.LastEventID() == "" {
			select {
			case <-s.ended:
				return fmt.Errorf("subscriber %d ended at once: %w", i, s.err)
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(2 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("subscriber %d of %d is not connected after a minute", i, len(subs))
			}
		}
	}
	return nil
}

// wait waits until all have ended, but at most for patience, and returns how many have
// not received the last event.
func wait(subs []*subscriber, patience time.Duration) (missing int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, s := range subs {
		select {
		case <-s.ended:
		case <-ctx.Done():
		}
		if !s.complete() {
			missing++
		}
	}
	return missing
}

// complete reports whether the subscriber has ended with the last event.
func (s *subscriber) complete() bool {
	select {
	case <-s.ended:
		return s.err == nil
	default:
		return false
	}
}

// all runs f for each index below n, a hundred at a time.
func all(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 100)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = f(i)
			<-slots
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
