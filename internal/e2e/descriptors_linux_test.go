package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// At the limit on open files, the hub refuses further streams and leaves the rest of
// the descriptors to publishers and operators; open streams continue. It refuses
// with a 200 that has a retry of its own and ends at once, because an EventSource
// gives up on any other status.
func TestDescriptorLimit(t *testing.T) {
	for name, args := range map[string][]string{"parked": nil, "unparked": {"--unparked"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit = 256
			h := startHub(t, append([]string{"--store", "disk", "--data", t.TempDir()}, args...)...)
			if err := unix.Prlimit(h.cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}, nil); err != nil {
				t.Fatal(err)
			}
			var open []net.Conn
			var readers []*bufio.Reader
			refused := 0
			for range limit + 20 {
				conn, r, again := h.knock()
				if again {
					refused++
					continue
				}
				open, readers = append(open, conn), append(readers, r)
			}
			if len(open) < limit/2 || len(open) > limit*3/4 || refused == 0 {
				t.Errorf("%d streams are open and %d refused, at a limit of %d; want between half and three quarters of it open, the rest refused", len(open), refused, limit)
			}
			for i := range 20 { // publishers and an operator on connections of their own
				client.CloseIdleConnections()
				h.publish("a", fmt.Sprint("event ", i))
			}
			if s := h.streamStats(); s.Open != len(open) || s.Disconnects["error"] != 0 {
				t.Errorf("%+v; want %d open streams", s, len(open))
			}
			for _, r := range readers {
				for line := ""; !strings.Contains(line, "event 19"); {
					var err error
					if line, err = r.ReadString('\n'); err != nil {
						t.Fatalf("an open stream ends with %v", err)
					}
				}
			}
			if n := strings.Count(h.output.String(), "descriptors"); n != 1 {
				t.Errorf("the log has %d lines about descriptors; want 1", n)
			}
			for _, conn := range open[:10] { // more than one, because the store may have opened a file or two
				_ = conn.Close()
			}
			eventually(t, "a stream to get in again", func() (bool, string) {
				_, _, again := h.knock()
				return !again, ""
			})
		})
	}
}

// Over HTTP/2 it is the connections that take descriptors: one that brings no other stream
// is told to come back, and closed; on one that is there anyway, streams are served.
func TestDescriptorLimitOverHTTP2(t *testing.T) {
	const limit = 256
	h := startHub(t, "--store", "memory")
	if err := unix.Prlimit(h.cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}, nil); err != nil {
		t.Fatal(err)
	}
	knock := func(c *http.Client) (again bool) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url("/events/a"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		resp, err := c.Do(req)
		if err != nil || resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
			t.Fatalf("%+v, %v", resp, err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.Header.Get("Last-Event-ID") != "" { // where a stream begins
			return false
		}
		if text, err := io.ReadAll(resp.Body); err == nil || !strings.HasPrefix(string(text), "retry: ") {
			t.Errorf("a stream is refused with %q, %v", text, err)
		}
		return true
	}
	var open []*http.Client
	for refused := 0; refused < 5; {
		if len(open) > limit {
			t.Fatalf("%d streams are open", len(open))
		}
		tr := &http.Transport{Protocols: new(http.Protocols), ResponseHeaderTimeout: patience}
		tr.Protocols.SetUnencryptedHTTP2(true)
		c := &http.Client{Transport: tr}
		if knock(c) {
			refused++
		} else {
			open = append(open, c)
		}
	}
	if len(open) < limit/2 || len(open) > limit*3/4 {
		t.Errorf("%d streams of %d are open; want up to three quarters of the limit", len(open), limit)
	}
	for i := range 20 {
		client.CloseIdleConnections()
		h.publish("a", fmt.Sprint("event ", i))
	}
	if knock(open[0]) {
		t.Error("a stream on a connection that has one is told to come back")
	}
}

// Connections with half-sent headers do not keep the store from opening files, however
// many there are: the hub leaves new connections in the backlog before it runs out of
// descriptors, an open connection can still publish durably, and the waiting ones get in
// when the headers have timed out.
func TestConnectionsLeaveTheStoreRoom(t *testing.T) {
	const limit = 256
	h := startHub(t, "--store", "disk", "--data", t.TempDir())
	h.publish("a", "a connection that stays open")
	if err := unix.Prlimit(h.cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 * limit {
		conn, err := net.DialTimeout("tcp", h.addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "GET /events/a HTTP/1.1\r\nHost: "); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the hub to say that connections wait", func() (bool, string) {
		out := h.output.String()
		return strings.Contains(out, "new connections wait"), out
	})
	for i := range 500 { // enough for new files
		h.publish("a", fmt.Sprint(i, strings.Repeat(" large", 20_000)))
	}
	client.CloseIdleConnections()
	h.publish("a", "on a new connection, when the headers have timed out")
}

// knock requests a stream on a connection of its own. The answer must be a 200. again
// reports that the hub has refused the stream; the answer must then have a retry of at
// least 300 ms and end.
func (h *hub) knock() (_ net.Conn, _ *bufio.Reader, again bool) {
	h.t.Helper()
	conn, err := net.DialTimeout("tcp", h.addr, patience)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET /events/a HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", h.addr)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusOK || !resp.Close && resp.Header.Get("Last-Event-ID") == "" {
		h.t.Fatalf("%+v, %v", resp, err)
	}
	body := bufio.NewReader(resp.Body)
	if resp.Header.Get("Last-Event-ID") != "" { // where a stream begins
		return conn, body, false
	}
	text, _ := io.ReadAll(body)
	if retry := 0; !strings.Contains(string(text), "retry: ") {
		h.t.Fatalf("a stream is refused with %q", text)
	} else if _, err := fmt.Sscanf(string(text[strings.Index(string(text), "retry: "):]), "retry: %d", &retry); err != nil || retry < 300 {
		h.t.Fatalf("a stream is refused with %q", text)
	}
	_ = conn.Close()
	return nil, nil, true
}
