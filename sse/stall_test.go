package sse

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A pipeListener gives a server one connection, a pipe. A pipe buffers no bytes and
// supports deadlines, so it works in a synctest bubble.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.done)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// overPipe runs handler in a synctest bubble and passes client the body of its response.
// Nothing is taken from the handler until client reads.
func overPipe(t *testing.T, o AcceptOptions, handler func(t *testing.T, s *Stream), client func(t *testing.T, body *bufio.Reader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := &pipeListener{make(chan net.Conn, 1), make(chan struct{})}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := Accept(w, r, &o)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			handler(t, s)
		})}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		conn, theirs := net.Pipe()
		ln.conns <- theirs
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: pipe\r\n\r\n"); err != nil {
			t.Error(err)
		}
		resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil)
		if err != nil {
			t.Fatal(err)
		}
		client(t, bufio.NewReader(resp.Body))
		_ = conn.Close()
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-served
	})
}

// TestDeadlineIsLiftedBetweenWrites keeps a stream silent for longer than its peer may
// take no bytes, and for longer than a hurried write may take.
func TestDeadlineIsLiftedBetweenWrites(t *testing.T) {
	const events = 5
	overPipe(t, AcceptOptions{WriteTimeout: 30 * time.Second, Heartbeat: -1}, func(t *testing.T, s *Stream) {
		for i := range events {
			time.Sleep(10 * time.Minute)
			if err := s.Send(Event{Data: "alive"}); err != nil {
				t.Errorf("event %d: %v", i, err)
			}
			if i == events/2 {
				s.Hurry()
			}
		}
	}, func(t *testing.T, body *bufio.Reader) {
		if all, err := io.ReadAll(body); err != nil || strings.Count(string(all), "data: alive\n") != events {
			t.Errorf("%q, %v", all, err)
		}
	})
}

// TestWhenStalledWritesEnd measures how long a peer may take no bytes.
func TestWhenStalledWritesEnd(t *testing.T) {
	const limit, chance = 30 * time.Second, time.Second
	for _, tt := range []struct {
		why     string
		limit   time.Duration
		hurry   time.Duration // when Hurry is called; 0: never; negative: before the write
		reads   bool          // the peer reads a little now and then
		sleeps  bool          // the process does not run when the last chance ends
		atLeast time.Duration
		atMost  time.Duration
	}{
		{"at once", limit, 0, false, false, limit, limit},
		{"after some parts were taken", limit, 0, true, false, 4 * limit, 6 * limit},
		{"when it is hurried in mid-write", limit, time.Second, false, false, time.Second + hurryTime, time.Second + hurryTime},
		{"though it may take for ever, when it is hurried", -1, time.Hour, false, false, time.Hour + hurryTime, time.Hour + hurryTime},
		{"when it was hurried before", limit, -1, false, false, hurryTime, hurryTime},
		{"when the process has slept", limit, 0, false, true, limit + chance/2, limit + chance/2},
	} {
		overPipe(t, AcceptOptions{WriteTimeout: tt.limit, Heartbeat: -1}, func(t *testing.T, s *Stream) {
			switch {
			case tt.hurry < 0:
				s.Hurry()
			case tt.hurry > 0:
				defer time.AfterFunc(tt.hurry, s.Hurry).Stop()
			case tt.sleeps:
				defer time.AfterFunc(limit-chance/2, func() { lookLate(&s.stall) }).Stop()
			}
			begun := time.Now()
			err := s.Send(Event{Data: strings.Repeat("x", 1<<20)})
			took := time.Since(begun)
			if !errors.Is(err, os.ErrDeadlineExceeded) || took < tt.atLeast || took > tt.atMost {
				t.Errorf("%s: a write ends after %v with %v, want %v to %v", tt.why, took, err, tt.atLeast, tt.atMost)
			}
			if s.Context().Err() == nil {
				t.Errorf("%s: the stream did not end", tt.why)
			}
		}, func(t *testing.T, body *bufio.Reader) {
			if tt.reads {
				for range 5 { // with less than the limit between two parts
					time.Sleep(limit - 2*time.Second)
					if _, err := io.CopyN(io.Discard, body, 2*writeSize); err != nil {
						t.Error(err)
					}
				}
			}
			time.Sleep(2 * time.Hour)
		})
	}
}

// lookLate calls look like a timer that fires long after it was due.
func lookLate(s *stall) {
	s.mu.Lock()
	s.due = time.Now().Add(-2 * s.chance)
	s.mu.Unlock()
	s.look()
}
