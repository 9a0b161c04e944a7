package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
)

// raw opens a stream on its own connection and returns it with a reader positioned
// after the response's headers.
func raw(t *testing.T, address, path, proto string, header ...string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "GET %s %s\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n", path, proto, strings.Join(append(header, ""), "\r\n"))
	r := bufio.NewReader(conn)
	if status, err := r.ReadString('\n'); err != nil || !strings.Contains(status, " 200 ") {
		t.Fatalf("%q, %v", status, err)
	}
	for {
		if line, err := r.ReadString('\n'); err != nil {
			t.Fatal(err)
		} else if line == "\r\n" {
			return conn, r
		}
	}
}

// until reads a stream up to the given last event.
func until(t *testing.T, r io.Reader, last string) []byte {
	t.Helper()
	var all []byte
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadBytes('\n')
		all = append(all, line...)
		if err != nil {
			t.Fatalf("%v after %d bytes, the last of which are %.100q", err, len(all), all[max(0, len(all)-100):])
		}
		if bytes.HasPrefix(line, []byte("data: ")) && bytes.Contains(line, []byte(last)) {
			return all
		}
	}
}

// TestParkedStreamsAreTheSame opens the same streams parked and unparked, live and
// resumed, with readers that are sometimes slow, and compares their bytes.
func TestParkedStreamsAreTheSame(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{Heartbeat: time.Hour})
	unparked := httptest.NewServer(httpapi.New(edge.New(s.hub, edge.Options{Heartbeat: time.Hour, Unparked: true}), httpapi.Options{}))
	t.Cleanup(unparked.Close)
	rnd := rand.New(rand.NewPCG(1, 2))
	var first string
	publish := func(n int) {
		for range n {
			size := rnd.IntN(300)
			if rnd.IntN(10) == 0 {
				size = rnd.IntN(60 << 10)
			}
			q := url.Values{"topic": {fmt.Sprint("t", rnd.IntN(3))}, "type": {[]string{"", "price"}[rnd.IntN(2)]}, "data": {strings.Repeat("x\n", size/2)}}
			resp, err := s.Client().PostForm(s.URL+"/events", q)
			if err != nil || resp.StatusCode != http.StatusCreated {
				t.Fatal(resp, err)
			}
			b, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if first == "" {
				first = strings.Split(string(b), `"`)[3]
			}
		}
	}
	publish(100)
	paths := []string{
		"topic=t0&topic=end", "topic=*", "topic=t{n}&topic=end", "topic=*&type=price&type=end", "topic=*&envelope=json",
		"topic=*&last_event_id=earliest", "topic=t1&topic=end&last_event_id=" + first, "topic=*&last=5", "topic=*&last_event_id=nobody",
	}
	type result struct{ parked, unparked []byte }
	results := make([]result, len(paths))
	var readers sync.WaitGroup
	for i, q := range paths {
		for _, to := range []struct {
			server *httptest.Server
			got    *[]byte
		}{{s.Server, &results[i].parked}, {unparked, &results[i].unparked}} {
			_, r := raw(t, to.server.Listener.Addr().String(), "/events?"+q, "HTTP/1.1")
			slow := rnd.IntN(2) == 0
			readers.Go(func() {
				body := io.Reader(httputil.NewChunkedReader(r))
				if slow {
					body = &sipping{r: body}
				}
				*to.got = until(t, body, "the end")
			})
		}
	}
	publish(300)
	resp, err := s.Client().PostForm(s.URL+"/events", url.Values{"topic": {"end"}, "type": {"end"}, "data": {"the end"}})
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	done := make(chan struct{})
	go func() { readers.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(50 * time.Second):
		t.Fatal("the streams have not ended")
	}
	for i, q := range paths {
		if a, b := results[i].parked, results[i].unparked; !bytes.Equal(a, b) {
			n := 0
			for n < min(len(a), len(b)) && a[n] == b[n] {
				n++
			}
			t.Errorf("%s: %d bytes parked, %d unparked, different at %d: %.80q and %.80q", q, len(a), len(b), n, a[n:], b[n:])
		}
	}
}

// sipping reads little at a time, and pauses now and then while much is sent.
type sipping struct {
	r io.Reader
	n int
}

func (s *sipping) Read(p []byte) (int, error) {
	if s.n++; s.n%64 == 0 {
		time.Sleep(5 * time.Millisecond) // makes it slow
	}
	return s.r.Read(p[:min(len(p), 2000)])
}

// parkedServer returns a server that parks its streams, and checks that it does.
func parkedServer(t *testing.T, o edge.Options) *server {
	t.Helper()
	s := newServer(t, eventlog.Retention{}, o)
	resp := s.do(t, "GET", "/events/warm", "", "Accept", "text/event-stream") // starts the shards
	_ = resp.Body.Close()
	return s
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// eventually waits until a condition holds, and fails if that takes long.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal(what + ": not within 20 s")
		}
	}
}

func (s *server) open() int {
	n, _ := s.hub.CountStreams(context.Background(), hub.StreamFilter{}) // no error: it selects all
	return n
}

func TestParkedStreamsHaveNoGoroutine(t *testing.T) {
	s := parkedServer(t, edge.Options{})
	eventually(t, "the first stream ends", func() bool { return s.open() == 0 })
	before := runtime.NumGoroutine()
	for range 200 {
		_, r := raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.1")
		_, _ = r.ReadString('\n')
	}
	eventually(t, "200 streams are open", func() bool { return s.open() == 200 })
	eventually(t, "their handlers return", func() bool { return runtime.NumGoroutine() < before+20 })
}

// TestParkedChurn opens and closes streams while much is published, and checks that
// nothing of them is left.
func TestParkedChurn(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := parkedServer(t, edge.Options{})
	before := descriptors(t)
	ctx, cancel := context.WithCancel(t.Context())
	var publisher, readers sync.WaitGroup
	publisher.Go(func() {
		for ctx.Err() == nil {
			_, _ = s.hub.Publish(ctx, eventlog.Record{Topics: []string{"a"}, Data: bytes.Repeat([]byte("x"), 5000)})
		}
	})
	for range 8 {
		readers.Go(func() {
			for range 60 {
				conn, r := raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.1")
				_, _ = io.CopyN(io.Discard, r, rand.Int64N(200<<10))
				_ = conn.Close()
			}
		})
	}
	readers.Wait()
	cancel()
	publisher.Wait()
	s.Client().CloseIdleConnections()
	eventually(t, "no stream is left", func() bool { return s.open() == 0 })
	eventually(t, "no descriptor is left", func() bool { return descriptors(t) <= before })
}

func TestParkedPeers(t *testing.T) {
	gone := func(t *testing.T, s *server, reason hub.DisconnectReason) {
		t.Helper()
		eventually(t, "the stream ends", func() bool {
			stats, err := s.hub.Stats(t.Context())
			return err == nil && stats.Disconnects[reason] > 0 && stats.Streams == 0
		})
	}
	fresh := func(t *testing.T, o edge.Options) *server {
		s := newServer(t, eventlog.Retention{}, o)
		return s
	}
	t.Run("closes its half", func(t *testing.T) {
		s := fresh(t, edge.Options{})
		conn, _ := raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.1")
		_ = conn.(*net.TCPConn).CloseWrite()
		gone(t, s, hub.ClientGone)
	})
	t.Run("resets", func(t *testing.T) {
		s := fresh(t, edge.Options{})
		conn, _ := raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.1")
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		gone(t, s, hub.ClientGone)
	})
	t.Run("sends a little", func(t *testing.T) {
		s := fresh(t, edge.Options{})
		conn, r := raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.1", "X: y")
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		s.publish(t, "a", "still there")
		until(t, httputil.NewChunkedReader(r), "still there")
	})
	t.Run("sends much", func(t *testing.T) {
		s := fresh(t, edge.Options{})
		conn, _ := raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.1")
		go func() { _, _ = conn.Write(make([]byte, 1<<20)) }()
		gone(t, s, hub.ClientGone)
	})
	t.Run("takes nothing", func(t *testing.T) {
		s := fresh(t, edge.Options{WriteTimeout: 100 * time.Millisecond, Heartbeat: 50 * time.Millisecond})
		raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.1")
		for range 20 {
			s.publish(t, "a", strings.Repeat("x", 1<<20-100))
		}
		gone(t, s, hub.Stalled)
	})
	t.Run("is silent", func(t *testing.T) {
		s := fresh(t, edge.Options{Heartbeat: 20 * time.Millisecond})
		_, r := raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.1")
		body := bufio.NewReader(httputil.NewChunkedReader(r))
		for beats := 0; beats < 3; {
			line, err := body.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == ":\n" {
				beats++
			}
		}
	})
	t.Run("speaks HTTP/1.0", func(t *testing.T) {
		s := fresh(t, edge.Options{})
		_, r := raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.0")
		s.publish(t, "a", "bare")
		if got := until(t, r, "bare"); !bytes.HasPrefix(got, []byte("retry: 3000\nevent: position\nid: ")) {
			t.Errorf("it begins with %.60q", got)
		}
	})
}

// encoding is a wrapper that sets Content-Encoding as it sends the headers.
type encoding struct{ http.ResponseWriter }

func (w encoding) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w encoding) WriteHeader(code int) {
	w.Header().Set("Content-Encoding", "identity")
	w.ResponseWriter.WriteHeader(code)
}

// TestEncodedIsNotParked checks that a stream goes through a wrapper that encodes it.
func TestEncodedIsNotParked(t *testing.T) {
	log := eventlog.NewMemory(eventlog.Retention{})
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	api := httpapi.New(edge.New(h, edge.Options{Logger: slog.New(slog.DiscardHandler)}), httpapi.Options{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { api.ServeHTTP(encoding{w}, r) }))
	defer func() {
		err := h.Close()
		api.Close()
		s.Close()
		if err := errors.Join(err, log.Close()); err != nil {
			t.Error(err)
		}
	}()
	_, r := raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.1")
	if _, err := h.Publish(t.Context(), eventlog.Record{Topics: []string{"a"}, Data: []byte("through")}); err != nil {
		t.Fatal(err)
	}
	got := until(t, httputil.NewChunkedReader(r), "through")
	if bytes.Contains(got, []byte("\r\n")) {
		t.Errorf("the chunks have chunks in them: %.100q", got)
	}
}

// TestEventLostInMidWrite loses an event of which a peer has taken a part: retention
// drops it, or an operator deletes it. The stream ends within the event, which counts
// under its own reason and is not an error. The client resumes, after a gap if
// retention dropped the event.
func TestEventLostInMidWrite(t *testing.T) {
	for reason, retained := range map[hub.DisconnectReason]int64{hub.EventTrimmed: 1, hub.EventDeleted: 0} {
		t.Run(string(reason), func(t *testing.T) {
			var logged bytes.Buffer
			s := newServer(t, eventlog.Retention{Events: retained}, edge.Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			first := s.publish(t, "a", "first")
			conn, r := raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.1", "Last-Event-ID: "+first)
			eventually(t, "the stream takes from the window", func() bool {
				stats, err := s.hub.Stats(t.Context())
				return err == nil && stats.Streams == 1 && stats.CatchingUp == 0
			})
			lost := s.publish(t, "a", strings.Repeat("x", 1<<20-100))
			eventually(t, "a part of the event is taken", func() bool { return peeked(t, conn) >= 4000 })
			if reason == hub.EventDeleted {
				s.do(t, "DELETE", "/events?id="+lost, "") // the window still has it
			}
			for range 4 { // more than fits the window
				s.publish(t, "a", strings.Repeat("y", 1<<20-100))
			}
			body, err := io.ReadAll(httputil.NewChunkedReader(r))
			if n := bytes.Count(body, []byte("x")); n == 0 || n >= 1<<20-100 || bytes.Contains(body, []byte("data: y")) || err == nil {
				t.Errorf("it ends with %v after %d bytes, of which %d are the event's data; want an end within it, without a last chunk", err, len(body), n)
			}
			eventually(t, "the end is counted", func() bool {
				stats, err := s.hub.Stats(t.Context())
				return err == nil && stats.Disconnects[reason] == 1
			})
			if strings.Contains(logged.String(), "level=ERROR") {
				t.Errorf("logged:\n%s", logged.String())
			}
			_, r = raw(t, s.Listener.Addr().String(), "/events/a", "HTTP/1.1", "Last-Event-ID: "+first)
			again := until(t, httputil.NewChunkedReader(r), "yyyyy")
			if bytes.Contains(again, []byte("event: gap")) != (reason == hub.EventTrimmed) {
				t.Error("the client must get a gap if, and only if, retention dropped the event")
			}
		})
	}
}

// peeked returns how many bytes wait to be read, at most 8,000, and leaves them unread.
func peeked(t *testing.T, conn net.Conn) (n int) {
	t.Helper()
	sc, err := conn.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = sc.Control(func(fd uintptr) {
			n, _, _ = unix.Recvfrom(int(fd), make([]byte, 8000), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestParkedHeadSaysClose checks for the close option, from which a proxy knows that it
// cannot reuse the connection (RFC 9112 §9.6).
func TestParkedHeadSaysClose(t *testing.T) {
	for _, unparked := range []bool{false, true} {
		s := newServer(t, eventlog.Retention{}, edge.Options{Unparked: unparked})
		if resp := s.do(t, "GET", "/events/a", "", "Accept", "text/event-stream"); resp.Close == unparked {
			t.Errorf("unparked %v: Connection: close %v", unparked, resp.Close)
		}
	}
}
