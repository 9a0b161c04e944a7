package daemon

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	good := Config{Listen: "localhost:3000", Heartbeat: time.Second, Retry: time.Second, WriteTimeout: time.Second, MaxBody: 1}
	for _, tt := range []struct {
		why    string
		change func(*Config)
		says   string // "" is fine
	}{
		{"this machine by name", func(*Config) {}, ""},
		{"this machine by IPv4", func(c *Config) { c.Listen = "127.0.0.1:0" }, ""},
		{"this machine by IPv6", func(c *Config) { c.Listen = "[::1]:3000" }, ""},
		{"everywhere", func(c *Config) { c.Listen = ":3000" }, "--no-auth"},
		{"everywhere by address", func(c *Config) { c.Listen = "0.0.0.0:3000" }, "--no-auth"},
		{"another machine's name, whatever it resolves to", func(c *Config) { c.Listen = "hub.example:3000" }, "--no-auth"},
		{"everywhere, and said so", func(c *Config) { c.Listen, c.NoAuth = ":3000", true }, ""},
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
