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

// DefaultCookie is the cookie that Mercure's clients send.
const DefaultCookie = "mercureAuthorization"

// Options configures an [Auth].
type Options struct {
	PublisherKeys  []Key // verify the tokens of publishers and operators
	SubscriberKeys []Key // verify those of subscribers
	JWKS           *JWKS // verifies both; nil: none
	APIKeys        APIKeys

	Issuer   string        // a token's iss has to be this; "": any
	Audience string        // a token's aud has to have this; "": any
	Leeway   time.Duration // how far clocks may be apart

	Anonymous bool   // public events need no token
	Cookie    string // the cookie that carries a token; "": none does

	// Origins are those of pages that may publish by cookie, beside the hub's
	// own, as in https://app.example.
	Origins []string

	Revocations *Revocations // nil: there are none, and none can be added

	Budget *budget.Budget // what tickets take is counted there; nil: budget.New(0)
}

// An Auth decides who may do what. Its methods may be called by several
// goroutines at once.
type Auth struct {
	o           Options
	publishers  *verifier
	subscribers *verifier
	tickets     tickets
}

// New returns an Auth. Without any keys, there is no use for one.
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

// Publisher returns the grant of a request that publishes. What of it the
// topics are, the caller asks of the grant.
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
	if c.cookie && r.Method != http.MethodGet && r.Method != http.MethodHead { // what others read, CORS decides
		if bad := a.checkPage(r); bad != nil {
			return nil, bad
		}
	}
	if g := a.o.APIKeys.grant(c.token); g != nil {
		return a.grant(g, nil)
	}
	return a.grant(a.publishers.verify(r.Context(), c.token))
}

// Subscriber returns the grant of a request that reads.
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

// Operator returns the grant of a request to one of the operator's routes,
// which is always one that has the claim for it.
func (a *Auth) Operator(r *http.Request) (*Grant, error) {
	g, err := a.Publisher(r)
	if err == nil && !g.Admin {
		return nil, Forbidden(`This is for operators: the token needs the claim tidings: {admin: true}.`)
	}
	return g, err
}

// grant refuses one that was revoked.
func (a *Auth) grant(g *Grant, bad *Error) (*Grant, error) {
	switch {
	case bad != nil:
		return nil, bad
	case a.Revoked(g):
		return nil, revokedError()
	}
	return g, nil
}

// Revoked reports whether a grant counts for nothing any more. Ask it again
// once a stream is where those who revoke look for it.
func (a *Auth) Revoked(g *Grant) bool {
	return a != nil && (a.o.Revocations.revoked(g) || a.tickets.givenBack(g.ticket))
}

// Revoke has all tokens of a subject, or the one with an id, count for nothing
// until a time. Streams that are open are the caller's to end, after it.
func (a *Auth) Revoke(subject, id string, until time.Time) error {
	if a == nil || a.o.Revocations == nil {
		return errors.New("auth: this hub knows no tokens that could be revoked")
	}
	return a.o.Revocations.Revoke(subject, id, until)
}

// A credential is what a request carries.
type credential struct {
	token  string // "": none
	cookie bool   // a browser may have added it unasked
	ticket bool   // it is one, in the address
}

// credential finds the token. An Authorization header of ours takes precedence over
// a ticket, and a ticket over the cookie.
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
		q, _ := form.Parse(r.URL.RawQuery) // the route answers a malformed query
		if text := q.Get("ticket"); text != "" {
			return credential{token: text, ticket: true}, nil
		}
	}
	if a.o.Cookie == "" {
		return credential{}, nil
	}
	switch cookies := r.CookiesNamed(a.o.Cookie); {
	case len(cookies) > 1: // one of a parent domain beside ours, which anybody there may have set
		return credential{}, badRequest("The request has several cookies " + a.o.Cookie + "; send one.")
	case len(cookies) == 1 && cookies[0].Value != "":
		return credential{token: cookies[0].Value, cookie: true}, nil
	}
	return credential{}, nil
}

// Authorizes reports whether a request has an Authorization header for the hub:
// one that is not of a scheme other than Bearer (RFC 6750 §2.1). A browser sends the
// Basic credentials that a proxy before the hub has asked for with each request, also
// an EventSource's.
func Authorizes(r *http.Request) bool {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return len(values) > 1
	}
	scheme, _, hasScheme := strings.Cut(values[0], " ")
	return !hasScheme || strings.EqualFold(scheme, "Bearer")
}

// checkPage keeps pages of others from publishing with a visitor's cookie: the
// request has to say that it comes from a page that may.
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
	return Forbidden("A cookie publishes only from pages that may: send Authorization: Bearer TOKEN instead, or have the hub's operator allow this page's origin.")
}

// OwnOrigin reports whether an origin is that of pages which the hub serves
// itself, under the host that r names: http or https, and https alone where r
// came by TLS (RFC 6454 §5). In the clear a proxy may have done TLS, and only it
// knows.
func OwnOrigin(r *http.Request, origin string) bool {
	scheme, host, _ := strings.Cut(origin, "://")
	return host != "" && host == r.Host && (scheme == "https" || scheme == "http" && r.TLS == nil)
}

// Listed reports whether an origin is one of a list, and a page's own: any page
// can come by the origin null, in a sandbox, and * is none.
func Listed(origins []string, origin string) bool {
	return origin != "" && origin != "null" && origin != "*" && slices.Contains(origins, origin)
}
