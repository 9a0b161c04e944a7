package daemon

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/auth"
)

func TestValidate(t *testing.T) {
	good := Config{Listen: "localhost:3000", Heartbeat: time.Second, Retry: time.Second, WriteTimeout: time.Second, MaxBody: 1}
	for _, tt := range []struct {
		why    string
		change func(*Config)
		says   string // "": valid
	}{
		{"this machine by name", func(*Config) {}, ""},
		{"this machine by IPv4", func(c *Config) { c.Listen = "127.0.0.1:0" }, ""},
		{"this machine by IPv6", func(c *Config) { c.Listen = "[::1]:3000" }, ""},
		{"everywhere", func(c *Config) { c.Listen = ":3000" }, "--no-auth"},
		{"everywhere by address", func(c *Config) { c.Listen = "0.0.0.0:3000" }, "--no-auth"},
		{"another machine's name, whatever it resolves to", func(c *Config) { c.Listen = "hub.example:3000" }, "--no-auth"},
		{"everywhere, and said so", func(c *Config) { c.Listen, c.NoAuth = ":3000", true }, ""},
		{"everywhere, with keys", func(c *Config) { c.Listen, c.JWTKey = ":3000", []string{"k"} }, ""},
		{"keys, and none", func(c *Config) { c.NoAuth, c.JWTKey = true, []string{"k"} }, "--no-auth"},
		{"keys for publishers alone", func(c *Config) { c.PublisherJWTKey = []string{"k"} }, "nobody could subscribe"},
		{"and anyone may subscribe", func(c *Config) { c.PublisherJWTKey, c.Anonymous = []string{"k"}, true }, ""},
		{"keys for subscribers alone", func(c *Config) { c.SubscriberJWTKey = []string{"k"} }, "nobody could publish"},
		{"anonymous, without keys", func(c *Config) { c.Anonymous = true }, "--anonymous"},
		{"an algorithm that is none", func(c *Config) { c.JWTKey, c.JWTAlg = []string{"k"}, []string{"none"} }, "--jwt-alg none"},
		{"any origin, and a cookie", func(c *Config) { c.CORSOrigin, c.CookieName = []string{"*"}, "token" }, "--cookie-name"},
		{"headers of pages", func(c *Config) { c.CORSHeader = []string{"X-Tenant", "b3"} }, ""},
		{"any header", func(c *Config) { c.CORSHeader = []string{"*"} }, "--cors-header"},
		{"a header and its value", func(c *Config) { c.CORSHeader = []string{"X-Tenant: a"} }, "as in X-Tenant"},
		{"a cookie that no browser sends", func(c *Config) { c.CookieName = "my token" }, "--cookie-name"},
		{"a cookie", func(c *Config) { c.CookieName = "__Host-token" }, ""},
		{"an origin with a wildcard", func(c *Config) { c.CORSOrigin = []string{"https://*.example.com"} }, "list each origin"},
		{"an origin that is not in ASCII", func(c *Config) { c.CORSOrigin = []string{"https://bücher.example"} }, "https://xn--bcher-kva.example"},
		{"a unix socket", func(c *Config) { c.Listen = "unix:/run/tidings.sock" }, ""},
		{"a unix socket without a path", func(c *Config) { c.Listen = "unix:" }, "unix:/run"},
		{"a certificate without its key", func(c *Config) { c.TLSCert = "cert.pem" }, "--tls-cert and --tls-key"},
		{"a proxy that is no address", func(c *Config) { c.TrustedProxies = []string{"proxy.example"} }, "--trusted-proxies"},
		{"a network and an address", func(c *Config) { c.TrustedProxies = []string{"10.0.0.0/8", "::1"} }, ""},
		{"static keys alone, and anyone may subscribe", func(c *Config) { c.APIKey, c.Anonymous = []string{"k"}, true }, ""},
		{"demos that cannot read", func(c *Config) { c.Demo, c.JWTKey = true, []string{"k"} }, "--demo"},
		{"demos that can", func(c *Config) { c.Demo, c.JWTKey, c.Anonymous = true, []string{"k"}, true }, ""},
		{"no port", func(c *Config) { c.Listen = "localhost" }, "--listen localhost"},
		{"an origin", func(c *Config) { c.CORSOrigin = []string{"https://app.example"} }, ""},
		{"no origin", func(c *Config) { c.CORSOrigin = []string{"app.example"} }, "not an origin"},
		{"a model's API", func(c *Config) { c.DemoLLMURL = "https://api.example/v1" }, ""},
		{"no address of an API", func(c *Config) { c.DemoLLMURL = "api.example/v1" }, "--demo-llm-url"},
		{"a heartbeat that is a flood", func(c *Config) { c.Heartbeat = time.Millisecond }, "--heartbeat"},
		{"no write timeout", func(c *Config) { c.WriteTimeout = 0 }, "--write-timeout"},
		{"no retry", func(c *Config) { c.Retry = 0 }, "--retry"},
		{"a negative drain", func(c *Config) { c.Drain = -1 }, "--drain"},
		{"a negative count", func(c *Config) { c.RetainEvents = -1 }, "--retain-events"},
		{"a new epoch", func(c *Config) { c.NewEpoch = true }, ""},
		{"a new epoch of what begins one anyway", func(c *Config) { c.NewEpoch, c.Store = true, "memory" }, "--new-epoch"},
		{"no body", func(c *Config) { c.MaxBody = 0 }, "--max-body"},
	} {
		c := good
		tt.change(&c)
		err := c.Validate()
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want %q", tt.why, err, tt.says)
		}
	}
}

// Mercure's environment variables apply where ours are unset.
func TestMercureEnvironment(t *testing.T) {
	const key = "!ChangeThisMercureHubJWTSecretKey!"
	t.Setenv("MERCURE_PUBLISHER_JWT_KEY", key)
	t.Setenv("MERCURE_SUBSCRIBER_JWT_KEY", key)
	t.Setenv("MERCURE_SUBSCRIBER_JWT_ALG", "HS512")
	c := Config{Listen: ":3000", Heartbeat: time.Second, Retry: time.Second, WriteTimeout: time.Second, MaxBody: 1}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	authority, err := newAuth(t.Context(), &c, nil, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/events", nil)
	for alg, publisher := range map[string]bool{"HS256": true, "HS512": false} {
		token, err := auth.Mint(&auth.Claims{}, key, alg)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		if _, err := authority.Publisher(r); (err == nil) != publisher {
			t.Errorf("%s publishes: %v", alg, err)
		}
		if _, err := authority.Subscriber(r); (err == nil) == publisher {
			t.Errorf("%s subscribes: %v", alg, err)
		}
	}
	ours := Config{AuthConfig: AuthConfig{JWTKey: []string{key}}}
	ours.mercureEnv()
	if len(ours.PublisherJWTKey)+len(ours.SubscriberJWTKey) > 0 {
		t.Error("ours are set, and Mercure's read all the same")
	}
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]ByteSize{"4096": 4096, "1MiB": 1 << 20, "64KB": 64000, "1.5GiB": 3 << 29} {
		var b ByteSize
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q is %d, %v; want %d", text, b, err, want)
		}
	}
	for _, text := range []string{"", "many", "-1", "99999999999GiB"} {
		var b ByteSize
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d; want an error", text, b)
		}
	}
}

func TestHours(t *testing.T) {
	for d, want := range map[time.Duration]string{24 * time.Hour: "24h", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", time.Minute: "1m", 3661 * time.Second: "1h1m1s"} {
		if got := hours(d); got != want {
			t.Errorf("hours(%v) = %s; want %s", d, got, want)
		}
	}
}

// A public key that cannot be read as one keeps the hub from starting, wherever it is
// given, and the error names the flag.
func TestPublicKeysKeepTheHubFromStarting(t *testing.T) {
	const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIjGVSxwBlXsXz5BrZPkYCjuJ4nDYOYlAGdOXJFHZHpj"
	const key = "a secret of thirty-two bytes or more"
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("\uFEFF"+sshKey+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{sshKey, "@" + path, `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",}`} {
		for flag, c := range map[string]AuthConfig{
			"--jwt-key":            {JWTKey: []string{given}},
			"--publisher-jwt-key":  {PublisherJWTKey: []string{given}, SubscriberJWTKey: []string{key}},
			"--subscriber-jwt-key": {PublisherJWTKey: []string{key}, SubscriberJWTKey: []string{given}},
			"--api-key":            {JWTKey: []string{key}, APIKey: []string{given}},
		} {
			_, err := newAuth(t.Context(), &Config{AuthConfig: c, Store: "memory"}, nil, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), auth.SecretPrefix) {
				t.Errorf("%s %s: %v", flag, given, err)
			}
		}
		for _, role := range []string{"PUBLISHER", "SUBSCRIBER"} {
			t.Setenv("MERCURE_PUBLISHER_JWT_KEY", key)
			t.Setenv("MERCURE_SUBSCRIBER_JWT_KEY", key)
			t.Setenv("MERCURE_"+role+"_JWT_KEY", given)
			c := Config{Store: "memory"}
			c.mercureEnv()
			if _, err := newAuth(t.Context(), &c, nil, slog.New(slog.DiscardHandler)); err == nil {
				t.Errorf("MERCURE_%s_JWT_KEY=%s starts", role, given)
			}
		}
	}
}

// The log says what was cut off the ends of a secret, and a token signed with the rest
// is accepted.
func TestDroppedEndsOfASecretAreSaid(t *testing.T) {
	const key = "a secret of thirty-two bytes or more"
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("\uFEFF"+key+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{"@" + path, auth.SecretPrefix + "@" + path, key + "\n", "\uFEFF" + key} {
		var log bytes.Buffer
		keys, err := readKeys("--jwt-key", []string{given}, nil, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "dropped") || !strings.Contains(log.String(), "--jwt-key") {
			t.Errorf("%q: the log says %s", given, log.String())
		}
		authority, err := auth.New(auth.Options{PublisherKeys: keys})
		if err != nil {
			t.Fatal(err)
		}
		token, err := auth.Mint(new(auth.Claims), key, "")
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/events", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if _, err := authority.Publisher(r); err != nil {
			t.Errorf("%q: %v", given, err)
		}
	}
}
