package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
)

// TestPublishesKeepToBudget sends as many bodies without an end as the account has room
// for. The next one gets a 503, a small one is still accepted, and all memory is free
// again once the clients have gone.
func TestPublishesKeepToBudget(t *testing.T) {
	for _, tt := range []struct {
		why, header string
		sent        int // bytes of the body
		rest        string
		takes       int64 // bytes counted against the budget
	}{
		{"a body of known length that is small", "Content-Length: 60000", 50 << 10, strings.Repeat("x", 60000-50<<10), 60000},
		{"one that is large", "Content-Length: 200000", 100 << 10, strings.Repeat("x", 200000-100<<10), 128 << 10},
		{"one of unknown length", "Transfer-Encoding: chunked", 100 << 10, "0\r\n\r\n", 128 << 10},
	} {
		t.Run(tt.why, func(t *testing.T) {
			b := budget.New(4 << 20)
			s := newServer(t, eventlog.Retention{}, edge.Options{Budget: b})
			share := b.Share(budget.Publishes)
			body := strings.Repeat("x", tt.sent)
			if strings.HasPrefix(tt.header, "Transfer") {
				body = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
			}
			send := func() net.Conn {
				conn, err := net.Dial("tcp", s.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				fmt.Fprintf(conn, "POST /events/news HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n%s\r\n\r\n%s", tt.header, body)
				return conn
			}
			waitHeld := func(want int64) {
				t.Helper()
				for deadline := time.Now().Add(10 * time.Second); share.Used() != want; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("%d bytes are held, want %d", share.Used(), want)
					}
				}
			}
			fit := share.Most() / tt.takes
			var conns []net.Conn
			for n := range fit {
				conns = append(conns, send())
				waitHeld((n + 1) * tt.takes)
			}

			over := send()
			fmt.Fprint(over, tt.rest) // net/http reads the rest before it sends the answer
			_ = over.SetReadDeadline(time.Now().Add(10 * time.Second))
			resp, err := http.ReadResponse(bufio.NewReader(over), nil)
			if err != nil {
				t.Fatalf("one more than fit is not answered: %v", err)
			}
			wantComeBack(t, resp)
			waitHeld(fit * tt.takes)
			left := int(share.Most() - share.Used())
			wantComeBack(t, s.do(t, "POST", "/events/news", strings.Repeat("x", left+1)))
			if resp := s.do(t, "POST", "/events/news", strings.Repeat("x", left/4)); resp.StatusCode != http.StatusCreated {
				t.Errorf("an event for which there is room is answered %d", resp.StatusCode)
			}
			for _, conn := range conns {
				_ = conn.Close()
			}
			waitHeld(0)
			s.publish(t, "news", "hello")
		})
	}
}

// wantComeBack checks that an answer says that there is no memory for now.
func wantComeBack(t *testing.T, resp *http.Response) {
	t.Helper()
	detail, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(detail), "again") {
		t.Errorf("what does not fit is answered %d, %s", resp.StatusCode, detail)
	}
}

// TestBatchesKeepToBudget publishes a batch whose many small items take more than the
// account has.
func TestBatchesKeepToBudget(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{Budget: budget.New(4 << 20)})
	line := `{"topic":"a","data":"b"}` + "\n"
	for n, want := range map[int]int{100: http.StatusOK, 9000: http.StatusServiceUnavailable} {
		resp := s.do(t, "POST", "/events", strings.Repeat(line, n), "Content-Type", "application/x-ndjson")
		if resp.StatusCode != want {
			t.Errorf("%d items are answered %d, want %d", n, resp.StatusCode, want)
		}
	}
}
