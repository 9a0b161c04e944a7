package daemon

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/edge"
)

// An eighth of the limit is for connections: 16 MiB.
var small = []string{"--memory-limit", "128MiB", "--retain-bytes", "16MiB", "--no-auth"}

const connectionsLimit = 16 << 20

// connectionMemory returns how many bytes count as memory of connections, and how often
// there was none left. It asks on a connection that is open already.
func (r *running) connectionMemory(t *testing.T, operator *http.Client) (held, refused int64) {
	t.Helper()
	resp, err := operator.Get(r.scheme + "://localhost/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) int64 {
		_, rest, found := strings.Cut(string(text), "\n"+name+`{use="connections"} `)
		line, _, _ := strings.Cut(rest, "\n")
		f, err := strconv.ParseFloat(line, 64)
		if !found || err != nil {
			t.Fatalf("GET /metrics has no %s of connections", name)
		}
		return int64(f)
	}
	return value("tidings_memory_bytes"), value("tidings_memory_refused_total")
}

// operator returns a client with one open connection.
func (r *running) operator(t *testing.T) *http.Client {
	c := r.client(func(p *http.Protocols) { p.SetHTTP1(true) })
	t.Cleanup(c.CloseIdleConnections)
	r.connectionMemory(t, c)
	return c
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// While open connections hold all their memory, new ones wait, and are served once
// others have gone. An operator gets through on an open connection.
func TestConnectionsKeepToMemory(t *testing.T) {
	r := runHub(t, small...)
	operator := r.operator(t)
	const most = connectionsLimit / 8 * 7 / connectionSize
	silent := make([]net.Conn, most+200)
	dial := func() net.Conn {
		conn, err := r.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	for i := range silent {
		silent[i] = dial()
	}
	waiting := dial()
	fmt.Fprint(waiting, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	until(t, "all connections that there may be", func() bool {
		held, _ := r.connectionMemory(t, operator)
		return held > connectionsLimit/8*7-connectionSize
	})
	if held, _ := r.connectionMemory(t, operator); held > connectionsLimit/8*7 {
		t.Errorf("connections hold %d bytes, and may hold %d", held, connectionsLimit/8*7)
	}
	for _, conn := range silent {
		_ = conn.Close()
	}
	_ = waiting.SetReadDeadline(time.Now().Add(20 * time.Second))
	if answer, err := io.ReadAll(waiting); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		t.Errorf("a connection that waited: %q, %v", answer, err)
	}
	until(t, "memory to be given back", func() bool {
		held, _ := r.connectionMemory(t, operator)
		return held == connectionSize // the operator's connection
	})
}

// Large heads that do not end are cut off when there is no memory for them.
func TestSlowHeadsKeepToMemory(t *testing.T) {
	r := runHub(t, small...)
	operator := r.operator(t)
	begin := "GET /events/a HTTP/1.1\r\nHost: localhost\r\nX-Long: " + strings.Repeat("x", 120_000)
	for range 2 * connectionsLimit / 120_000 {
		conn, err := r.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		go func() { _, _ = io.WriteString(conn, begin) }() // the hub may cut it off
	}
	until(t, "a head to be refused", func() bool {
		held, refused := r.connectionMemory(t, operator)
		if held > connectionsLimit {
			t.Fatalf("connections hold %d bytes, and may hold %d", held, connectionsLimit)
		}
		return refused > 0
	})
}

// While unanswered HTTP/2 requests hold all the memory of connections, further ones get
// 503 or are reset. Before that, an EventSource gets a reconnection time, so that
// publishers still get through.
func TestRequestsOfHTTP2KeepToMemory(t *testing.T) {
	r := runHub(t, small...)
	operator := r.operator(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := func() *http.Client { // each has its own connection
		return r.client(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
	}
	streams, open, told := client(), 0, 0
	for told == 0 && open < 2*connectionsLimit/requestSize {
		req, err := http.NewRequestWithContext(ctx, "GET", "http://localhost/events/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		resp, err := streams.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("stream %d: %+v, %v", open, resp, err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.Header.Get("Last-Event-ID") != "" { // a stream was opened
			open++
			continue
		}
		if text, _ := bufio.NewReader(resp.Body).ReadString('\n'); !strings.HasPrefix(text, "retry: ") {
			t.Fatalf("a stream is refused with %q", text)
		}
		told++
	}
	if least := connectionsLimit / 2 / requestSize; told == 0 || open < least {
		t.Errorf("%d streams are open, want %d at least, and %d were told to come back, want 1", open, least, told)
	}
	publish := func(c *http.Client, body io.Reader) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, "POST", "http://localhost/events/a", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "text/plain")
		return c.Do(req)
	}
	publishers := client()
	if resp, err := publish(publishers, strings.NewReader("x")); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("a publisher beside these streams: %+v, %v", resp, err)
	}
	var waiting sync.WaitGroup
	defer func() { cancel(); waiting.Wait() }()
	for range connectionsLimit / requestSize {
		body, end := io.Pipe()
		defer func() { _ = end.Close() }()
		waiting.Go(func() {
			if resp, err := publish(publishers, body); err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	until(t, "a request to be refused", func() bool {
		held, refused := r.connectionMemory(t, operator)
		if held > connectionsLimit {
			t.Fatalf("connections hold %d bytes, and may hold %d", held, connectionsLimit)
		}
		return refused > 0
	})
	resp, err := publish(publishers, strings.NewReader("x"))
	if err == nil && (resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "") {
		t.Errorf("a publisher beside so many requests: %+v, want 503 with Retry-After", resp)
	}
}

// An HTTP/2 connection counts for more than an HTTP/1 connection, also over TLS, and in
// whatever pieces its preface arrives.
func TestConnectionsOfHTTP2Count(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := writeCertificate(t, dir, "localhost")
	for name, args := range map[string][]string{"in the clear": nil, "TLS": {"--tls-cert", certFile, "--tls-key", keyFile}} {
		t.Run(name, func(t *testing.T) {
			r := runHub(t, append(args, small...)...)
			operator := r.operator(t)
			one := int64(connectionSize)
			if args != nil {
				one += tlsSize
			}
			want := one + one + http2Size // the operator's connection is HTTP/1
			if args == nil {
				conn, err := r.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				for _, b := range []byte(preface) {
					if _, err := conn.Write([]byte{b}); err != nil {
						t.Fatal(err)
					}
				}
			} else {
				client := r.client(func(p *http.Protocols) { p.SetHTTP2(true) })
				resp, err := client.Get("https://localhost/healthz")
				if err != nil || resp.ProtoMajor != 2 {
					t.Fatalf("%+v, %v", resp, err)
				}
				_ = resp.Body.Close()
				defer client.CloseIdleConnections()
			}
			var held int64
			until(t, fmt.Sprint("a connection of HTTP/2 to count: ", want), func() bool {
				held, _ = r.connectionMemory(t, operator)
				return held == want
			})
		})
	}
}

// An HTTP/2 request that its client resets before it began is not served, and reading
// its connection pauses.
func TestResetRequests(t *testing.T) {
	here, there := net.Pipe()
	defer func() { _, _ = here.Close(), there.Close() }()
	conn := newCountedConn(here, budget.New(0).Share(budget.Connections), connectionSize)
	ctx, cancel := context.WithCancel(withConnection(t.Context(), conn))
	served := 0
	h := edge.BoundRequests(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }), conn.held, requestBytes, time.Second, slowDown)
	request := httptest.NewRequestWithContext(ctx, "GET", "/events/a", nil)
	request.ProtoMajor = 2
	h.ServeHTTP(httptest.NewRecorder(), request)
	if served != 1 || conn.pause.Load() != 0 {
		t.Fatalf("%d of 1 requests were served, and the connection pauses for %d ns", served, conn.pause.Load())
	}
	quits := edge.BoundRequests(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }), conn.held, requestBytes, time.Second, slowDown)
	quits.ServeHTTP(httptest.NewRecorder(), request)
	if pause := conn.pause.Load(); pause != int64(resetPause) {
		t.Errorf("after a request that was reset while it was served, the connection pauses for %d ns, want %d", pause, resetPause)
	}
	for range 2 * maxResetPause / resetPause {
		h.ServeHTTP(httptest.NewRecorder(), request)
	}
	if served != 1 || conn.pause.Load() != int64(maxResetPause) {
		t.Errorf("%d requests were served after they were reset, and the connection pauses for %d ns, want %d", served-1, conn.pause.Load(), maxResetPause)
	}
	go func() { _, _ = there.Write([]byte("x")) }()
	if _, err := conn.Read(make([]byte, 1)); err != nil || conn.pause.Load() != 0 {
		t.Errorf("after the pause: %v, and the connection pauses for %d ns more", err, conn.pause.Load())
	}
}
