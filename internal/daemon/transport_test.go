package daemon

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tidings-sse/tidings/hub"
)

// writeCertificate makes a certificate for this machine and replaces both files.
func writeCertificate(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// A running is a running hub, and how to dial it.
type running struct {
	scheme string
	dial   func(ctx context.Context) (net.Conn, error)
}

// runHub runs a hub with flags until the test ends.
func runHub(t *testing.T, args ...string) *running {
	t.Helper()
	var c Config
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	if _, err := parser.Parse(append([]string{"--listen", "unix:" + socket, "--store", "memory", "--drain", "10ms"}, args...)); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	r := &running{scheme: "http", dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	if c.TLSCert != "" {
		r.scheme = "https"
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, &c, io.Discard, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, err := r.dial(t.Context())
		if err == nil {
			_ = conn.Close()
			return r
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// client returns a client that speaks one version of HTTP.
func (r *running) client(protocols func(*http.Protocols)) *http.Client {
	t := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return r.dial(ctx) },
		Protocols:       new(http.Protocols),
	}
	protocols(t.Protocols)
	return &http.Client{Transport: t}
}

// oldTransport speaks HTTP/1.0, with one connection for each request.
type oldTransport struct{ r *running }

func (o oldTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	conn, err := o.r.dial(req.Context())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(req.Context(), func() { _ = conn.Close() })
	body := []byte{}
	if req.Body != nil {
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.0\r\nHost: localhost\r\n", req.Method, req.URL.RequestURI())
	_ = req.Header.Write(&head)
	fmt.Fprintf(&head, "Content-Length: %d\r\n\r\n%s", len(body), body)
	if req.Method == http.MethodGet {
		head.Reset()
		fmt.Fprintf(&head, "GET %s HTTP/1.0\r\nHost: localhost\r\n", req.URL.RequestURI())
		_ = req.Header.Write(&head)
		head.WriteString("\r\n")
	}
	if _, err := conn.Write(head.Bytes()); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{resp.Body, closer(func() error { stop(); return conn.Close() })}
	return resp, nil
}

type closer func() error

func (c closer) Close() error { return c() }

// Streams are the same over every version of HTTP, parked or not: a beginning
// at once, live events, resume, a large event, many at once, and a clean end.
func TestDelivery(t *testing.T) {
	cert, key := writeCertificate(t, t.TempDir(), "hub")
	secure := []string{"--tls-cert", cert, "--tls-key", key}
	http1 := func(p *http.Protocols) { p.SetHTTP1(true) }
	http2 := func(p *http.Protocols) { p.SetHTTP2(true) }
	h2c := func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }
	for _, tt := range []struct {
		name   string
		args   []string
		client func(*running) *http.Client
		proto  string
	}{
		{"HTTP/1.0", nil, func(r *running) *http.Client { return &http.Client{Transport: oldTransport{r}} }, "HTTP/1."},
		{"HTTP/1.1", nil, func(r *running) *http.Client { return r.client(http1) }, "HTTP/1.1"},
		{"HTTP/1.1, not parked", []string{"--unparked"}, func(r *running) *http.Client { return r.client(http1) }, "HTTP/1.1"},
		{"HTTP/1.1 over TLS", secure, func(r *running) *http.Client { return r.client(http1) }, "HTTP/1.1"},
		{"HTTP/2 over TLS", secure, func(r *running) *http.Client { return r.client(http2) }, "HTTP/2.0"},
		{"HTTP/2 in the clear", nil, func(r *running) *http.Client { return r.client(h2c) }, "HTTP/2.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runHub(t, tt.args...)
			c := tt.client(r)
			defer c.CloseIdleConnections()
			deliver(t, c, r.scheme+"://localhost", tt.proto)
		})
	}
}

func deliver(t *testing.T, c *http.Client, base, proto string) {
	open := func(query string) (*http.Response, *bufio.Reader) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", base+"/events/news?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/event-stream")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode != 200 || !strings.HasPrefix(resp.Proto, proto) || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Fatalf("%s %s %v", resp.Proto, resp.Status, resp.Header)
		}
		return resp, bufio.NewReader(resp.Body)
	}
	block := func(in *bufio.Reader) (text string) {
		t.Helper()
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatalf("after %.100q: %v", text, err)
			}
			if line == "\n" {
				return text
			}
			text += line
		}
	}
	publish := func(data string) {
		t.Helper()
		resp, err := c.Post(base+"/events/news", "text/plain", strings.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusCreated {
			t.Fatalf("publish: %s %v", resp.Status, err)
		}
	}
	resp, live := open("")
	begun := block(live)
	place, ok := strings.CutPrefix(begun, "retry: 3000\nevent: position\nid: ")
	if place, _, _ = strings.Cut(place, "\n"); !ok {
		t.Fatalf("a stream begins with %q", begun)
	}
	large := strings.Repeat("x", 300<<10)
	var want []string
	for n := range 50 {
		want = append(want, fmt.Sprint("event ", n))
	}
	want = append(want, large, "a line\nand another", "end")
	for _, data := range want {
		publish(data)
	}
	_, resumed := open("last_event_id=" + url.QueryEscape(place))
	block(resumed)
	for _, in := range []*bufio.Reader{live, resumed} {
		for i, data := range want {
			_, got, _ := strings.Cut(block(in), "\n") // after the id
			if got != "data: "+strings.ReplaceAll(data, "\n", "\ndata: ")+"\n" {
				t.Fatalf("event %d is %.100q", i, got)
			}
		}
	}
	_ = resp.Body.Close() // a stream that leaves does not disturb the others
	publish("after that")
	if got := block(resumed); !strings.HasSuffix(got, "data: after that\n") {
		t.Errorf("got %q", got)
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := writeCertificate(t, dir, "one")
	c := &certificate{certFile: certFile, keyFile: keyFile, logger: slog.New(slog.DiscardHandler)}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	served := func() string {
		t.Helper()
		c.looked = time.Time{} // as if certificatePause had passed
		cert, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.Subject.CommonName
	}
	if got := served(); got != "one" {
		t.Errorf("%q is served", got)
	}
	writeCertificate(t, dir, "another")
	if got := served(); got != "another" {
		t.Errorf("%q is served after a change", got)
	}
	if err := os.WriteFile(certFile, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := served(); got != "another" {
		t.Errorf("%q is served while the new one is being written", got)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if got := served(); got != "another" {
		t.Errorf("%q is served while there is none", got)
	}
	writeCertificate(t, dir, "third")
	if got := served(); got != "third" {
		t.Errorf("%q is served in the end", got)
	}
}

// All answers have the same headers, and adding to one answer's headers changes no
// other's.
func TestSecure(t *testing.T) {
	for _, tt := range []struct {
		why, listen, cert, method string
		page, hsts                bool
	}{
		{"in the clear", "0.0.0.0:80", "", "GET", true, false},
		{"over TLS", "0.0.0.0:443", "cert.pem", "GET", true, true},
		{"over TLS, on this machine only", "127.0.0.1:443", "cert.pem", "GET", true, false},
		{"to a DELETE", "0.0.0.0:80", "", "DELETE", true, false},
		{"to a POST", "0.0.0.0:80", "", "POST", false, false},
		{"to a POST over TLS", "0.0.0.0:443", "cert.pem", "POST", false, true},
	} {
		c := &Config{Listen: tt.listen, TransportConfig: TransportConfig{TLSCert: tt.cert}}
		h := secure(c, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for name := range w.Header() {
				w.Header().Add(name, "more")
			}
		}))
		want := http.Header{"X-Content-Type-Options": {"nosniff", "more"}}
		if tt.page {
			want["X-Frame-Options"] = []string{"DENY", "more"}
			want["Referrer-Policy"] = []string{"same-origin", "more"}
		}
		if tt.hsts {
			want["Strict-Transport-Security"] = []string{"max-age=31536000", "more"}
		}
		for range 2 {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(tt.method, "/", nil))
			if !reflect.DeepEqual(w.Header(), want) {
				t.Errorf("%s: %v, want %v", tt.why, w.Header(), want)
			}
		}
	}
}

func TestBehindProxies(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, tt := range []struct {
		why, remote string
		forwarded   []string
		want        string
	}{
		{"a stranger who forges", "192.0.2.1:5", []string{"203.0.113.9"}, "192.0.2.1:5"},
		{"one proxy", "10.0.0.1:5", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"by IPv6", "[::1]:5", []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"two of them", "10.0.0.1:5", []string{"203.0.113.9, 10.2.2.2"}, "203.0.113.9:0"},
		{"a client who forges before them", "10.0.0.1:5", []string{"1.1.1.1, 203.0.113.9", "10.2.2.2"}, "203.0.113.9:0"},
		{"nonsense", "10.0.0.1:5", []string{"1.1.1.1, unknown"}, "10.0.0.1:5"},
		{"nothing", "10.0.0.1:5", nil, "10.0.0.1:5"},
		{"an IPv4 in IPv6", "[::ffff:10.0.0.1]:5", []string{"::ffff:203.0.113.9"}, "203.0.113.9:0"},
		{"a unix socket", "@", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"with a port", "10.0.0.1:5", []string{"203.0.113.9:4711"}, "203.0.113.9:4711"},
		{"by IPv6 with a port", "10.0.0.1:5", []string{"[2001:db8::1]:4711"}, "[2001:db8::1]:4711"},
		{"by IPv6 in brackets", "10.0.0.1:5", []string{"[2001:db8::1]"}, "[2001:db8::1]:0"},
		{"a proxy with a port behind a client with one", "10.0.0.1:5", []string{"203.0.113.9:4711, 10.2.2.2:443"}, "203.0.113.9:4711"},
		{"a client who forges a port", "10.0.0.1:5", []string{"1.1.1.1:1, 203.0.113.9:4711"}, "203.0.113.9:4711"},
		{"a port that is none", "10.0.0.1:5", []string{"203.0.113.9:x"}, "10.0.0.1:5"},
		{"brackets that do not close", "10.0.0.1:5", []string{"[2001:db8::1"}, "10.0.0.1:5"},
		{"brackets around what is no IPv6", "10.0.0.1:5", []string{"[203.0.113.9]"}, "10.0.0.1:5"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = tt.remote, tt.forwarded
		behindProxies(trusted, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.RemoteAddr != tt.want {
				t.Errorf("%s: %s, want %s", tt.why, r.RemoteAddr, tt.want)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}

// A hub replaces the socket of a hub that has ended, but neither one that is served nor
// a file that is not a socket.
func TestUnixSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(t.Context(), path); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("one that is served: %v", err)
	}
	ln.SetUnlinkOnClose(false)
	_ = ln.Close()
	again, err := listenUnix(t.Context(), path)
	if err != nil {
		t.Fatalf("one that was left: %v", err)
	}
	_ = again.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(t.Context(), file); err == nil {
		t.Error("a file is taken for a socket")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

// A client that sends its head slowly is cut off; a stream that has long been open on
// the same server is not.
func TestSlowHead(t *testing.T) {
	end := make(chan struct{})
	stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun\n")
		_ = http.NewResponseController(w).Flush()
		<-end
		_, _ = io.WriteString(w, "ended\n")
	})
	srv := newServer(&Config{Listen: "localhost:0", WriteTimeout: time.Minute}, nil, stream, slog.New(slog.DiscardHandler))
	srv.ReadHeaderTimeout /= 50 // makes the test faster
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serve(srv, ln) }()
	defer func() { _ = srv.Close(); <-served }()
	dial := func(head string) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			_, err = io.WriteString(conn, head)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	open := bufio.NewReader(dial("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
	for line := ""; !strings.HasSuffix(line, "begun\n"); {
		if line, err = open.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	slow := dial("GET / HTTP/1.1\r\nHost: local")
	_ = slow.SetReadDeadline(time.Now().Add(20 * time.Second))
	if b, err := io.ReadAll(slow); err != nil { // nil: the hub has closed it, perhaps after an answer
		t.Errorf("half a head keeps its connection: %q, %v", b, err)
	}
	close(end)
	if rest, err := io.ReadAll(open); err != nil || !strings.Contains(string(rest), "ended\n") {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
}

// A head larger than maxHead is refused with an explanation, and a much larger one is
// not even read. A thousand topics of ordinary length fit.
func TestHeadsAreBounded(t *testing.T) {
	r := runHub(t, "--no-auth")
	topics := make(url.Values)
	for i := range hub.MaxSelectors {
		topics.Add("topic", fmt.Sprintf("https://shop.example/orders/%08d-0000-4000-8000-000000000000", i))
	}
	for name, protocols := range map[string]func(*http.Protocols){
		"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) },
		"HTTP/2":   func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		client := r.client(protocols)
		get := func(query string, header int) (*http.Response, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			t.Cleanup(cancel)
			req, err := http.NewRequestWithContext(ctx, "GET", r.scheme+"://localhost/.well-known/mercure?"+query, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Long", strings.Repeat("x", header))
			resp, err := client.Do(req)
			if err != nil {
				err = errors.Unwrap(err) // without the URL, which is long
			}
			return resp, err
		}
		for _, tt := range []struct {
			why    string
			query  string
			header int
			status int
		}{
			{"a thousand topics", topics.Encode(), 0, 200},
			{"a header that fits", "topic=a", maxHead - 1000, 200},
			{"a header that does not", "topic=a", maxHead, 431},
			{"an address that does not", "topic=a&x=" + strings.Repeat("x", maxHead), 0, 431},
			{"both together", topics.Encode(), maxHead / 2, 431},
		} {
			resp, err := get(tt.query, tt.header)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, tt.why, err)
			}
			if resp.StatusCode != tt.status {
				t.Errorf("%s, %s: %d, want %d", name, tt.why, resp.StatusCode, tt.status)
			}
			if resp.StatusCode == 431 {
				if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), "name fewer topics") {
					t.Errorf("%s, %s: %s, %v", name, tt.why, b, err)
				}
			}
			_ = resp.Body.Close()
		}
		// HTTP/2 announces the limit before a client sends, and an HTTP/1.1 server
		// stops reading there.
		if resp, err := get("topic=a", 900_000); err == nil {
			b, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.ProtoMajor == 2 || resp.StatusCode != 431 || strings.Contains(string(b), "name fewer topics") {
				t.Errorf("%s: a header of 900 kB was read, and answered %d %s", name, resp.StatusCode, b)
			}
		}
	}
}

// A body that is announced but never comes holds nothing, on any path.
func TestBodyThatNeverComes(t *testing.T) {
	r := runHub(t, "--no-auth")
	for _, head := range []string{
		"GET /events/a HTTP/1.1\r\nHost: localhost\r\n",
		"GET /.well-known/mercure?topic=a HTTP/1.1\r\nHost: localhost\r\n",
		"GET /console/ HTTP/1.1\r\nHost: localhost\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\n",
		"GET /events/a HTTP/1.1\r\nHost: localhost\r\nOrigin: https://elsewhere.example\r\n",
	} {
		conn, err := r.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, head+"Content-Length: 10\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // less than bodyTimeout
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
			t.Errorf("%q: %q, %v", head, answer, err)
		}
		_ = conn.Close()
	}
}

// A GET whose body turns out to be empty is served as one without a body: some clients
// and proxies announce one in the head.
func TestEmptyBodyOfGET(t *testing.T) {
	r := runHub(t, "--no-auth")
	for _, tt := range []struct {
		why, head, rest string
		status          string
	}{
		{"no chunks", "GET /events/a HTTP/1.1", "0\r\n\r\n", "200"},
		{"on Mercure's path", "GET /.well-known/mercure?topic=a HTTP/1.1", "0\r\n\r\n", "200"},
		{"health", "GET /healthz HTTP/1.1", "0\r\n\r\n", "200"},
		{"a page", "GET /console/ HTTP/1.1", "0\r\n\r\n", "200"},
		{"a head", "HEAD /events/a HTTP/1.1", "0\r\n\r\n", "200"},
		{"a chunk", "GET /events/a HTTP/1.1", "1\r\nx\r\n0\r\n\r\n", "400"},
		{"no chunk as it should be", "GET /events/a HTTP/1.1", "nonsense\r\n", "400"},
	} {
		conn, err := r.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(conn, tt.head+"\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // so that the head arrives alone
		if _, err := io.WriteString(conn, tt.rest); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		line, err := in.ReadString('\n')
		if !strings.HasPrefix(line, "HTTP/1.1 "+tt.status) {
			t.Errorf("%s: %q, %v; want %s", tt.why, line, err, tt.status)
		}
		if tt.why == "no chunks" {
			c := r.client(func(p *http.Protocols) { p.SetHTTP1(true) })
			resp, err := c.Post("http://localhost/events/a", "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			c.CloseIdleConnections()
			for !strings.Contains(line, "data: hello") {
				if line, err = in.ReadString('\n'); err != nil {
					t.Fatalf("the stream has no event: %v", err)
				}
			}
		}
		_ = conn.Close()
	}
}

// Over HTTP/2 such a body is HEADERS that do not end the stream, followed by DATA
// without data that do.
func TestEmptyBodyOverHTTP2(t *testing.T) {
	r := runHub(t, "--no-auth")
	for _, tt := range []struct {
		why    string
		data   []string // the data of each DATA frame; the last ends the stream
		status string
	}{
		{"empty", []string{""}, "200"},
		{"empty, twice", []string{"", ""}, "200"},
		{"some", []string{"x"}, "400"},
		{"some later", []string{"", "x"}, "400"},
	} {
		conn, err := r.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if got := getWithData(t, conn, tt.data); got != tt.status {
			t.Errorf("%s: %s, want %s", tt.why, got, tt.status)
		}
		_ = conn.Close()
	}
}

// getWithData sends a GET whose stream ends with DATA frames, and returns the answer's
// status.
func getWithData(t *testing.T, conn net.Conn, data []string) (status string) {
	t.Helper()
	_, _ = io.WriteString(conn, http2.ClientPreface)
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, h := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: "localhost"},
		{Name: ":path", Value: "/events/a"}, {Name: "accept", Value: "text/event-stream"},
	} {
		_ = enc.WriteField(h)
	}
	err := errors.Join(f.WriteSettings(), f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}))
	for i, d := range data {
		err = errors.Join(err, f.WriteData(1, i == len(data)-1, []byte(d)))
	}
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if h, ok := frame.(*http2.MetaHeadersFrame); ok {
			return h.PseudoValue("status")
		}
	}
}

// Load balancers ask for health over HTTP/1.0 without naming a host, as haproxy's
// httpchk does. For anything else, a hub without keys requires a loopback name.
func TestHealthWithoutHost(t *testing.T) {
	r := runHub(t)
	for _, tt := range []struct{ head, status string }{
		{"GET /healthz HTTP/1.0", "200"},
		{"HEAD /readyz HTTP/1.0", "200"},
		{"GET /healthz HTTP/1.0\r\nHost: hub.example", "403"},
		{"GET /healthz HTTP/1.0\r\nOrigin: https://elsewhere.example", "403"},
		{"GET /stats HTTP/1.0", "403"},
		{"GET /events/a HTTP/1.0", "403"},
		{"POST /events/a HTTP/1.0", "403"},
	} {
		conn, err := r.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(conn, tt.head+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.0 "+tt.status) {
			t.Errorf("%q: %q, %v; want %s", tt.head, line, err, tt.status)
		}
		_ = conn.Close()
	}
}

// TestServerLogHasARate checks that strangers' connections cannot fill the log with
// net/http's lines.
func TestServerLogHasARate(t *testing.T) {
	var out bytes.Buffer
	srv := newServer(&Config{Listen: "localhost:0", WriteTimeout: time.Minute}, nil, http.NotFoundHandler(), slog.New(slog.NewTextHandler(&out, nil)))
	begun := time.Now()
	for i := range 2000 {
		srv.ErrorLog.Printf("http: TLS handshake error %d", i)
	}
	const burst = 10 * serverLinesPerSecond
	if n, most := strings.Count(out.String(), "\n"), burst+1+int(serverLinesPerSecond*time.Since(begun).Seconds()); n < burst || n > most {
		t.Errorf("%d lines are logged, want %d to %d", n, burst, most)
	}
	if !strings.Contains(out.String(), `level=WARN msg="http: TLS handshake error 0"`) {
		t.Errorf("the log says %.200s", out.String())
	}
}
