package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a secret of thirty-two bytes or more"

// A pair is a signing key and the matching public key as PEM.
type pair struct {
	signer          crypto.Signer
	private, public string
}

func newPair(t testing.TB, signer crypto.Signer) pair {
	t.Helper()
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	block := func(typ string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}))
	}
	return pair{signer, block("PRIVATE KEY", private), block("PUBLIC KEY", public)}
}

func rsaPair(t testing.TB, bits int) pair {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return newPair(t, k)
}

func ecPair(t testing.TB, c elliptic.Curve) pair {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newPair(t, k)
}

func edPair(t testing.TB) pair {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newPair(t, k)
}

func mustParse(t testing.TB, text string, algs ...string) []Key {
	t.Helper()
	keys, err := ParseKeys(text, algs)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func claims() *Claims {
	return &Claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: "ann", ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
		Mercure:          &Access{Publish: []string{"*"}},
	}
}

func mint(t testing.TB, key, alg string) string {
	t.Helper()
	token, err := Mint(claims(), key, alg)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// forge builds a token from a header and a signature, with fixed claims.
func forge(t testing.TB, header map[string]any, sign func(text string) []byte) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(header) + "." + part(claims())
	return text + "." + base64.RawURLEncoding.EncodeToString(sign(text))
}

func hs256(key string) func(string) []byte {
	return func(text string) []byte {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(text))
		return h.Sum(nil)
	}
}

func publish(t testing.TB, o Options, token string) (*Grant, error) {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/events", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return a.Publisher(r)
}

func TestAlgorithms(t *testing.T) {
	rsaKey, p256, p384, p521, ed := rsaPair(t, 2048), ecPair(t, elliptic.P256()), ecPair(t, elliptic.P384()), ecPair(t, elliptic.P521()), edPair(t)
	hmacKey := pair{private: secret, public: secret}
	for _, tt := range []struct {
		key     pair
		alg     string
		allowed []string // the algorithms configured in the hub; nil: the usual one
		ok      bool
	}{
		{hmacKey, "HS256", nil, true}, {hmacKey, "HS384", nil, false}, {hmacKey, "HS384", []string{"HS256", "HS384"}, true}, {hmacKey, "HS512", []string{"HS512"}, true}, {hmacKey, "HS256", []string{"HS512"}, false},
		{rsaKey, "RS256", nil, true}, {rsaKey, "PS256", nil, false}, {rsaKey, "PS512", []string{"PS512"}, true}, {rsaKey, "RS512", []string{"RS512", "ES256"}, true}, {rsaKey, "RS384", []string{"RS384"}, true}, {rsaKey, "PS384", []string{"PS384"}, true},
		{p256, "ES256", nil, true}, {p384, "ES384", nil, true}, {p521, "ES512", nil, true},
		{ed, "EdDSA", nil, true}, {ed, "EdDSA", []string{"EdDSA", "RS256"}, true},
	} {
		g, err := publish(t, Options{PublisherKeys: mustParse(t, tt.key.public, tt.allowed...)}, mint(t, tt.key.private, tt.alg))
		if (err == nil) != tt.ok || err == nil && (g.Subject != "ann" || !g.MayPublish([]string{"x"})) {
			t.Errorf("%s, allowed %v: %v, %v; want %v", tt.alg, tt.allowed, g, err, tt.ok)
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	rsaKey := rsaPair(t, 2048)
	for _, tt := range []struct {
		why, key string
		algs     []string
		says     string
	}{
		{"a short secret", "a secret of thirty-one bytes...", nil, "32"},
		{"an empty one", "", nil, "32"},
		{"a private key", rsaKey.private, nil, "public key"},
		{"a weak key", rsaPair(t, 1024).public, nil, "2048"},
		{"an odd curve", ecPair(t, elliptic.P224()).public, nil, "P-256"},
		{"a public key as a secret", rsaKey.public, []string{"HS256"}, "RS256"},
		{"a secret as a public key", secret, []string{"RS256"}, "HS256"},
		{"a PEM cut off", rsaKey.public[:100], nil, "-----END"},
		{"a PEM of something else", "-----BEGIN DH PARAMETERS-----\nMAA=\n-----END DH PARAMETERS-----", nil, "DH PARAMETERS"},
		{"an invalid JWK", `{"kty":"what"}`, nil, "JWK"},
		{"an empty set", `{"keys":[]}`, nil, "no key"},
		{"a JWK for another algorithm", `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, []string{"ES256"}, "EdDSA"},
	} {
		if keys, err := ParseKeys(tt.key, tt.algs); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, %v; want an error that says %q", tt.why, keys, err, tt.says)
		}
	}
}

func TestReadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	file := func(content string) string {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "@" + path
	}
	const bom = "\uFEFF"
	for _, tt := range []struct{ content, key, dropped string }{
		{secret, secret, ""},
		{secret + "\n", secret, "line ends"},
		{secret + "\r\n", secret, "line ends"},
		{"\r\n\n" + secret, secret, "line ends"},
		{bom + secret, secret, "a byte order mark"},
		{secret + bom, secret, "a byte order mark"},
		{bom + "\n" + secret + "\n", secret, "a byte order mark and line ends"},
		{" " + secret + " \n", " " + secret + " ", "line ends"},
		{"a\nb", "a\nb", ""},
	} {
		for _, text := range []string{file(tt.content), tt.content} { // tt.content as in an environment variable
			if got, dropped, err := ReadKey(text); got != tt.key || dropped != tt.dropped || err != nil {
				t.Errorf("%q: %q, %q, %v; want %q, %q", tt.content, got, dropped, err, tt.key, tt.dropped)
			}
			if got, dropped, err := ReadKey(SecretPrefix + text); got != SecretPrefix+tt.key || dropped != tt.dropped || err != nil {
				t.Errorf("%q as a secret: %q, %q, %v", tt.content, got, dropped, err)
			}
		}
	}
	for _, text := range []string{file(""), file("\n"), file(bom + "\r\n"), "@" + path + "x"} {
		if key, _, err := ReadKey(text); err == nil {
			t.Errorf("%s is the key %q", text, key)
		}
	}
}

// A cached token still expires, and many new tokens push out the oldest.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := New(Options{PublisherKeys: mustParse(t, secret), Leeway: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		try := func(token string) (*Grant, error) {
			r := httptest.NewRequest("POST", "/events", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			return a.Publisher(r)
		}
		c := claims()
		c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(10 * time.Second))
		token, err := Mint(c, secret, "")
		if err != nil {
			t.Fatal(err)
		}
		first, err := try(token)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		if again, err := try(token); again != first {
			t.Errorf("it is verified again: %v", err)
		}
		time.Sleep(1500 * time.Millisecond)
		if late, err := try(token); err != nil || late == first || !late.Expires.After(time.Now()) {
			t.Errorf("within the leeway: %+v, %v", late, err)
		}
		time.Sleep(time.Second)
		if _, err := try(token); err == nil {
			t.Error("an expired token is accepted")
		}
		c.ExpiresAt = nil
		if token, err = Mint(c, secret, ""); err != nil {
			t.Fatal(err)
		}
		if first, err = try(token); err != nil {
			t.Fatal(err)
		}
		time.Sleep(cachedFor - time.Second)
		if again, err := try(token); again != first {
			t.Errorf("without exp, it is verified again within a minute: %v", err)
		}
		time.Sleep(2 * time.Second)
		if again, err := try(token); err != nil || again == first {
			t.Errorf("after a minute, it is not verified again: %v", err)
		}
		for n := range 3 * cachedTokens {
			a.publishers.cache.put(sha256.Sum256([]byte{byte(n), byte(n >> 8)}), new(Grant))
		}
		if n := len(a.publishers.cache.new) + len(a.publishers.cache.old); n > 2*cachedTokens {
			t.Errorf("%d tokens are kept", n)
		}
		for n := range 1000 {
			a.publishers.cache.put(sha256.Sum256([]byte{byte(n), byte(n >> 8)}), &Grant{Payload: make([]byte, 45_000)})
		}
		if n := len(a.publishers.cache.new) + len(a.publishers.cache.old); n > 2*cachedBytes/45_000 || n == 0 {
			t.Errorf("%d tokens with payloads of 45 KB are kept", n)
		}
	})
}

// Tokens that try to pass for signed ones.
func TestForgedTokens(t *testing.T) {
	rsaKey, other := rsaPair(t, 2048), rsaPair(t, 2048)
	jwk, err := jwkset.NewJWKFromKey(other.signer.Public(), jwkset.JWKOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rs256 := func(p pair) func(string) []byte {
		return func(text string) []byte {
			sum := sha256.Sum256([]byte(text))
			sig, err := p.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			return sig
		}
	}
	unsigned := func(string) []byte { return nil }
	called := atomic.Bool{}
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Store(true) }))
	defer trap.Close()
	good := forge(t, map[string]any{"alg": "RS256", "kid": "k"}, rs256(rsaKey))
	o := Options{PublisherKeys: append(mustParse(t, rsaKey.public), mustParse(t, secret)...)}
	if _, err := publish(t, o, good); err != nil {
		t.Fatalf("the one that is signed: %v", err)
	}
	dot := strings.LastIndex(good, ".")
	for why, token := range map[string]string{
		"alg none":                         forge(t, map[string]any{"alg": "none"}, unsigned),
		"alg None":                         forge(t, map[string]any{"alg": "None"}, unsigned),
		"alg NONE, with a signature":       forge(t, map[string]any{"alg": "NONE"}, hs256(secret)),
		"no alg":                           forge(t, map[string]any{}, hs256(secret)),
		"alg that is no string":            forge(t, map[string]any{"alg": []string{"HS256"}}, hs256(secret)),
		"alg in lower case":                forge(t, map[string]any{"alg": "hs256"}, hs256(secret)),
		"the public key as a secret":       forge(t, map[string]any{"alg": "HS256"}, hs256(rsaKey.public)),
		"its text without the line end":    forge(t, map[string]any{"alg": "HS256"}, hs256(strings.TrimSpace(rsaKey.public))),
		"an empty secret":                  forge(t, map[string]any{"alg": "HS256"}, hs256("")),
		"the secret under another alg":     forge(t, map[string]any{"alg": "HS512"}, hs256(secret)),
		"another key":                      forge(t, map[string]any{"alg": "RS256"}, rs256(other)),
		"another key, brought as jwk":      forge(t, map[string]any{"alg": "RS256", "jwk": jwk.Marshal()}, rs256(other)),
		"another key, at jku":              forge(t, map[string]any{"alg": "RS256", "jku": trap.URL}, rs256(other)),
		"another key, at x5u":              forge(t, map[string]any{"alg": "RS256", "x5u": trap.URL}, rs256(other)),
		"a kid that is a path":             forge(t, map[string]any{"alg": "HS256", "kid": "../../../../dev/null"}, hs256("")),
		"a kid that is no string":          forge(t, map[string]any{"alg": "RS256", "kid": 7}, rs256(rsaKey)),
		"a critical extension":             forge(t, map[string]any{"alg": "RS256", "crit": []string{"b64"}, "b64": false}, rs256(rsaKey)),
		"the signature cut off":            good[:dot+1],
		"the signature of another token":   mint(t, secret, "")[:20] + good[20:],
		"a line end behind":                good + "\n",
		"a space inside":                   good[:dot] + " " + good[dot:],
		"padding behind":                   good + "=",
		"four parts":                       good + ".x",
		"five parts, as an encrypted one":  good + ".x.y",
		"two parts":                        good[:dot],
		"nothing but dots":                 "..",
		"an exp that is no number":         forgeClaims(t, `{"exp":"never","mercure":{"publish":["*"]}}`),
		"an exp beyond all":                forgeClaims(t, `{"exp":1e400,"mercure":{"publish":["*"]}}`),
		"an exp before all":                forgeClaims(t, `{"exp":-1,"mercure":{"publish":["*"]}}`),
		"a claim of another shape":         forgeClaims(t, `{"mercure":["*"]}`),
		"a grant that is no list":          forgeClaims(t, `{"mercure":{"publish":"*"}}`),
		"a grant with an empty selector":   forgeClaims(t, `{"mercure":{"publish":[""]}}`),
		"a grant of half a character":      forgeClaims(t, "{\"mercure\":{\"publish\":[\"\xff\", \"{\"]}}"),
		"an exp, and another in capitals":  forgeClaims(t, `{"exp":1000000000,"EXP":99999999999,"mercure":{"publish":["*"]}}`),
		"an exp twice":                     forgeClaims(t, `{"exp":1000000000,"exp":99999999999,"mercure":{"publish":["*"]}}`),
		"an exp twice, once in escapes":    forgeClaims(t, `{"exp":99999999999,"\u0065xp":99999999999,"mercure":{"publish":["*"]}}`),
		"a grant twice":                    forgeClaims(t, `{"mercure":{"publish":["*"]},"mercure":{"publish":["*"]}}`),
		"a list twice in a grant":          forgeClaims(t, `{"mercure":{"publish":["a"],"publish":["*"]}}`),
		"a name twice in what is not read": forgeClaims(t, `{"mercure":{"publish":["*"]},"x":[{"a":1,"a":2}]}`),
		"a header with alg twice":          forgeText(t, `{"alg":"none","alg":"HS256"}`, `{"mercure":{"publish":["*"]}}`),
		"a header with kid twice":          forgeText(t, `{"alg":"HS256","kid":"a","kid":"b"}`, `{"mercure":{"publish":["*"]}}`),
		"a header with ALG alone":          forgeText(t, `{"ALG":"HS256"}`, `{"mercure":{"publish":["*"]}}`),
		"claims that are a string":         forgeClaims(t, `"claims"`),
		"claims that break off":            forgeClaims(t, `{"mercure":{"publish":["*"]}`),
		"expired long ago":                 forgeClaims(t, `{"exp":1000000000,"mercure":{"publish":["*"]}}`),
		"valid in a far future":            forgeClaims(t, `{"nbf":99999999999,"mercure":{"publish":["*"]}}`),
		"a megabyte of a token":            strings.Repeat("a", 1<<20),
		"a header of a megabyte in base64": base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte("a"), 1<<20)) + ".e30.x",
	} {
		g, err := publish(t, o, token)
		var refused *Error
		if !errors.As(err, &refused) || refused.Status != 401 || g != nil {
			t.Errorf("%s: %+v, %v; want a 401", why, g, err)
		}
	}
	if called.Load() {
		t.Error("a token's header had the hub ask for a key")
	}
}

func forgeClaims(t testing.TB, text string) string { return forgeText(t, `{"alg":"HS256"}`, text) }

func forgeText(t testing.TB, header, claims string) string {
	t.Helper()
	part := base64.RawURLEncoding.EncodeToString
	signed := part([]byte(header)) + "." + part([]byte(claims))
	return signed + "." + part(hs256(secret)(signed))
}

// Claim names are case-sensitive, so no other spelling extends a grant (RFC 7519 §7.3).
func TestClaimNamesAreToTheLetter(t *testing.T) {
	o := Options{PublisherKeys: mustParse(t, secret), Issuer: "us"}
	for _, text := range []string{
		`{"iss":"us","MERCURE":{"publish":["*"]},"Tidings":{"admin":true},"TIDINGS":{"ADMIN":true},"SUB":"ann","JTI":"1"}`,
		`{"iss":"us","mercure":{"Publish":["*"],"PUBLISH":["*"],"SUBSCRIBE":["*"],"Payload":1},"tidings":{"ADMIN":true,"Admin":true}}`,
		`{"iss":"us","HTTPS://MERCURE.ROCKS/":{"publish":["*"]},"https://Mercure.rocks/":{"publish":["*"]},"EXP":1,"NBF":99999999999,"Exp":"x"}`,
		`{"iss":"us","tiding\u017f":{"admin":true},"mercure":{"publi\u017fh":["*"]}}`, // a long s folds to s
	} {
		g, err := publish(t, o, forgeClaims(t, text))
		if err != nil || g.MayPublish([]string{"a"}) || g.MaySee("a") || g.Admin || g.Subject != "" || g.ID != "" || !g.Expires.IsZero() || g.Payload != nil {
			t.Errorf("%s grants %+v, %v", text, g, err)
		}
	}
	if _, err := publish(t, o, forgeClaims(t, `{"ISS":"us","mercure":{"publish":["*"]}}`)); err == nil {
		t.Error("ISS is accepted as iss")
	}
}

// The names of members of JWKs and sets are case-sensitive too.
func TestJWKNamesAreToTheLetter(t *testing.T) {
	p, other := edPair(t), edPair(t)
	good, bad := jwkText(t, p), jwkText(t, other)
	x := func(jwk string) string { return jwk[strings.Index(jwk, `"x":"`)+5:][:43] }
	for _, tt := range []struct {
		text string
		ok   bool
	}{
		{good, true},
		{strings.Replace(good, "{", `{"X":"`+x(bad)+`","KTY":"oct","D":"AAAA","kID":"k",`, 1), true}, // unknown members
		{strings.Replace(good, `"x"`, `"X"`, 1), false},
		{strings.Replace(good, `"kty"`, `"Kty"`, 1), false},
		{strings.Replace(good, "{", `{"x":"`+x(bad)+`",`, 1), false},
	} {
		for _, text := range []string{tt.text, `{"keys":[` + tt.text + `]}`} {
			keys, err := ParseKeys(text, nil)
			if (err == nil) != tt.ok || err == nil && !p.signer.Public().(ed25519.PublicKey).Equal(keys[0].verify) {
				t.Errorf("%s: %v, %v", text, keys, err)
			}
		}
		keys, err := readKeySet([]byte(`{"keys":[`+tt.text+`]}`), nil)
		if (err == nil) != tt.ok || err == nil && keys[0].id != "" {
			t.Errorf("a set of %s: %v, %v", tt.text, keys, err)
		}
	}
	for _, text := range []string{`{"KEYS":[` + good + `]}`, `{"keys":[],"Keys":[` + good + `]}`, `{"keys":[` + good + `],"keys":[` + bad + `]}`, `{"keys":[` + jwkPrivate(t, p) + `]}`, `{"keys":[` + jwkOf(t, []byte(secret), true) + `]}`} {
		if keys, err := readKeySet([]byte(text), nil); err == nil {
			t.Errorf("%s has the keys %v", text, keys)
		}
	}
}

// A key that cannot be read does not keep the hub from the others of its set
// (RFC 7517 §5): their provider may have added it for others.
func TestKeySetWithUnreadableKeys(t *testing.T) {
	good := jwkText(t, edPair(t))
	x := good[strings.Index(good, `"x":"`)+5:][:43]
	for _, bad := range []string{
		`{"kty":"RSA"}`,
		`{"kty":"RSA","n":"AQAB","e":"AQAB"}`,
		`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`,
		`{"kty":"OKP","crv":"Ed25519","x":"` + x + `","use":"other"}`,
		`{"kty":"OKP","crv":"Ed25519","x":"` + x + `","x5c":["AAAA"]}`,
		`{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"}`,
		`{"kty":1}`, `"key"`, `null`, `[]`, `{}`,
	} {
		for _, text := range []string{`{"keys":[` + bad + `,` + good + `]}`, `{"keys":[` + good + `,` + bad + `]}`} {
			if keys, err := readKeySet([]byte(text), nil); err != nil || len(keys) != 1 {
				t.Errorf("%s: %v, %v", text, keys, err)
			}
		}
		if keys, err := readKeySet([]byte(`{"keys":[`+bad+`]}`), nil); err == nil {
			t.Errorf("%s has the keys %v", bad, keys)
		}
	}
}

// The keys of one role do not work for the other.
func TestRolesHaveKeysOfTheirOwn(t *testing.T) {
	const another = "another secret of thirty-two bytes or more"
	a, err := New(Options{PublisherKeys: mustParse(t, secret), SubscriberKeys: mustParse(t, another)})
	if err != nil {
		t.Fatal(err)
	}
	for key, publisher := range map[string]bool{secret: true, another: false} {
		r := httptest.NewRequest("GET", "/events", nil)
		r.Header.Set("Authorization", "Bearer "+mint(t, key, ""))
		if _, err := a.Publisher(r); (err == nil) != publisher {
			t.Errorf("publisher %v: %v", publisher, err)
		}
		if _, err := a.Subscriber(r); (err == nil) == publisher {
			t.Errorf("subscriber %v: %v", !publisher, err)
		}
	}
}

func TestIssuerAudienceLeeway(t *testing.T) {
	o := Options{PublisherKeys: mustParse(t, secret), Issuer: "us", Audience: "hub", Leeway: 10 * time.Second}
	in := func(d time.Duration) *jwt.NumericDate { return jwt.NewNumericDate(time.Now().Add(d)) }
	for _, tt := range []struct {
		why string
		c   jwt.RegisteredClaims
		ok  bool
	}{
		{"ours", jwt.RegisteredClaims{Issuer: "us", Audience: []string{"hub"}}, true},
		{"ours among others", jwt.RegisteredClaims{Issuer: "us", Audience: []string{"x", "hub"}}, true},
		{"another issuer", jwt.RegisteredClaims{Issuer: "them", Audience: []string{"hub"}}, false},
		{"no issuer", jwt.RegisteredClaims{Audience: []string{"hub"}}, false},
		{"another audience", jwt.RegisteredClaims{Issuer: "us", Audience: []string{"hub2"}}, false},
		{"no audience", jwt.RegisteredClaims{Issuer: "us"}, false},
		{"just expired", jwt.RegisteredClaims{Issuer: "us", Audience: []string{"hub"}, ExpiresAt: in(-5 * time.Second)}, true},
		{"expired", jwt.RegisteredClaims{Issuer: "us", Audience: []string{"hub"}, ExpiresAt: in(-15 * time.Second)}, false},
		{"not yet, by a little", jwt.RegisteredClaims{Issuer: "us", Audience: []string{"hub"}, NotBefore: in(5 * time.Second)}, true},
		{"not yet", jwt.RegisteredClaims{Issuer: "us", Audience: []string{"hub"}, NotBefore: in(15 * time.Second)}, false},
	} {
		token, err := Mint(&Claims{RegisteredClaims: tt.c}, secret, "")
		if err != nil {
			t.Fatal(err)
		}
		g, err := publish(t, o, token)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.why, err)
		}
		if err == nil && !g.Expires.IsZero() && !g.Expires.After(time.Now()) {
			t.Errorf("%s: a grant that has expired, at %v", tt.why, g.Expires)
		}
	}
}

// A provider serves a JWK Set that changes.
type provider struct {
	*httptest.Server
	status atomic.Int64
	body   atomic.Value
	reads  atomic.Int64
	held   atomic.Pointer[func()] // called before each response
}

// hold blocks responses until release is called. arrived signals the first request.
func (p *provider) hold() (arrived <-chan struct{}, release func()) {
	first, gate := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(first) })
	wait := func() { once(); <-gate }
	p.held.Store(&wait)
	return first, func() { p.held.Store(nil); close(gate) }
}

func newProvider(t *testing.T) *provider {
	p := new(provider)
	p.status.Store(200)
	p.body.Store(`{"keys":[]}`)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.reads.Add(1)
		if held := p.held.Load(); held != nil {
			(*held)()
		}
		w.WriteHeader(int(p.status.Load()))
		fmt.Fprint(w, p.body.Load())
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) serve(t *testing.T, keys map[string]any) {
	t.Helper()
	var set jwkset.JWKSMarshal
	for kid, key := range keys {
		jwk, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}, Marshal: jwkset.JWKMarshalOptions{Private: true}})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	p.body.Store(string(b))
}

func signed(t *testing.T, p pair, alg, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), claims())
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(p.signer)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestJWKS(t *testing.T) {
	provider := newProvider(t)
	first, second := ecPair(t, elliptic.P256()), edPair(t)
	provider.serve(t, map[string]any{"1": first.signer.Public(), "secret": []byte(secret)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	jwks, err := NewJWKS(ctx, provider.URL, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{JWKS: jwks}
	check := func(why, token string, ok bool) {
		t.Helper()
		if _, err := publish(t, o, token); (err == nil) != ok {
			t.Errorf("%s: %v", why, err)
		}
	}
	check("by its kid", signed(t, first, "ES256", "1"), true)
	check("without a kid", signed(t, first, "ES256", ""), true)
	check("a secret that everybody can read", mint(t, secret, ""), false)
	check("a kid of another's", signed(t, second, "EdDSA", "1"), false)

	provider.serve(t, map[string]any{"1": first.signer.Public(), "2": second.signer.Public()})
	check("one that is new", signed(t, second, "EdDSA", "2"), true)

	// The hub's own keys of the same kind are used as well, and do not hide the set's.
	own := ecPair(t, elliptic.P256())
	o.PublisherKeys = mustParse(t, own.public)
	check("beside a key of ours", signed(t, first, "ES256", "1"), true)
	check("the key of ours", signed(t, own, "ES256", ""), true)
	check("the key of ours, by a kid", signed(t, own, "ES256", "x"), true)
	check("neither's", signed(t, ecPair(t, elliptic.P256()), "ES256", "1"), false)
	o.PublisherKeys = nil

	provider.status.Store(500)
	check("during an outage", signed(t, second, "EdDSA", "2"), true)
	provider.status.Store(200)
	provider.body.Store(`{}`)
	reads := provider.reads.Load()
	for range 20 {
		check("a kid that nobody has", signed(t, first, "ES256", "made up"), false)
	}
	if n := provider.reads.Load() - reads; n > 1 {
		t.Errorf("20 made-up kids had the hub ask %d times", n)
	}
	check("after nonsense for an answer", signed(t, first, "ES256", "1"), true)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// A read of the key set does not depend on the request that caused it: a client that sends
// a made-up key and disconnects does not keep others from a new key. Waiting requests share
// one read.
func TestJWKSReadOutlivesItsRequest(t *testing.T) {
	provider := newProvider(t)
	first, second := ecPair(t, elliptic.P256()), edPair(t)
	provider.serve(t, map[string]any{"1": first.signer.Public()})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	jwks, err := NewJWKS(ctx, provider.URL, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{PublisherKeys: mustParse(t, secret), JWKS: jwks})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(ctx context.Context, token string) error {
		r := httptest.NewRequestWithContext(ctx, "POST", "/events", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		_, err := a.Publisher(r)
		return err
	}
	arrived, release := provider.hold()
	attack, hangUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- ask(attack, signed(t, first, "ES256", "made up")) }()
	<-arrived // the provider has the hub's request
	hangUp()
	if err := <-gone; err == nil {
		t.Error("a made-up key is accepted")
	}
	waiting := make(chan error, 20)
	for range cap(waiting) {
		go func() { waiting <- ask(t.Context(), signed(t, second, "EdDSA", "2")) }()
	}
	provider.serve(t, map[string]any{"1": first.signer.Public(), "2": second.signer.Public()})
	reads := provider.reads.Load()
	release()
	for range cap(waiting) {
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
	if n := provider.reads.Load() - reads; n != 0 {
		t.Errorf("the waiting requests caused %d more reads", n)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// If a provider is down when the hub starts, the hub reads its keys when it needs them.
func TestJWKSThatStartsLater(t *testing.T) {
	provider := newProvider(t)
	provider.status.Store(503)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log bytes.Buffer
	jwks, err := NewJWKS(ctx, provider.URL, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || !strings.Contains(log.String(), "503") {
		t.Fatalf("%v, log %s", err, log.String())
	}
	key := ecPair(t, elliptic.P384())
	provider.status.Store(200)
	provider.serve(t, map[string]any{"": key.signer.Public()})
	if _, err := publish(t, Options{JWKS: jwks}, signed(t, key, "ES384", "")); err != nil {
		t.Error(err)
	}
	for _, address := range []string{"http://keys.example/jwks", "keys.example", "file:///etc/passwd", ""} {
		if _, err := NewJWKS(ctx, address, nil, slog.Default()); err == nil {
			t.Errorf("%q is accepted as an address", address)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// A key set comes by TLS all the way, or from this machine: a redirect does not lead
// the hub to a place that it would not have been sent to.
func TestJWKSRedirects(t *testing.T) {
	provider := newProvider(t)
	key := ecPair(t, elliptic.P256())
	provider.serve(t, map[string]any{"1": key.signer.Public()})
	var to string
	redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }))
	t.Cleanup(redirect.Close)
	for _, tt := range []struct {
		to    string
		keys  int
		cause string // in the log
	}{
		{provider.URL, 1, ""},
		{"http://keys.invalid/jwks", 0, `\"http://keys.invalid/jwks\" is not an https address`},
		{redirect.URL, 0, "10 redirects"},
	} {
		to = tt.to
		ctx, cancel := context.WithCancel(t.Context())
		var log bytes.Buffer
		jwks, err := NewJWKS(ctx, redirect.URL, nil, slog.New(slog.NewTextHandler(&log, nil)))
		cancel()
		if err != nil || len(jwks.current) != tt.keys || !strings.Contains(log.String(), tt.cause) {
			t.Errorf("to %s: %d keys, %v, log %s", tt.to, len(jwks.current), err, log.String())
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestInspect(t *testing.T) {
	key := ecPair(t, elliptic.P256())
	token := mint(t, key.private, "")
	for _, tt := range []struct {
		why, token, key string
		lines           string // one of the expected lines
		problem         string
	}{
		{"without a key", token, "", "signature  not checked", ""},
		{"with the public one", token, key.public, "signature  by this key", ""},
		{"with the private one", token, key.private, "signature  by this key", ""},
		{"with another", token, edPair(t).public, "signature  not by this key", "signature"},
		{"expired", forgeClaims(t, `{"exp":1000000000}`), "", "expired    2001-09-09T01:46:40Z", "expired"},
		{"not yet", forgeClaims(t, `{"nbf":99999999999}`), secret, "not before", "not valid yet"},
		{"unsigned", forge(t, map[string]any{"alg": "none"}, func(string) []byte { return nil }), "", "algorithm  none", "not signed"},
		{"without a grant", forgeClaims(t, `{}`), "", "publish    nothing", ""},
		{"a grant that cannot be read", forgeClaims(t, `{"mercure":{"subscribe":["{"]}}`), "", "subscribe  {", "mercure.subscribe"},
	} {
		i, err := Inspect(tt.token, tt.key, time.Now())
		if err != nil {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		var lines string
		for _, l := range i.Lines {
			lines += fmt.Sprintf("%-10s %s\n", l[0], l[1])
		}
		problems := strings.Join(i.Problems, "; ")
		if !strings.Contains(lines, tt.lines) || !strings.Contains(problems, tt.problem) || (problems == "") != (tt.problem == "") {
			t.Errorf("%s: %s%s; want %q and %q", tt.why, lines, problems, tt.lines, tt.problem)
		}
	}
	if _, err := Inspect("no token", "", time.Now()); err == nil {
		t.Error("Inspect explains a text that is not a token")
	}
}

// Only tokens that we signed are accepted. Everything else is refused with a 401.
func FuzzToken(f *testing.F) {
	// A fixed time, so that all processes of the fuzzer use the same token.
	good := forgeClaims(f, `{"exp":4102444800,"mercure":{"publish":["*"]}}`)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(forge(f, map[string]any{"alg": "none"}, func(string) []byte { return nil }))
	f.Add(forge(f, map[string]any{"alg": "HS256", "kid": "x", "crit": 1}, hs256(secret)))
	f.Add("..")
	a, err := New(Options{PublisherKeys: append(mustParse(f, secret), mustParse(f, edPair(f).public)...)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		r := httptest.NewRequest("POST", "/events", nil)
		r.Header["Authorization"] = []string{"Bearer " + token}
		g, err := a.Publisher(r)
		var refused *Error
		switch {
		case err == nil && strings.TrimSpace(token) != good:
			t.Errorf("%q is accepted, as %+v", token, g)
		case err != nil && (token == good || !errors.As(err, &refused) || refused.Status != 401):
			t.Errorf("%q: %v", token, err)
		}
		_, _ = Inspect(token, secret, time.Now()) // it must not panic
	})
}
