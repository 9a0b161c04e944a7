package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/budget"
)

// AuthConfig holds the settings that decide who may use the hub. The help texts are the
// documentation of its fields.
type AuthConfig struct {
	JWTKey               []string      `name:"jwt-key" sep:"none" placeholder:"KEY|@FILE" help:"Key that tokens are signed with: a secret of 32 bytes or more, or public keys as PEM or JWK. Before a secret that looks like something else, write secret: as in secret:KEY or secret:@FILE. May be repeated."`
	PublisherJWTKey      []string      `name:"publisher-jwt-key" sep:"none" placeholder:"KEY|@FILE" help:"The same, for tokens of publishers and operators alone."`
	SubscriberJWTKey     []string      `name:"subscriber-jwt-key" sep:"none" placeholder:"KEY|@FILE" help:"The same, for tokens of subscribers alone."`
	APIKey               []string      `name:"api-key" sep:"none" placeholder:"KEY|@FILE" help:"Static key of 32 bytes or more for publishers that want no JWT, with the topics it may publish to behind it, or everything; in a file, one a line. May be repeated."`
	JWKS                 string        `name:"jwks" placeholder:"URL" help:"Address of a JWK Set with the keys, which is read again as they change."`
	JWTAlg               []string      `name:"jwt-alg" sep:"," placeholder:"ALG" help:"Algorithms that keys are for, as in HS256,ES256; the usual one of each kind of key unless given."`
	JWTIssuer            string        `name:"jwt-issuer" placeholder:"ISS" help:"Accept only tokens of this issuer."`
	JWTAudience          string        `name:"jwt-audience" placeholder:"AUD" help:"Accept only tokens for this audience."`
	JWTLeeway            time.Duration `name:"jwt-leeway" default:"10s" help:"How far the clocks of hub and issuer may be apart."`
	CookieName           string        `name:"cookie-name" placeholder:"NAME" help:"Cookie that may carry a token; mercureAuthorization unless given."`
	Anonymous            bool          `help:"Let anyone subscribe to public events without a token."`
	MercureQueryToken    bool          `default:"true" negatable:"" help:"On Mercure's path, take a token from the query, too, where the logs of proxies have it."`
	MercureSubscriptions bool          `help:"Publish on Mercure's path when subscriptions begin and end, and list the active ones."`
	NoAuth               bool          `help:"Let anyone who reaches the hub publish and subscribe, on any address."`

	// The algorithms of one role's keys, from Mercure's environment variables.
	publisherAlg, subscriberAlg string
}

// mercureEnv takes keys that are not configured from Mercure's environment variables,
// so that the hub can replace a Mercure hub without changes.
func (c *AuthConfig) mercureEnv() {
	if c.NoAuth || len(c.JWTKey) > 0 || c.JWKS != "" {
		return
	}
	if key := os.Getenv("MERCURE_PUBLISHER_JWT_KEY"); key != "" && len(c.PublisherJWTKey) == 0 {
		c.PublisherJWTKey, c.publisherAlg = []string{key}, os.Getenv("MERCURE_PUBLISHER_JWT_ALG")
	}
	if key := os.Getenv("MERCURE_SUBSCRIBER_JWT_KEY"); key != "" && len(c.SubscriberJWTKey) == 0 {
		c.SubscriberJWTKey, c.subscriberAlg = []string{key}, os.Getenv("MERCURE_SUBSCRIBER_JWT_ALG")
	}
}

func (c *AuthConfig) hasKeys() bool {
	return len(c.JWTKey)+len(c.PublisherJWTKey)+len(c.SubscriberJWTKey)+len(c.APIKey) > 0 || c.JWKS != ""
}

func (c *AuthConfig) validate(origins []string) error {
	c.mercureEnv()
	publishers := len(c.JWTKey)+len(c.PublisherJWTKey)+len(c.APIKey) > 0 || c.JWKS != ""
	subscribers := len(c.JWTKey)+len(c.SubscriberJWTKey) > 0 || c.JWKS != ""
	switch {
	case c.NoAuth && c.hasKeys():
		return errors.New("--no-auth lets anyone do anything, and keys do not: give one or the other")
	case c.NoAuth || !c.hasKeys():
		if c.Anonymous {
			return errors.New("--anonymous lets subscribers in without a token, and this hub has no keys that would ask for one: leave it out, or give keys")
		}
	case !publishers:
		return errors.New("nobody could publish: give --jwt-key, or --publisher-jwt-key as well")
	case !subscribers && !c.Anonymous:
		return errors.New("nobody could subscribe: give --jwt-key, or --subscriber-jwt-key as well, or let them in with --anonymous")
	}
	for _, alg := range c.JWTAlg {
		if !slices.Contains(auth.Algorithms, alg) {
			return fmt.Errorf("--jwt-alg %s is not one of %s", alg, strings.Join(auth.Algorithms, ", "))
		}
	}
	if c.CookieName != "" && (&http.Cookie{Name: c.CookieName, Value: "x"}).Valid() != nil {
		return fmt.Errorf("--cookie-name %q is no name of a cookie: write letters, digits and - or _", c.CookieName)
	}
	if slices.Contains(origins, "*") && c.CookieName != "" {
		return errors.New("--cors-origin * lets pages in without credentials, so none of another origin could send the cookie that --cookie-name names: name their origins instead")
	}
	return nil
}

// newAuth reads the keys. It returns nil for a hub without keys.
func newAuth(ctx context.Context, c *Config, b *budget.Budget, logger *slog.Logger) (*auth.Auth, error) {
	if !c.hasKeys() {
		return nil, nil
	}
	o := auth.Options{
		Issuer:    c.JWTIssuer,
		Audience:  c.JWTAudience,
		Leeway:    c.JWTLeeway,
		Anonymous: c.Anonymous,
		Cookie:    auth.DefaultCookie,
		Origins:   c.CORSOrigin,
		Budget:    b,
	}
	if c.CookieName != "" {
		o.Cookie = c.CookieName
	}
	both, err := readKeys("--jwt-key", c.JWTKey, c.JWTAlg, logger)
	if err != nil {
		return nil, err
	}
	publishers, err := readKeys("--publisher-jwt-key", c.PublisherJWTKey, c.algs(c.publisherAlg), logger)
	if err != nil {
		return nil, err
	}
	subscribers, err := readKeys("--subscriber-jwt-key", c.SubscriberJWTKey, c.algs(c.subscriberAlg), logger)
	if err != nil {
		return nil, err
	}
	if o.APIKeys, err = readAPIKeys(c.APIKey, logger); err != nil {
		return nil, fmt.Errorf("--api-key: %w", err)
	}
	o.Revocations = new(auth.Revocations)
	if c.Store == "disk" {
		if o.Revocations, err = auth.OpenRevocations(filepath.Join(c.Data, "revocations.json")); err != nil {
			return nil, fmt.Errorf("the revocations cannot be read: %w", err)
		}
	}
	o.PublisherKeys, o.SubscriberKeys = append(publishers, both...), append(subscribers, both...)
	if c.JWKS != "" {
		if o.JWKS, err = auth.NewJWKS(ctx, c.JWKS, c.JWTAlg, logger); err != nil {
			return nil, fmt.Errorf("--jwks: %w", err)
		}
	}
	return auth.New(o)
}

func (c *AuthConfig) algs(mercure string) []string {
	if mercure != "" {
		return []string{mercure}
	}
	return c.JWTAlg
}

func readAPIKeys(texts []string, logger *slog.Logger) (auth.APIKeys, error) {
	all := auth.APIKeys{}
	for _, text := range texts {
		text, dropped, err := auth.ReadKey(text)
		if err != nil {
			return nil, fmt.Errorf("the key cannot be read: %w", err)
		}
		keys, err := auth.ParseAPIKeys(text)
		if err != nil {
			return nil, err
		}
		logDropped(logger, "--api-key", dropped)
		maps.Copy(all, keys)
	}
	return all, nil
}

// wellKnownKey is the secret in Mercure's documentation and examples.
const wellKnownKey = "!ChangeThisMercureHubJWTSecretKey!"

func readKeys(flag string, texts, algs []string, logger *slog.Logger) (keys []auth.Key, err error) {
	for _, text := range texts {
		key, dropped, err := auth.ReadKey(text)
		if err != nil {
			return nil, fmt.Errorf("%s: the key cannot be read: %w", flag, err)
		}
		parsed, err := auth.ParseKeys(key, algs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		if strings.TrimPrefix(key, auth.SecretPrefix) == wellKnownKey {
			logger.Warn("anybody can sign tokens for this hub: its key is the one of Mercure's documentation", "flag", flag)
		}
		if parsed[0].Secret() {
			logDropped(logger, flag, dropped)
		}
		if strings.HasPrefix(key, auth.SecretPrefix) {
			logger.Info("the secret is what follows "+auth.SecretPrefix, "flag", flag)
		}
		keys = append(keys, parsed...)
	}
	return keys, nil
}

// logDropped logs what was cut off a key's ends, because programs that sign tokens must
// use exactly the same key.
func logDropped(logger *slog.Logger, flag, dropped string) {
	if dropped != "" {
		logger.Info("dropped "+dropped+" at the ends of the key", "flag", flag)
	}
}
