package httpapi

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

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
// second. next must bound bodies itself, as the API does (see [BoundBody]).
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

	withoutCredentials, withCredentials = boundOptions(withoutCredentials), boundOptions(withCredentials)
	noteHeaders := func(r *http.Request) {
		for _, name := range otherHeaders(r, options.AllowedHeaders) {
			refused.log(requestID(r), "a page's request header", name, "--cors-header "+name)
		}
	}
	refuse := func(w http.ResponseWriter, r *http.Request, what, value, flag, detail string) {
		id := requestID(r)
		w.Header().Set("X-Request-Id", id)
		refused.log(id, what, value, flag)
		BoundBody(func(w http.ResponseWriter, _ *http.Request) { NewProblem(http.StatusForbidden, detail).Write(w) }).ServeHTTP(w, r)
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

// bodyTimeout is how long a client may take to send its whole body.
const bodyTimeout = 30 * time.Second

// BoundBody gives each request body 30 s to arrive. Without that, a body that never
// comes would hold its handler, because net/http waits for the unread rest before it
// sends the headers of an answer. A GET or HEAD with a body gets a 400. If the answer
// comes before the body's end, BoundBody drops up to 32 MiB of the rest for up to 4 s,
// so that a client that writes everything before it reads still sees the answer
// (RFC 9112 §9.6). Pass each request through only one BoundBody, because setting a
// deadline costs a call into the runtime.
func BoundBody(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next(w, r)
			return
		}
		rc := http.NewResponseController(w)
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			if r.ContentLength < 0 && dropEmptyBody(rc, r) {
				next(w, r)
				return
			}
			w.Header().Set("Connection", "close") // lets the answer out before the body has arrived
			NewProblem(http.StatusBadRequest, "A GET has no body; put what it says into the query.").Write(w)
			if lingers(r) {
				linger(w, r.Body)
			}
			_ = rc.SetReadDeadline(time.Now()) // not every writer has deadlines; the rest stays unread
			return
		}
		_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
		if !lingers(r) {
			next(w, r)
			return
		}
		body := &sentBody{ReadCloser: r.Body}
		noting := r.WithContext(r.Context()) // the server examines the Body of its own request
		noting.Body = body
		next(w, noting)
		if !body.ended {
			linger(w, r.Body)
		}
	})
}

// emptyBodyTimeout is how long the end of an empty body may take to arrive. It normally
// follows the head at once.
const emptyBodyTimeout = 5 * time.Second

// dropEmptyBody reports whether a body of unknown length is empty, and removes it from
// r if so. Some clients and proxies send a chunked body without chunks, or a DATA frame
// without data, with each GET.
func dropEmptyBody(rc *http.ResponseController, r *http.Request) bool {
	_ = rc.SetReadDeadline(time.Now().Add(emptyBodyTimeout))
	if _, err := io.ReadFull(r.Body, make([]byte, 1)); !errors.Is(err, io.EOF) {
		return false
	}
	_ = rc.SetReadDeadline(time.Time{}) // a stream outlasts the deadline
	r.Body, r.ContentLength = http.NoBody, 0
	return true
}

// boundOptions applies BoundBody to preflights, which the CORS library answers before
// next.
func boundOptions(next http.Handler) http.Handler {
	bounded := BoundBody(next.ServeHTTP)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			bounded.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
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
	value = clip(value, 300)
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
	s.logger.Warn("refused "+what, "request_id", id, "value", value, "allow", "start with "+clip(flag, 320))
}
