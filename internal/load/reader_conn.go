package load

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// startConnReaders starts a goroutine for each stream. They share one tally, at the cost of
// a lock.
func (a *audience) startConnReaders(ctx context.Context) {
	r := a.addReader(nil)
	open := a.connect
	if a.endpoint.HTTP2 > 0 {
		open = newMultiplex(a).open
	}
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
				body, err := open(ctx, i)
				<-slots
				if err != nil {
					if ctx.Err() == nil {
						a.fail(err)
					}
					return
				}
				stop := context.AfterFunc(ctx, func() { _ = body.Close() }) // makes a blocked read return
				defer stop()
				r.follow(ctx, body, s, &mu)
				_ = body.Close() // the stream has ended anyway
			})
		}
	})
}

// connect dials for stream i and sends its request.
func (a *audience) connect(_ context.Context, i int) (io.ReadCloser, error) {
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

// follow reads a stream until it ends or the audience is closed.
func (r *reader) follow(ctx context.Context, in io.Reader, s *stream, mu *sync.Mutex) {
	if s.state == open { // open has read the response's head
		mu.Lock()
		rig.Record(r.opening, time.Duration(r.clock()-s.opened))
		mu.Unlock()
		r.opened.Add(1)
	}
	buf := make([]byte, 16<<10)
	for {
		if len(s.rest) > len(buf)/2 {
			buf = make([]byte, 2*len(buf))
		}
		at := copy(buf, s.rest)
		n, err := in.Read(buf[at:])
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
