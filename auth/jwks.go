package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/MicahParks/jwkset"
	"golang.org/x/time/rate"
)

const (
	// jwksInterval is how often the keys are read again.
	jwksInterval = 5 * time.Minute
	// jwksPause is the shortest time between two reads that tokens with
	// unknown keys cause.
	jwksPause = 30 * time.Second
	// jwksTimeout bounds one read, and how long a request waits for it.
	jwksTimeout = 5 * time.Second
	// jwksBytes is how large a key set may be.
	jwksBytes = 1 << 20
)

// A JWKS is the keys at an address, read again at times and when a token names
// one that is new. While the address does not answer, those it had last count.
type JWKS struct {
	storage jwkset.Storage
	algs    []string
}

// NewJWKS reads the keys at an https address, or an http one on this machine,
// until ctx ends. That it does not answer yet is logged, and no error. Without
// algs, a key is for its own alg or the usual one of its kind.
func NewJWKS(ctx context.Context, address string, algs []string, logger *slog.Logger) (*JWKS, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !onThisMachine(u.Hostname())) {
		return nil, fmt.Errorf("%q is not an https address", address)
	}
	one, err := jwkset.NewStorageFromHTTP(address, jwkset.HTTPClientStorageOptions{
		Client:                    &http.Client{Transport: boundedTransport{http.DefaultTransport}},
		Ctx:                       ctx,
		HTTPTimeout:               jwksTimeout,
		NoErrorReturnFirstHTTPReq: true,
		RefreshInterval:           jwksInterval,
		RefreshErrorHandler: func(_ context.Context, err error) {
			logger.Warn("cannot read the key set; the keys read last still count", "url", address, "err", err)
		},
		Storage: lasting{jwkset.NewMemoryStorage()},
	})
	if err != nil {
		return nil, err
	}
	all, err := jwkset.NewHTTPClient(jwkset.HTTPClientOptions{
		HTTPURLs:          map[string]jwkset.Storage{address: one},
		RateLimitWaitMax:  jwksTimeout,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(jwksPause), 1),
	})
	return &JWKS{storage: all, algs: algs}, err
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// keys returns those that may have signed a token with a kid, or without one.
func (s *JWKS) keys(ctx context.Context, kid string) (keys []Key, err error) {
	var found []jwkset.JWK
	if kid == "" {
		if found, err = s.storage.KeyReadAll(ctx); err != nil {
			return nil, err
		}
	}
	if len(found) == 0 { // this also reads the keys if it could not be done before
		jwk, err := s.storage.KeyRead(ctx, kid)
		if err != nil {
			return nil, err
		}
		found = []jwkset.JWK{jwk}
	}
	for _, jwk := range found {
		k := keyOf(jwk)
		if _, secret := k.verify.([]byte); secret || jwk.Marshal().USE == jwkset.UseEnc {
			continue // what everybody can read is no secret
		}
		if k.algs, err = algorithmsOf(&k, s.algs); err == nil {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// lasting keeps keys that there were when there are none any more: an address
// that answers nonsense is as good as down.
type lasting struct{ jwkset.Storage }

func (s lasting) KeyReplaceAll(ctx context.Context, keys []jwkset.JWK) error {
	if len(keys) == 0 {
		return errors.New("it has no usable key")
	}
	return s.Storage.KeyReplaceAll(ctx, keys)
}

// boundedTransport bounds what an answer may be.
type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, jwksBytes), resp.Body}
	return resp, nil
}
