package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A gate holds back what a client reads from its connections, so that the hub's
// sockets fill.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed while it is open
}

func newGate() *gate {
	g := &gate{open: make(chan struct{})}
	close(g.open)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

func (g *gate) lift() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

func (g *gate) pass() {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	<-open
}

// A gated connection reads only while its gate is open.
type gated struct {
	net.Conn
	gate *gate
}

func (c gated) Read(p []byte) (int, error) {
	c.gate.pass()
	return c.Conn.Read(p)
}

// subscribeGated opens n streams whose connections read through g: a connection for
// each stream, or one for all with HTTP/2. For each stream, the channel receives nil
// when the line last has come, or the error with which the stream has ended.
func (h *hub) subscribeGated(n int, http2 bool, g *gate, last string) <-chan error {
	h.t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(!http2)
	tr.Protocols.SetUnencryptedHTTP2(http2)
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return gated{conn, g}, conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	}
	h.t.Cleanup(tr.CloseIdleConnections)
	ends := make(chan error, n)
	for range n {
		req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url("/events/a"), nil)
		if err != nil {
			h.t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		resp, err := tr.RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusOK || http2 != (resp.ProtoMajor == 2) {
			h.t.Fatalf("%+v, %v", resp, err)
		}
		lines := bufio.NewReaderSize(resp.Body, 4<<20)
		if _, err := lines.ReadString('\n'); err != nil {
			h.t.Fatal(err)
		}
		go func() {
			defer func() { _ = resp.Body.Close() }()
			for {
				line, err := lines.ReadString('\n')
				if err != nil || strings.TrimSpace(line) == last {
					ends <- err
					return
				}
			}
		}()
	}
	return ends
}

// streamStats is the field streams of /stats.
type streamStats struct {
	Open        int            `json:"open"`
	Lagging     int            `json:"lagging"`
	CatchingUp  int            `json:"catching_up"`
	Disconnects map[string]int `json:"disconnects"`
}

func (h *hub) streamStats() streamStats {
	h.t.Helper()
	resp, err := client.Get(h.url("/stats"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var s struct{ Streams streamStats }
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		h.t.Fatal(err)
	}
	return s.Streams
}

// fill publishes 12 MB and waits until all n streams are behind, because their
// sockets are full.
func (h *hub) fill(n int) {
	h.t.Helper()
	for range 12 { // more than the sockets' buffers hold
		h.publish("a", strings.Repeat("x", 1<<20-100))
	}
	eventually(h.t, "all sockets to be full", func() (bool, string) {
		s := h.streamStats()
		return s.Open == n && s.Lagging+s.CatchingUp == n, fmt.Sprint(s)
	})
}

var transports = []struct {
	name  string
	http2 bool
	args  []string
}{
	{"parked", false, nil},
	{"unparked", false, []string{"--unparked"}},
	{"HTTP2", true, nil},
}

// A hub that was stopped or frozen for longer than the write timeout must not take
// its peers for stalled: they may have read everything meanwhile.
func TestPauseEndsNoStream(t *testing.T) {
	const writeTimeout = 4 * time.Second
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			h := startHub(t, append([]string{"--write-timeout", writeTimeout.String()}, tr.args...)...)
			const n = 20
			g := newGate()
			ends := h.subscribeGated(n, tr.http2, g, "data: last")
			g.shut()
			h.fill(n)
			h.signal(t, syscall.SIGSTOP)
			g.lift()
			time.Sleep(writeTimeout + writeTimeout/4) // the pause under test
			h.signal(t, syscall.SIGCONT)
			h.publish("a", "last")
			for range n {
				select {
				case err := <-ends:
					if err != nil {
						t.Errorf("a stream ended with %v", err)
					}
				case <-time.After(patience):
					t.Fatal("a stream did not get the last event")
				}
			}
			if s := h.streamStats(); s.Disconnects["stalled"] != 0 {
				t.Errorf("%d streams were ended as stalled", s.Disconnects["stalled"])
			}
		})
	}
}

// The hub ends the streams of peers that take nothing, and closes their sockets.
func TestStalledPeerIsEnded(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			h := startHub(t, append([]string{"--write-timeout", "1s"}, tr.args...)...)
			const n = 5
			g := newGate()
			h.subscribeGated(n, tr.http2, g, "none")
			g.shut()
			t.Cleanup(g.lift)
			for range 12 {
				h.publish("a", strings.Repeat("x", 1<<20-100))
			}
			eventually(t, "the streams to end", func() (bool, string) {
				s := h.streamStats()
				return s.Open == 0, fmt.Sprint(s)
			})
			eventually(t, "their connections to be closed", func() (bool, string) {
				left := h.socketsTo("127.0.0.1")
				n := h.holds(left)
				return n <= 1, fmt.Sprint(n, " sockets") // the test's own requests keep one open
			})
		})
	}
}

// A drain ends streams whose peers take nothing like any others, each at a moment of
// its own, and the hub has stopped when the drain is over.
func TestDrainSpreadsFullStreams(t *testing.T) {
	for _, tr := range transports[:2] {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			const drain = 4 * time.Second
			h := startHub(t, append([]string{"--write-timeout", "1m", "--drain", drain.String()}, tr.args...)...)
			const n = 40
			g := newGate()
			h.subscribeGated(n, tr.http2, g, "none")
			g.shut()
			t.Cleanup(g.lift)
			h.fill(n)
			sockets := h.socketsTo("127.0.0.1")
			all := h.holds(sockets)
			begun := time.Now()
			h.signal(t, syscall.SIGTERM)
			time.Sleep(drain / 2) // to look in the middle of it
			if left := h.holds(sockets); left < all-n*9/10 || left > all-n/10 {
				t.Errorf("in the middle of the drain %d of %d sockets are left", left, all)
			}
			if code := h.wait(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if took := time.Since(begun); took > drain+2*time.Second {
				t.Errorf("the hub stopped after %v; want %v at most", took, drain+2*time.Second)
			}
		})
	}
}
