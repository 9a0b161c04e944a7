package httpapi_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
)

// dial connects to a server. The connection's deadline is 20 s.
func dial(t *testing.T, s *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// sendAll sends a request's head and all of its body before it reads, and returns
// the answer's status.
func sendAll(t *testing.T, s *httptest.Server, head string, size int) (int, error) {
	t.Helper()
	conn := dial(t, s)
	body := bytes.Repeat([]byte("x"), size)
	if strings.Contains(head, "chunked") {
		body = fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", size, body)
	}
	if _, err := conn.Write(append([]byte(head+"\r\n\r\n"), body...)); err != nil {
		return 0, err
	}
	time.Sleep(10 * time.Millisecond) // a reset arrives even after everything is sent
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(r, nil)
	}
	if err != nil {
		return 0, err
	}
	_, err = io.ReadAll(resp.Body)
	return resp.StatusCode, err
}

// Clients that write everything before they read see the answer of each route that
// refuses their bodies.
func TestRefusalIsNotLost(t *testing.T) {
	guarded := newGuarded(t, nil)
	access := httptest.NewServer(edge.Bound(edge.Access{Loopback: true, Logger: slog.New(slog.DiscardHandler)}.Wrap(guarded.Config.Handler), time.Minute))
	t.Cleanup(access.Close)
	publisher := "\r\nAuthorization: " + bearer(token(t, "*", ""))[1]
	const size = 10 << 20
	for _, tt := range []struct {
		why, method, path, header string
		status                    int
	}{
		{"too large", "POST", "/events/a", publisher, 413},
		{"no token", "POST", "/events/a", "", 401},
		{"a token that may not", "DELETE", "/events?topic=a", publisher, 403},
		{"encoded", "POST", "/events/a", publisher + "\r\nContent-Encoding: gzip", 415},
		{"nothing there", "POST", "/nothing", "", 404},
		{"another method", "PUT", "/events/a", "", 405},
		{"a GET with a body", "GET", "/events/a", "", 400},
		{"a foreign host", "POST", "/events/a", "\r\nHost: hub.example", 403},
		{"a foreign origin", "POST", "/events/a", "\r\nOrigin: https://elsewhere.example", 403},
	} {
		for _, how := range []struct {
			proto, header string
			size          int
		}{
			{"HTTP/1.1", "\r\nContent-Length: 10485760", size},
			{"HTTP/1.1", "\r\nTransfer-Encoding: chunked", size},
			{"HTTP/1.1", "\r\nContent-Length: 10485760\r\nExpect: 100-continue", size},
			{"HTTP/1.1", "\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue", size},
			{"HTTP/1.1", "\r\nContent-Length: 10485760\r\nConnection: close", size},
			{"HTTP/1.0", "\r\nContent-Length: 10485760", size},
			{"HTTP/1.0", "\r\nContent-Length: 200000", 200_000}, // the connection ends, so net/http would not read the body
		} {
			header := tt.header
			if !strings.Contains(header, "Host:") {
				header += "\r\nHost: localhost"
			}
			if tt.status == 413 && how.size < size {
				continue
			}
			status, err := sendAll(t, access, tt.method+" "+tt.path+" "+how.proto+header+how.header, how.size)
			if err != nil || status != tt.status {
				t.Errorf("%s, %s%q: %d, %v; want %d", tt.why, how.proto, how.header, status, err, tt.status)
			}
		}
	}
}

// Lingering is bounded in time, in bytes, and in the number of bodies at once.
func TestLingeringIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for timeouts")
	}
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	const large = "PUT /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
	refused := func() (net.Conn, *bufio.Reader) {
		t.Helper()
		conn := dial(t, s.Server)
		if _, err := io.WriteString(conn, large); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 405 || !resp.Close {
			t.Fatalf("%+v, %v", resp, err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil { // the answer's end does not wait for the body
			t.Fatal(err)
		}
		return conn, r
	}
	conn, _ := refused()
	sent, err := io.Copy(conn, bytes.NewReader(make([]byte, 100<<20)))
	if err == nil || sent < 16<<20 || sent > 64<<20 {
		t.Errorf("%d bytes went through, %v", sent, err)
	}
	var lingering net.Conn
	var r *bufio.Reader
	var waiting []*bufio.Reader
	for range 64 {
		lingering, r = refused()
		waiting = append(waiting, r)
	}
	// The server closes one body too many at once, while those before it still linger.
	_, extra := refused()
	if _, err := extra.ReadByte(); err == nil {
		t.Error("one too many is read on")
	}
	_ = lingering.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := r.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the one before ended first: %v", err)
	}
	_ = lingering.SetReadDeadline(time.Time{})
	for _, r := range waiting {
		if _, err := r.ReadByte(); err != io.EOF {
			t.Fatalf("a body that does not come: %v", err)
		}
	}
	if status, err := sendAll(t, s.Server, "PUT /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10485760", 10<<20); status != 405 {
		t.Errorf("afterwards: %d, %v", status, err)
	}
	_ = conn.Close()
}

// A connection whose small body was refused can be used again.
func TestRefusalKeepsTheConnection(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	conn := dial(t, s.Server)
	r := bufio.NewReader(conn)
	for range 3 {
		if _, err := io.WriteString(conn, "PUT /events/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 405 || resp.Close {
			t.Fatalf("%+v, %v", resp, err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
	}
}

// postOverHTTP2 begins a POST of size bytes, which it does not send, to a hub whose
// limit is 32 KiB.
func postOverHTTP2(t *testing.T, size int) *http2.Framer {
	t.Helper()
	s := newServer(t, eventlog.Retention{}, edge.Options{MaxBody: 32 << 10})
	return askOverHTTP2(t, s.Config.Handler, false, ":method", "POST", ":path", "/events/a", "content-length", strconv.Itoa(size))
}

// askOverHTTP2 sends the head of a request to a handler; end sets END_STREAM. header is
// names and values by turns.
func askOverHTTP2(t *testing.T, handler http.Handler, end bool, header ...string) *http2.Framer {
	t.Helper()
	h2 := httptest.NewUnstartedServer(handler)
	h2.Config.Protocols = new(http.Protocols)
	h2.Config.Protocols.SetUnencryptedHTTP2(true)
	h2.Start()
	t.Cleanup(h2.Close)
	conn := dial(t, h2)
	t.Cleanup(func() { _ = conn.Close() }) // closed before the server, which waits for it
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var head bytes.Buffer
	enc := hpack.NewEncoder(&head)
	header = append([]string{":scheme", "http", ":authority", "localhost"}, header...)
	for i := 0; i < len(header); i += 2 {
		if err := enc.WriteField(hpack.HeaderField{Name: header[i], Value: header[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true, EndStream: end}); err != nil {
		t.Fatal(err)
	}
	return framer
}

// On HTTP/2 the server does not reset the stream of an early answer while the client
// sends the rest, because curl 7.88 and others would lose the answer.
func TestRefusalOverHTTP2IsNotReset(t *testing.T) {
	framer := postOverHTTP2(t, 48<<10)
	for answered := false; !answered; {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		head, ok := f.(*http2.MetaHeadersFrame)
		answered = ok && head.PseudoValue("status") == "413"
	}
	time.Sleep(50 * time.Millisecond) // a server that does not wait would have ended the stream by now
	for n := range 3 {
		if err := framer.WriteData(1, n == 2, make([]byte, 16<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := framer.WritePing(false, [8]byte{}); err != nil {
		t.Fatal(err)
	}
	for ended, asked := false, true; !ended || asked; {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			ended = ended || f.StreamEnded()
		case *http2.PingFrame:
			asked = false
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatal(f)
		}
	}
}

// The same holds for any other answer for which the body is not read.
func TestAnswersWithoutTheBodyOverHTTP2(t *testing.T) {
	operator := "Bearer " + token(t, "", "*", subject("ann"), admin)
	for _, tt := range [][2]string{
		{"POST", "/tickets"}, {"DELETE", "/events?topic=a"}, {"DELETE", "/subscriptions?topic=a"},
	} {
		s := newGuarded(t, nil)
		framer := askOverHTTP2(t, s.Config.Handler, false, ":method", tt[0], ":path", tt[1], "authorization", operator, "content-length", "2")
		for answered := false; !answered; {
			f, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			head, ok := f.(*http2.MetaHeadersFrame)
			if answered = ok; ok && !strings.HasPrefix(head.PseudoValue("status"), "20") {
				t.Fatalf("%s: %v", tt, head)
			}
		}
		time.Sleep(50 * time.Millisecond) // a server that does not wait would have ended the stream by now
		if err := framer.WriteData(1, true, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if err := framer.WritePing(false, [8]byte{}); err != nil {
			t.Fatal(err)
		}
		for asked := true; asked; {
			f, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			switch f := f.(type) {
			case *http2.PingFrame:
				asked = false
			case *http2.RSTStreamFrame, *http2.GoAwayFrame:
				t.Errorf("%s: %v", tt, f)
			}
		}
	}
}

// On HTTP/2 a client that sends as much as its window allows sees the whole answer and
// no error.
func TestRefusalOverHTTP2(t *testing.T) {
	framer := postOverHTTP2(t, 10<<20)
	for range 65535 / 4096 { // the whole window
		if err := framer.WriteData(1, false, make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
	}
	for status := ""; ; {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("after status %q: %v", status, err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			status = f.PseudoValue("status")
		case *http2.DataFrame:
			if f.StreamEnded() {
				if status != "413" {
					t.Errorf("status %q", status)
				}
				return
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatalf("after status %q: %v", status, f)
		}
	}
}
