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
	"slices"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// jwksInterval is how often the key set is read again.
	jwksInterval = 5 * time.Minute
	// jwksPause is the shortest time between two reads caused by tokens with unknown
	// keys.
	jwksPause = 30 * time.Second
	// jwksTimeout limits one read, and how long a request waits for it.
	jwksTimeout = 5 * time.Second
	// jwksBytes is the largest key set that is read.
	jwksBytes = 1 << 20
)

// A JWKS holds the keys of a key set at an address (RFC 7517 §5). It reads the set again
// every 5 minutes, and when a token names a key that is not in it. If a read fails, the
// keys of the last one still count. After the first read, one goroutine does all reads:
// a request only asks for one, so a request that ends does not end the read.
type JWKS struct {
	address string
	algs    []string
	asked   chan struct{} // buffered; wakes run

	mu      sync.Mutex
	current []Key
	reading chan struct{} // closed after the read that requests have asked for; nil: no read is due
	last    time.Time     // when a read was last asked for
}

// NewJWKS reads the key set at an https address, or an http address on this machine, and
// keeps it up to date until ctx ends. If the first read fails, it logs that and returns no
// error. Without algs, each key is for its own alg or the usual one of its kind.
func NewJWKS(ctx context.Context, address string, algs []string, logger *slog.Logger) (*JWKS, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%q is not an https address", address)
	}
	if err := checkAddress(u); err != nil {
		return nil, err
	}
	s := &JWKS{address: address, algs: algs, asked: make(chan struct{}, 1)}
	s.refresh(ctx, logger)
	go s.run(ctx, logger)
	return s, nil
}

// checkAddress refuses an address from which somebody on the network could give us
// keys of their own.
func checkAddress(u *url.URL) error {
	if u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !onThisMachine(u.Hostname())) {
		return fmt.Errorf("%q is not an https address", u)
	}
	return nil
}

// jwksClient follows redirects to such addresses alone.
var jwksClient = &http.Client{CheckRedirect: func(r *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("it led to 10 redirects")
	}
	return checkAddress(r.URL)
}}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *JWKS) run(ctx context.Context, logger *slog.Logger) {
	tick := time.NewTicker(jwksInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.refresh(ctx, logger)
		case <-s.asked:
			s.refresh(ctx, logger)
			s.mu.Lock()
			close(s.reading)
			s.reading = nil
			s.mu.Unlock()
		}
	}
}

// refresh reads the key set. If that fails, or the set is invalid, it keeps the current
// keys.
func (s *JWKS) refresh(ctx context.Context, logger *slog.Logger) {
	keys, err := s.read(ctx)
	if err != nil {
		if ctx.Err() == nil {
			logger.Warn("cannot read the key set; the keys read last still count", "url", s.address, "err", err)
		}
		return
	}
	s.mu.Lock()
	s.current = keys
	s.mu.Unlock()
}

func (s *JWKS) read(ctx context.Context) ([]Key, error) {
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := jwksClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, jwksBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > jwksBytes {
		return nil, fmt.Errorf("it is larger than %d bytes", jwksBytes)
	}
	return readKeySet(text, s.algs)
}

// readKeySet returns the usable keys of a set. The set is public, so secrets and private
// keys in it are not usable. It skips keys that it does not know or cannot read
// (RFC 7517 §5): they may be meant for other programs.
func readKeySet(text []byte, algs []string) (keys []Key, err error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	var unread error // the first of those that cannot be read
	for _, raw := range set.Keys {
		jwk, err := readJWK(raw)
		if err != nil {
			if unread == nil && !errors.Is(err, jwkset.ErrUnsupportedKey) {
				unread = err
			}
			continue
		}
		k, err := keyOf(jwk)
		if err != nil || k.Secret() || jwk.Marshal().USE == jwkset.UseEnc {
			continue
		}
		if k.algs, err = algorithmsOf(&k, algs); err == nil {
			keys = append(keys, k)
		}
	}
	switch {
	case len(keys) > 0:
	case unread != nil:
		return nil, fmt.Errorf("it has no usable key; one cannot be read: %w", unread)
	default:
		return nil, errors.New("it has no usable key")
	}
	return keys, nil
}

// keys returns the keys that may have signed a token with the given kid, which may be "".
// If there are none, it asks for a read and waits until that ends.
func (s *JWKS) keys(ctx context.Context, kid string) ([]Key, error) {
	found, read := s.look(kid)
	if read != nil {
		ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
		defer cancel()
		select {
		case <-read:
		case <-ctx.Done():
		}
		found, _ = s.look(kid)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("the key set has no key %.100q", kid)
	}
	return found, nil
}

// look returns the known keys for a kid, or the channel of a read that may find them.
// Reads start at most once in jwksPause.
func (s *JWKS) look(kid string) (found []Key, read <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found = s.current
	if kid != "" {
		found = slices.DeleteFunc(slices.Clone(found), func(k Key) bool { return k.id != kid })
	}
	switch {
	case len(found) > 0:
		return found, nil
	case s.reading == nil && (s.last.IsZero() || time.Since(s.last) >= jwksPause):
		s.last = time.Now()
		s.reading = make(chan struct{})
		s.asked <- struct{}{}
	}
	return nil, s.reading
}
