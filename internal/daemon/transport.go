package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/edge"
)

// TransportConfig holds the settings for TLS and proxies. The help texts are the
// documentation of its fields.
type TransportConfig struct {
	TLSCert        string   `name:"tls-cert" placeholder:"FILE" help:"Serve HTTPS with this certificate (PEM, the whole chain), which is read again when it changes."`
	TLSKey         string   `name:"tls-key" placeholder:"FILE" help:"The certificate's private key (PEM)."`
	TrustedProxies []string `name:"trusted-proxies" sep:"," placeholder:"CIDR" help:"Proxies whose X-Forwarded-For says who a client is, as in 10.0.0.0/8,192.168.1.7; behind a unix socket, any address."`

	trusted []netip.Prefix
}

func (c *TransportConfig) validate() error {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key go together: give both files, or neither")
	}
	c.trusted = nil
	for _, text := range c.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			ip, ipErr := netip.ParseAddr(text)
			if ipErr != nil {
				return fmt.Errorf("--trusted-proxies %s is no address and no network: write it as 10.0.0.0/8 or 192.168.1.7", text)
			}
			p = netip.PrefixFrom(ip, ip.BitLen())
		}
		c.trusted = append(c.trusted, p.Masked())
	}
	return nil
}

// unixPath returns the path of the unix socket to listen on, and whether Listen names
// one.
func (c *Config) unixPath() (string, bool) { return strings.CutPrefix(c.Listen, "unix:") }

// byteTimeout returns how long an HTTP/2 connection may take no byte, or 0 if the
// kernel's TCP_USER_TIMEOUT does that. The kernel's clock is better: it stops with the
// peers' when the process is paused, and the server's does not.
func (c *Config) byteTimeout() time.Duration {
	if _, unix := c.unixPath(); userTimeout && !unix {
		return 0
	}
	return c.WriteTimeout
}

func listen(ctx context.Context, c *Config) (net.Listener, error) {
	if path, ok := c.unixPath(); ok {
		return listenUnix(ctx, path)
	}
	lc := net.ListenConfig{Control: socketOptions(c.WriteTimeout)}
	ln, err := lc.Listen(ctx, "tcp", c.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, port, _ := net.SplitHostPort(c.Listen) // validated
		n, _ := strconv.Atoi(port)
		return nil, fmt.Errorf("%s is taken by another program: choose another port, as in --listen %s", c.Listen, net.JoinHostPort(host, strconv.Itoa(n+1)))
	}
	return ln, err
}

// listenUnix listens on a unix socket. It replaces a socket file on which no program
// listens any more.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return ln, err
	}
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s is taken by another program", path)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("%s is there already, and is no socket", path)
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return lc.Listen(ctx, "unix", path)
}

// maxHead is how many bytes a request's head may have, including its URL. It fits the
// 64 KiB of topics that one subscription may name, percent-encoded, together with a
// token; a limit of 64 KiB would fit half as many. A head stays in memory until its
// request is answered.
const maxHead = 128 << 10

// headSlack is how many bytes more a head may have and still get an answer with an
// explanation. Beyond it net/http answers HTTP/1 with its own 431, and ends an HTTP/2
// connection, whose settings have announced the limit (RFC 9113 §6.5.2).
const headSlack = 32 << 10

// serverLinesPerSecond bounds the lines that net/http logs about connections, because
// each connection of a stranger can cause one.
const serverLinesPerSecond = 20

// A serverLog logs net/http's lines as warnings, up to a limit, and drops the rest.
type serverLog struct {
	logger *slog.Logger
	limit  *rate.Limiter
}

func (l *serverLog) Write(line []byte) (int, error) {
	if l.limit.Allow() {
		l.logger.Warn(strings.TrimSpace(string(line)))
	}
	return len(line), nil
}

// boundHead answers 431 to a head of more than maxHead bytes (RFC 6585 §5).
func boundHead(next http.Handler, writeTimeout time.Duration) http.Handler {
	refuse := edge.Bound(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		edge.NewProblem(http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("The address and the headers of a request have at most %d bytes: name fewer topics, for * and URI Templates select many at once, or send fewer and shorter headers and cookies.", maxHead)).Write(w)
	}), writeTimeout)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if headSize(r) > maxHead {
			refuse.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// headSize returns roughly how many bytes a request's head takes in HTTP/1.1.
func headSize(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Host) + len(" HTTP/1.1\r\nHost: \r\n")
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

// newServer returns a server of HTTP/1 and HTTP/2. Without TLS, it accepts HTTP/2 with
// prior knowledge, as proxies speak it (RFC 9113 §3.3). Its timeouts end clients that
// send slowly; streams have their own.
func newServer(c *Config, certificates *tls.Config, h http.Handler, logger *slog.Logger) *http.Server {
	srv := &http.Server{
		Handler:           secure(c, boundHead(behindProxies(c.trusted, h), c.WriteTimeout)),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    maxHead + headSlack,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          log.New(&serverLog{logger: logger, limit: rate.NewLimiter(serverLinesPerSecond, 10*serverLinesPerSecond)}, "", 0),
		Protocols:         new(http.Protocols),
		ConnState:         countState,
		ConnContext:       withConnection,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 10_000,   // a proxy carries all its clients' streams on one connection
			MaxReadFrameSize:     16 << 10, // a connection keeps a buffer for its largest frame
			WriteByteTimeout:     c.byteTimeout(),
		},
	}
	if limit := c.memory.connections; limit > 0 {
		srv.HTTP2.MaxConcurrentStreams = int(min(10_000, limit/requestSize))
		srv.HTTP2.MaxReceiveBufferPerConnection = bodyWindow
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(certificates == nil)
	srv.TLSConfig = certificates
	return srv
}

// certificates returns the TLS configuration, or nil for a server without TLS.
func certificates(c *Config, logger *slog.Logger) (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	cert := &certificate{certFile: c.TLSCert, keyFile: c.TLSKey, logger: logger}
	if err := cert.load(); err != nil {
		return nil, fmt.Errorf("--tls-cert and --tls-key cannot be read: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get}, nil
}

func serve(srv *http.Server, ln net.Listener) error {
	if srv.TLSConfig != nil {
		return srv.ServeTLS(ln, "", "")
	}
	return srv.Serve(ln)
}

// A certificate is read again when its files have changed. While the new files cannot
// be read, for example because they are being written, the last certificate stays.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	looked  time.Time
	stamp   string // of the files when last checked
}

// certificatePause is how long handshakes are served without checking the files.
const certificatePause = time.Second

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < certificatePause {
		return c.current, nil
	}
	if err := c.loadLocked(); err != nil {
		c.logger.Error("the new certificate cannot be read; the old one is served", "err", err)
	}
	return c.current, nil
}

func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loadLocked()
}

func (c *certificate) loadLocked() error {
	c.looked = time.Now()
	stamp := stampOf(c.certFile) + stampOf(c.keyFile)
	if c.current != nil && stamp == c.stamp {
		return nil
	}
	c.stamp = stamp
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	if c.current != nil {
		c.logger.Info("the new certificate is served", "file", c.certFile)
	}
	c.current = &cert
	return nil
}

func stampOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size(), ";")
}

// secure sets the security headers of all answers: browsers must not guess types, frame
// the pages, or send their URLs to other sites. Answers to POST get fewer, because they
// are not pages, and headers are much of their cost.
func secure(c *Config, next http.Handler) http.Handler {
	all := http.Header{}
	all.Set("X-Content-Type-Options", "nosniff")
	if loopback, _ := c.loopback(); c.TLSCert != "" && !loopback { // other programs share localhost
		all.Set("Strict-Transport-Security", "max-age=31536000")
	}
	pages := all.Clone()
	pages.Set("X-Frame-Options", "DENY")
	pages.Set("Referrer-Policy", "same-origin") // other sites must not see a token in a URL
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := pages
		if r.Method == http.MethodPost {
			h = all
		}
		maps.Copy(w.Header(), h) // the values are shared: Header.Add copies them, since they have no spare capacity
		next.ServeHTTP(w, r)
	})
}

// behindProxies sets a request's RemoteAddr to the client that trusted proxies name:
// the last address in X-Forwarded-For that is not itself a trusted proxy's.
func behindProxies(trusted []netip.Prefix, next http.Handler) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	trusts := func(ip netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(ip.Unmap().WithZone("")) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || trusts(peer.Addr()) { // a unix socket has no address, and only trusted peers
			hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
			for _, hop := range slices.Backward(hops) {
				client, ok := parseHop(hop)
				if !ok {
					break // forged or empty
				}
				r.RemoteAddr = client.String()
				if !trusts(client.Addr()) {
					break
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// parseHop parses an element of X-Forwarded-For: an address, with the port that some
// proxies add, or else port 0. IPv6 addresses may be in brackets, and must be if a port
// follows.
func parseHop(hop string) (netip.AddrPort, bool) {
	hop = strings.TrimSpace(hop)
	if client, err := netip.ParseAddrPort(hop); err == nil {
		return netip.AddrPortFrom(client.Addr().Unmap(), client.Port()), true
	}
	inner, bracketed := strings.CutPrefix(hop, "[")
	if bracketed {
		if inner, bracketed = strings.CutSuffix(inner, "]"); !bracketed {
			return netip.AddrPort{}, false
		}
	}
	ip, err := netip.ParseAddr(inner)
	if err != nil || bracketed && ip.Is4() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip.Unmap(), 0), true
}
