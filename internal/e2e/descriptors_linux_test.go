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

// At the limit on open files, streams leave room: those beyond it are told to come back
// with a 200, which alone an EventSource takes so, while publishers and operators get
// through and the streams that are open go on.
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
				t.Errorf("%d streams of %d are open, and %d were refused; want up to three quarters of the limit", len(open), limit, refused)
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
			for _, conn := range open[:10] { // the store may have opened a file or two meanwhile
				_ = conn.Close()
			}
			eventually(t, "a stream to get in again", func() (bool, string) {
				_, _, again := h.knock()
				return !again, ""
			})
		})
	}
}

// Half-sent heads on all the connections that there may be do not stop the store from
// opening its files: connections beyond the reserve wait, what is published on one that
// is open stays durable, and the others get in when the heads have timed out.
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
	h.publish("a", "on a new connection, when the heads have timed out")
}

// knock asks for a stream on a connection of its own. It must be answered with a 200; if
// it is told to come back, a retry of its own must be all that it gets, and an end.
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
