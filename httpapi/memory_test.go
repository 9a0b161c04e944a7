package httpapi_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
)

// TestPublishesKeepToBudget sends bodies that do not end, until the account has no room
// for another: that one is told to come back, and is taken once the others have gone.
func TestPublishesKeepToBudget(t *testing.T) {
	const size = 100 << 10
	for _, header := range []string{"Content-Length: 200000", "Transfer-Encoding: chunked"} {
		b := budget.New(4 << 20)
		s := newServer(t, eventlog.Retention{}, httpapi.Options{Budget: b})
		body := strings.Repeat("x", size)
		if strings.HasPrefix(header, "Transfer") {
			body = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
		}
		share := b.Share(budget.Publishes)
		var conns []net.Conn
		for n := 0; share.Refused() == 0; n++ {
			if n == 100 {
				t.Fatalf("%s: after %d bodies, %d bytes are held of %d", header, n, share.Used(), share.Most())
			}
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			conns = append(conns, conn)
			before := share.Used()
			fmt.Fprintf(conn, "POST /events/news HTTP/1.1\r\nHost: hub\r\nContent-Type: text/plain\r\n%s\r\n\r\n%s", header, body)
			for share.Used() < before+size && share.Refused() == 0 { // it has been read
				time.Sleep(time.Millisecond)
			}
		}
		if share.Used() > share.Most() {
			t.Errorf("%s: %d bytes are held of %d", header, share.Used(), share.Most())
		}
		resp := s.do(t, "POST", "/events/news", strings.Repeat("x", 60<<10))
		detail, _ := io.ReadAll(resp.Body)
		if share.Most()-share.Used() < 60<<10 && (resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(detail), "again")) {
			t.Errorf("%s: one more is answered %d, %s", header, resp.StatusCode, detail)
		}
		for _, conn := range conns {
			_ = conn.Close()
		}
		for share.Used() > 0 {
			time.Sleep(time.Millisecond)
		}
		s.publish(t, "news", "hello")
	}
}

// TestBatchesKeepToBudget publishes a batch whose many small items take more than the
// account has.
func TestBatchesKeepToBudget(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, httpapi.Options{Budget: budget.New(4 << 20)})
	line := `{"topic":"a","data":"b"}` + "\n"
	for n, want := range map[int]int{100: http.StatusOK, 9000: http.StatusServiceUnavailable} {
		resp := s.do(t, "POST", "/events", strings.Repeat(line, n), "Content-Type", "application/x-ndjson")
		if resp.StatusCode != want {
			t.Errorf("%d items are answered %d, want %d", n, resp.StatusCode, want)
		}
	}
}
