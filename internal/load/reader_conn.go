package load

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// startConnReaders starts a goroutine for each stream. They share one tally:
// what that costs is the price of running everywhere.
func (a *audience) startConnReaders(ctx context.Context) {
	r := a.addReader(nil)
	slots := make(chan struct{}, a.inFlight)
	var mu sync.Mutex // of the tally
	a.wg.Go(func() {
		for i := range a.streams {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			a.wg.Go(func() {
				s := &a.streams[i]
				s.opened = a.clock()
				conn, err := a.connect(i)
				<-slots
				if err != nil {
					a.fail(err)
					return
				}
				defer func() { _ = conn.Close() }() // nothing was left to say
				stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
				defer stop()
				r.follow(ctx, conn, s, &mu)
			})
		}
	})
}

// connect dials for stream i and sends its request.
func (a *audience) connect(i int) (net.Conn, error) {
	conn, err := a.endpoint.dial(a.endpoint.subscribe, a.addr)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(a.request(i)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	a.streams[i].state = waiting
	return conn, nil
}

// follow reads a stream until the audience is closed.
func (r *reader) follow(ctx context.Context, conn net.Conn, s *stream, mu *sync.Mutex) {
	buf := make([]byte, 16<<10)
	for {
		if len(s.rest) > len(buf)/2 {
			buf = make([]byte, 2*len(buf))
		}
		at := copy(buf, s.rest)
		n, err := conn.Read(buf[at:])
		if ctx.Err() != nil {
			return
		}
		now := r.clock()
		mu.Lock()
		r.now = now
		goesOn := n == 0 || r.take(s, buf[:at+n])
		r.delivered.Store(r.tally.delivered)
		if !goesOn || err != nil {
			r.gone(s)
			mu.Unlock()
			return
		}
		mu.Unlock()
	}
}
