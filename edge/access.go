package edge

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/rs/cors"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/time/rate"

	"github.com/tidings-sse/tidings/auth"
)

// Access decides which hosts and origins may use the hub from a browser, and answers
// CORS preflights (Fetch §3.2). A request without an Origin header comes from no
// foreign page and passes. The zero value refuses all foreign origins.
type Access struct {
	// Loopback is for a hub without keys on a loopback address. Pages of any loopback
	// origin may use it, with credentials. Requests must name a loopback host, because
	// a foreign page could make its own name resolve to this machine (DNS rebinding).
	Loopback bool

	// Origins are the origins of foreign pages that may use the hub with credentials,
	// as in https://app.example. "*" admits all others too, but without credentials.
	// "null" admits pages without an origin, also without credentials: local files, and
	// anything in a sandbox. Check entries with [CheckOrigin].
	Origins []string

	// Headers are request headers that those pages may send besides the usual ones.
	// Check entries with [CheckHeader].
	Headers []string

	Logger *slog.Logger // nil: slog.Default()
}

// pageHeaders are the request headers that every admitted page may send: those that
// this API reads, and those that tracing (W3C Trace Context and Baggage, Sentry),
// Datastar and older libraries add to each request of a page.
var pageHeaders = []string{
	"Accept", "Authorization", "Cache-Control", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID",
	"Traceparent", "Tracestate", "Baggage", "Sentry-Trace", "X-Requested-With", "Datastar-Request",
}

// CheckHeader returns an error unless name can be an entry of [Access].Headers: a
// single valid field name (RFC 9110 §5.1), not "*".
func CheckHeader(name string) error {
	if name == "*" || !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q is not a header's name: write each name alone, as in X-Tenant", name)
	}
	return nil
}

// Wrap returns a handler that passes allowed requests to next and refuses others with
// 403. The log then names the flag that would allow them, for at most 20 refusals a
// second. Wrap the result by [Bound], because refused requests may have bodies.
func (a Access) Wrap(next http.Handler) http.Handler {
	if a.Logger == nil {
		a.Logger = slog.Default()
	}
	options := cors.Options{
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete},
		AllowedHeaders: slices.Concat(pageHeaders, a.Headers),
		ExposedHeaders: []string{"ETag", "Last-Event-ID", "Link", "Retry-After", "Tidings-Last", "WWW-Authenticate", "X-Request-Id"},
		MaxAge:         2 * 60 * 60,
	}
	anyone := options
	anyone.AllowedOrigins = []string{"*"}
	trusted := options
	trusted.AllowCredentials = true
	trusted.AllowOriginFunc = func(string) bool { return true } // checked below
	withoutCredentials := cors.New(anyone).Handler(next)
	withCredentials := cors.New(trusted).Handler(next)
	refused := refusals{logger: a.Logger, limit: newRefusals()}

	noteHeaders := func(r *http.Request) {
		for _, name := range otherHeaders(r, options.AllowedHeaders) {
			refused.log(requestID(r), "a page's request header", name, "--cors-header "+name)
		}
	}
	refuse := func(w http.ResponseWriter, r *http.Request, what, value, flag, detail string) {
		id := requestID(r)
		w.Header().Set("X-Request-Id", id)
		refused.log(id, what, value, flag)
		NewProblem(http.StatusForbidden, detail).Write(w)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		switch {
		case a.Loopback && !loopbackHost(r.Host) && !isProbe(r):
			refuse(w, r, "a host", r.Host, "--no-auth", "This hub has no keys and serves this machine only: ask for it by a loopback name, such as localhost.")
		case origin == "":
			next.ServeHTTP(w, r)
		case a.trusts(r, origin):
			noteHeaders(r)
			withCredentials.ServeHTTP(w, r)
		case slices.Contains(a.Origins, "*"), origin == "null" && slices.Contains(a.Origins, "null"):
			noteHeaders(r)
			withoutCredentials.ServeHTTP(w, r)
		default:
			refuse(w, r, "an origin", origin, "--cors-origin "+origin, "Pages of this origin may not use this hub; its log names the flag that lets them.")
		}
	})
}

// otherHeaders returns the request headers that a preflight asks for and that are not
// allowed, at most eight. The browser then fails the request and does not tell its page
// why (Fetch §4.8).
func otherHeaders(r *http.Request, allowed []string) (others []string) {
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return nil
	}
	asked := strings.Join(r.Header.Values("Access-Control-Request-Headers"), ",")
	for name := range strings.SplitSeq(asked, ",") {
		name = strings.TrimSpace(name)
		if name != "" && len(others) < 8 && !slices.ContainsFunc(allowed, func(h string) bool { return strings.EqualFold(h, name) }) {
			others = append(others, name)
		}
	}
	return others
}

// isProbe reports whether r asks for the hub's health without naming a host, as load
// balancers do over HTTP/1.0. A browser always names one, so no page can send such a
// request.
func isProbe(r *http.Request) bool {
	return r.Host == "" && (r.URL.Path == "/healthz" || r.URL.Path == "/readyz")
}

func (a Access) trusts(r *http.Request, origin string) bool {
	if auth.Listed(a.Origins, origin) || auth.OwnOrigin(r, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return a.Loopback && err == nil && u.Host != "" && loopbackHost(u.Host)
}

// loopbackHost reports whether a Host header or an origin's authority names this
// machine's loopback interface. It does not ask a resolver.
func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 §6.3
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// refusals logs each refused value once, and at most [refusalsPerSecond] of them, so
// that a page that keeps trying cannot fill the disk. It remembers an 8-byte hash of
// each value, because clients choose the values and may make them as long as a head.
type refusals struct {
	logger *slog.Logger
	limit  *rate.Limiter
	mu     sync.Mutex
	seen   map[uint64]struct{}
}

// maxRefusals is how many values are remembered before all are forgotten.
const maxRefusals = 1000

// refusalSeed is random, so that clients cannot choose values with equal hashes and
// hide one from the log.
var refusalSeed = maphash.MakeSeed()

func (s *refusals) log(id, what, value, flag string) {
	value = Clip(value, 300)
	h := maphash.String(refusalSeed, value)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.seen[h]; ok || !s.limit.Allow() {
		return
	}
	if s.seen == nil || len(s.seen) >= maxRefusals {
		s.seen = map[uint64]struct{}{}
	}
	s.seen[h] = struct{}{}
	s.logger.Warn("refused "+what, "request_id", id, "value", value, "allow", "start with "+Clip(flag, 320))
}
