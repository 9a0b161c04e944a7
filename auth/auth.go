package auth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/internal/form"
)

// DefaultCookie is the name of the cookie that Mercure's clients send.
const DefaultCookie = "mercureAuthorization"

// Options configures an [Auth]. At least one key, API key or JWKS is needed.
type Options struct {
	PublisherKeys  []Key // verify the tokens of publishers and operators
	SubscriberKeys []Key // verify the tokens of subscribers
	JWKS           *JWKS // verifies both kinds; nil: none
	APIKeys        APIKeys

	Issuer   string        // the iss that a token must have; "": any
	Audience string        // a value that a token's aud must include; "": any
	Leeway   time.Duration // how far the issuers' clocks may be off

	Anonymous bool   // public events need no token
	Cookie    string // the name of the cookie that carries a token; "": none

	// Origins are the origins of other sites' pages that may publish by cookie, such
	// as https://app.example. The hub's own pages always may.
	Origins []string

	Revocations *Revocations // nil: none, and none can be added

	Budget *budget.Budget // counts the memory of tickets; nil: budget.New(0)
}

// An Auth authenticates requests and returns their grants. It is safe for concurrent use.
type Auth struct {
	o           Options
	publishers  *verifier
	subscribers *verifier
	tickets     tickets
}

// New returns an Auth. It is an error if o has no keys.
func New(o Options) (*Auth, error) {
	if len(o.PublisherKeys)+len(o.SubscriberKeys)+len(o.APIKeys) == 0 && o.JWKS == nil {
		return nil, errors.New("auth: no keys")
	}
	if o.Budget == nil {
		o.Budget = budget.New(0)
	}
	return &Auth{
		o:           o,
		publishers:  newVerifier(o.PublisherKeys, o.JWKS, &o),
		subscribers: newVerifier(o.SubscriberKeys, o.JWKS, &o),
		tickets:     tickets{share: o.Budget.Share(budget.Tickets)},
	}, nil
}

// Publisher authenticates a publishing request and returns its grant. It does not check
// topics; use [Grant.MayPublish]. Its error is an [*Error].
func (a *Auth) Publisher(r *http.Request) (*Grant, error) {
	if a == nil {
		return everything, nil
	}
	c, bad := a.credential(r)
	if bad != nil {
		return nil, bad
	}
	if c.token == "" {
		return nil, noToken()
	}
	if c.cookie && r.Method != http.MethodGet && r.Method != http.MethodHead { // CORS decides which pages may read the answer to GET
		if bad := a.checkPage(r); bad != nil {
			return nil, bad
		}
	}
	if g := a.o.APIKeys.grant(c.token); g != nil {
		return a.grant(g, nil)
	}
	return a.grant(a.publishers.verify(r.Context(), c.token))
}

// Subscriber authenticates a reading request and returns its grant. Its error is an
// [*Error].
func (a *Auth) Subscriber(r *http.Request) (*Grant, error) {
	if a == nil {
		return everything, nil
	}
	c, bad := a.credential(r)
	switch {
	case bad != nil:
		return nil, bad
	case c.ticket:
		return a.grant(a.tickets.use(c.token))
	case c.token != "":
		return a.grant(a.subscribers.verify(r.Context(), c.token))
	case a.o.Anonymous:
		return anonymous, nil
	}
	return nil, noToken()
}

// Operator authenticates a request to an operator's route. Its grant always has Admin
// set. Its error is an [*Error].
func (a *Auth) Operator(r *http.Request) (*Grant, error) {
	g, err := a.Publisher(r)
	if err == nil && !g.Admin {
		return nil, Forbidden(`This is for operators: the token needs the claim tidings: {admin: true}.`)
	}
	return g, err
}

// grant returns g, or the error if there is one or g has been revoked.
func (a *Auth) grant(g *Grant, bad *Error) (*Grant, error) {
	switch {
	case bad != nil:
		return nil, bad
	case a.Revoked(g):
		return nil, revokedError()
	}
	return g, nil
}

// Revoked reports whether g has been revoked. Check again after the stream is registered,
// or a revocation made in between is missed.
func (a *Auth) Revoked(g *Grant) bool {
	return a != nil && (a.o.Revocations.revoked(g) || a.tickets.givenBack(g.ticket))
}

// Revoke revokes all tokens of a subject, or the token with an id, until a time. It calls
// end, which must end the streams that are open, and returns when the revocation is on
// the disk; streams do not wait for that. It returns an error if the hub has no keys or
// no [Options].Revocations, or the error of the file.
func (a *Auth) Revoke(subject, id string, until time.Time, end func()) error {
	if a == nil || a.o.Revocations == nil {
		return errors.New("auth: this hub has no tokens that could be revoked")
	}
	change := a.o.Revocations.count(subject, id, until)
	end()
	return a.o.Revocations.save(change)
}

// A credential is the token that a request carries, and how.
type credential struct {
	token  string // "": none
	cookie bool   // from a cookie, which a browser may have added to another site's request
	ticket bool   // from the address; token is a ticket
}

// credential finds the token. The Authorization header takes precedence over a ticket,
// and a ticket over the cookie.
func (a *Auth) credential(r *http.Request) (credential, *Error) {
	switch values := r.Header.Values("Authorization"); {
	case len(values) > 1:
		return credential{}, badRequest("Send one Authorization header.")
	case Authorizes(r):
		_, token, _ := strings.Cut(values[0], " ")
		if token = strings.Trim(token, " "); token == "" {
			return credential{}, noToken()
		}
		return credential{token: token}, nil
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		q, _ := form.Parse(r.URL.RawQuery) // the route reports a malformed query
		if text := q.Get("ticket"); text != "" {
			return credential{token: text, ticket: true}, nil
		}
	}
	if a.o.Cookie == "" {
		return credential{}, nil
	}
	switch cookies := r.CookiesNamed(a.o.Cookie); {
	case len(cookies) > 1: // one may be of a parent domain, where others can set cookies
		return credential{}, badRequest("The request has several cookies " + a.o.Cookie + "; send one.")
	case len(cookies) == 1 && cookies[0].Value != "":
		return credential{token: cookies[0].Value, cookie: true}, nil
	}
	return credential{}, nil
}

// Authorizes reports whether a request has an Authorization header for the hub. A header
// with a scheme other than Bearer (RFC 6750 §2.1) is not: a browser sends the Basic
// credentials for a proxy in front of the hub with each request, including an
// EventSource's.
func Authorizes(r *http.Request) bool {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return len(values) > 1
	}
	scheme, _, hasScheme := strings.Cut(values[0], " ")
	return !hasScheme || strings.EqualFold(scheme, "Bearer")
}

// checkPage keeps other sites' pages from publishing with a visitor's cookie. The request
// must show by Origin or Referer that it comes from a page that may publish.
func (a *Auth) checkPage(r *http.Request) *Error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		if u, err := url.Parse(r.Header.Get("Referer")); err == nil && u.Host != "" {
			origin = u.Scheme + "://" + u.Host
		}
	}
	if OwnOrigin(r, origin) || Listed(a.o.Origins, origin) {
		return nil
	}
	return Forbidden("A cookie may publish only from allowed pages: send Authorization: Bearer TOKEN instead, or ask the hub's operator to allow this page's origin.")
}

// OwnOrigin reports whether an origin is that of pages that the hub serves itself, under
// the host that r names. The scheme must be http or https, and https if r came over TLS
// (RFC 6454 §5). Without TLS both count, because a proxy may have terminated TLS and only
// the proxy knows.
func OwnOrigin(r *http.Request, origin string) bool {
	scheme, host, _ := strings.Cut(origin, "://")
	return host != "" && host == r.Host && (scheme == "https" || scheme == "http" && r.TLS == nil)
}

// Listed reports whether origins lists an origin. The origin null never counts, because
// any page can have it in a sandbox, and neither does *.
func Listed(origins []string, origin string) bool {
	return origin != "" && origin != "null" && origin != "*" && slices.Contains(origins, origin)
}
