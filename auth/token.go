package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"github.com/tidings-sse/tidings/topic"
)

// Claims are the claims that the hub reads. Their names are case-sensitive and must be
// unique (RFC 7519 §4, §7.3).
type Claims struct {
	jwt.RegisteredClaims
	Mercure    *Access  `json:"mercure,omitempty"`
	Namespaced *Access  `json:"https://mercure.rocks/,omitempty"` // takes precedence over Mercure
	Tidings    *Tidings `json:"tidings,omitempty"`
}

// Access is Mercure's claim.
type Access struct {
	Publish   []string        `json:"publish,omitempty"`
	Subscribe []string        `json:"subscribe,omitempty"`
	Payload   json.RawMessage `json:"payload,omitempty"`
}

// Tidings is the hub's own claim.
type Tidings struct {
	Admin bool `json:"admin,omitempty"`
}

// UnmarshalJSON parses claims. A name that occurs twice, at any depth, is an error, and so
// is text that is not UTF-8. encoding/json would take EXP for exp.
func (c *Claims) UnmarshalJSON(text []byte) error {
	type plain Claims // without this method
	return jsonv2.Unmarshal(text, (*plain)(c))
}

// Grant returns the grant that the claims describe. It is an error if a selector is
// invalid.
func (c *Claims) Grant() (*Grant, error) {
	g := &Grant{Subject: c.Subject, ID: c.ID, Admin: c.Tidings != nil && c.Tidings.Admin}
	if c.ExpiresAt != nil {
		g.Expires = c.ExpiresAt.Time
	}
	access := c.access()
	var err error
	if g.Publish, err = topic.Parse(access.Publish...); err != nil {
		return nil, fmt.Errorf("its claim mercure.publish: %w", err)
	}
	if g.Subscribe, err = topic.Parse(access.Subscribe...); err != nil {
		return nil, fmt.Errorf("its claim mercure.subscribe: %w", err)
	}
	g.Payload = access.Payload
	return g, nil
}

func (c *Claims) access() Access {
	switch {
	case c.Namespaced != nil:
		return *c.Namespaced
	case c.Mercure != nil:
		return *c.Mercure
	}
	return Access{}
}

// A verifier accepts tokens that one of its keys has signed.
type verifier struct {
	keys   []Key
	jwks   *JWKS // nil: none
	leeway time.Duration
	parser *jwt.Parser
	cache  cache
}

func newVerifier(keys []Key, jwks *JWKS, o *Options) *verifier {
	options := []jwt.ParserOption{
		jwt.WithValidMethods(Algorithms), // excludes none; the key decides which of them it accepts
		jwt.WithLeeway(o.Leeway),
		jwt.WithStrictDecoding(),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	return &verifier{keys: keys, jwks: jwks, leeway: o.Leeway, parser: jwt.NewParser(options...)}
}

func (v *verifier) verify(ctx context.Context, token string) (*Grant, *Error) {
	h := sha256.Sum256([]byte(token))
	if g := v.cache.get(h); g != nil {
		return g, nil
	}
	g, bad := v.verifyNew(ctx, token)
	if bad == nil {
		if g.holder = sha256.Sum256([]byte(g.Subject)); g.Subject == "" {
			g.holder = h
		}
		v.cache.put(h, g)
	}
	return g, bad
}

func (v *verifier) verifyNew(ctx context.Context, token string) (*Grant, *Error) {
	if strings.ContainsFunc(token, notInToken) { // the decoder would skip line ends
		return nil, notAccepted("This is not a token: a token has three parts in base64url, separated by dots.", nil)
	}
	c, err := v.parse(token, func(string) ([]Key, error) { return v.keys, nil })
	if v.jwks != nil && (errors.Is(err, jwt.ErrTokenUnverifiable) || errors.Is(err, jwt.ErrTokenSignatureInvalid)) {
		c, err = v.parse(token, func(kid string) ([]Key, error) { return v.jwks.keys(ctx, kid) })
	}
	switch {
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return nil, notAccepted("The token has expired; get a new one.", err)
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return nil, notAccepted("The token is not valid yet; wait, or set the issuer's clock.", err)
	case err != nil:
		return nil, notAccepted("This hub does not accept the token; get one from the issuer of this hub's tokens.", err)
	}
	g, err := c.Grant()
	if err != nil {
		return nil, notAccepted("This hub cannot read what the token grants; tidings token --inspect explains a token.", err)
	}
	if !g.Expires.IsZero() && g.Expires.Before(time.Now()) { // expired, but within the leeway
		g.Expires = g.Expires.Add(v.leeway)
	}
	return g, nil
}

func notInToken(c rune) bool {
	return c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}

// parse verifies a token with one of the keys that keys returns for the token's kid.
func (v *verifier) parse(token string, keys func(kid string) ([]Key, error)) (*Claims, error) {
	if err := checkHeader(token); err != nil {
		return nil, err
	}
	c := new(Claims)
	_, err := v.parser.ParseWithClaims(token, c, func(t *jwt.Token) (any, error) { return candidates(t.Header, keys) })
	return c, err
}

// checkHeader refuses a header that has a name twice (RFC 7515 §4), because the parser
// would take the last one. It leaves everything else to the parser.
func checkHeader(token string) error {
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err == nil && json.Valid(text) && !jsontext.Value(text).IsValid() {
		return errors.New("the token's header has a name twice, or text that is not UTF-8")
	}
	return nil
}

// candidates returns the keys that may have signed a token: those for its algorithm and
// kid. A token's header can choose among configured keys, but cannot bring its own.
func candidates(header map[string]any, keys func(kid string) ([]Key, error)) (any, error) {
	if _, ok := header["crit"]; ok { // RFC 7515 §4.1.11
		return nil, errors.New("the token has critical extensions, which the hub does not support")
	}
	alg, _ := header["alg"].(string)
	kid, ok := header["kid"].(string)
	if _, given := header["kid"]; given && !ok {
		return nil, errors.New("the token's kid is not a string")
	}
	known, err := keys(kid)
	if err != nil {
		return nil, err
	}
	var set jwt.VerificationKeySet
	for _, k := range known {
		if slices.Contains(k.algs, alg) && (k.id == "" || kid == "" || k.id == kid) {
			set.Keys = append(set.Keys, k.verify)
		}
	}
	if len(set.Keys) == 0 {
		return nil, fmt.Errorf("no key is for the algorithm %.20q and the kid %.100q", alg, kid)
	}
	return set, nil
}
