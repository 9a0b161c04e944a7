package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/tidings-sse/tidings/edge"
)

// Config holds all settings, with defaults and help texts. `tidings serve` reads them
// from flags, from TIDINGS_… in the environment, and from its config file. Call
// Validate before [Run].
type Config struct {
	Listen string `default:"localhost:3000" help:"Address to serve on, or unix:PATH for a socket."`
	Store  string `default:"disk" enum:"disk,memory" help:"Where events are kept: on disk, or in memory until the hub stops."`
	Data   string `default:"./tidings-data" help:"Directory of the events on disk. A new one is made."`

	NewEpoch bool `help:"Once, after restoring --data from a backup: streams get a gap instead of continuing at positions that may mean other events now. Leave it out of the next start."`

	Demo bool `help:"Serve the demos at /demo/: clock, stocks, news, chat, this machine's real figures, a big screen, LLM answers."`

	DemoPrices   string   `name:"demo-prices" placeholder:"FILE" help:"CSV file of prices to replay in the stocks demo, in place of a simulated market. Its columns are named: a time, a price or close, and a symbol, unless it has only one."`
	DemoFeeds    []string `name:"demo-feeds" sep:"," placeholder:"URL|FILE" help:"RSS, Atom or JSON feeds to show in the news demo."`
	DemoLLMURL   string   `name:"demo-llm-url" placeholder:"URL" help:"OpenAI-compatible API that answers in the LLM demo, as in http://localhost:11434/v1; without one, a text generator does, and says so."`
	DemoLLMModel string   `name:"demo-llm-model" default:"gpt-4o-mini" help:"Model to ask there."`
	DemoLLMKey   string   `name:"demo-llm-key" placeholder:"KEY" help:"Key for it; better said in the environment."`

	AuthConfig      `embed:""`
	TransportConfig `embed:""`
	CORSOrigin      []string `name:"cors-origin" sep:"," placeholder:"ORIGIN" help:"Let pages of this origin use the hub with credentials, as in https://app.example; * lets all in without. May be repeated."`
	CORSHeader      []string `name:"cors-header" sep:"," placeholder:"NAME" help:"Let these pages send this request header, too, as in X-Tenant; those of tracing and common libraries are allowed already. May be repeated."`

	Heartbeat    time.Duration `default:"15s" help:"How long a stream may be silent."`
	Retry        time.Duration `default:"3s" help:"Reconnection time that streams begin with."`
	WriteTimeout time.Duration `default:"30s" help:"End a stream that takes not one byte for so long."`
	Unparked     bool          `help:"Give each stream a goroutine, also where Linux could do without; it costs memory and time."`
	Drain        time.Duration `default:"10s" help:"On SIGTERM, close streams spread over so long."`

	Durability string   `default:"sync" enum:"sync,relaxed" help:"When a publisher is answered: sync, with the event on stable storage; relaxed, with it in the system's cache, of which a power cut loses the last seconds."`
	MinFree    ByteSize `default:"256MiB" help:"Refuse to publish while the disk has less free space."`

	MemoryLimit string `name:"memory-limit" placeholder:"SIZE|auto" help:"Memory that the process may take, as in 512MiB; auto is 80% of the limit of its cgroup. What clients ask for beyond is refused; without a limit, only each kind of it is bounded."`

	MaxBody      ByteSize      `default:"1MiB" help:"Largest body of a publish request."`
	RetainAge    time.Duration `default:"24h" help:"Drop events older than this; 0 keeps them."`
	RetainBytes  ByteSize      `default:"1GiB" help:"Drop the oldest events beyond this; 0 keeps them."`
	RetainEvents int64         `default:"0" help:"Drop the oldest events beyond so many; 0 keeps them."`

	memory memoryPlan
}

// Validate returns an error, a sentence that names the flag, if a hub cannot start with
// this configuration. It also takes missing keys from Mercure's environment variables,
// parses the trusted proxies, and divides the memory limit, for which it may read the
// cgroup's.
func (c *Config) Validate() error {
	loopback, err := c.loopback()
	if err != nil {
		return fmt.Errorf("--listen %s: %w", c.Listen, err)
	}
	if err := errors.Join(c.AuthConfig.validate(c.CORSOrigin), c.TransportConfig.validate()); err != nil {
		return err
	}
	if c.Demo && c.hasKeys() && !c.Anonymous {
		return errors.New("--demo is for a hub that its pages can read without a token: add --anonymous, or leave the keys out")
	}
	if !loopback && !c.NoAuth && !c.hasKeys() {
		return fmt.Errorf("--listen %s can be reached from other machines, and this hub has no keys: give it some, as in --jwt-key @FILE, say --no-auth to let anyone publish and subscribe, or listen on localhost", c.Listen)
	}
	if u, err := url.Parse(c.DemoLLMURL); c.DemoLLMURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("--demo-llm-url %s: write the API's base, as in http://localhost:11434/v1", c.DemoLLMURL)
	}
	for _, o := range c.CORSOrigin {
		if err := edge.CheckOrigin(o); err != nil {
			return fmt.Errorf("--cors-origin: %w", err)
		}
	}
	for _, name := range c.CORSHeader {
		if err := edge.CheckHeader(name); err != nil {
			return fmt.Errorf("--cors-header: %w", err)
		}
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
		least time.Duration
	}{
		{"heartbeat", c.Heartbeat, time.Second},
		{"write-timeout", c.WriteTimeout, time.Second},
		{"retry", c.Retry, time.Millisecond},
		{"drain", c.Drain, 0},
		{"retain-age", c.RetainAge, 0},
	} {
		if d.value < d.least {
			return fmt.Errorf("--%s is at least %s, not %s", d.flag, d.least, d.value)
		}
	}
	if c.NewEpoch && c.Store == "memory" {
		return errors.New("--new-epoch is for events on disk; in memory, every start begins a new epoch: leave it out")
	}
	if c.RetainEvents < 0 {
		return fmt.Errorf("--retain-events is 0 or more, not %d", c.RetainEvents)
	}
	if c.MaxBody < 1 {
		return fmt.Errorf("--max-body is at least 1 byte")
	}
	c.memory, err = c.planMemory(os.DirFS("/"))
	return err
}

// loopback reports whether only this machine can reach the address. A unix socket
// counts as loopback.
func (c *Config) loopback() (bool, error) {
	if path, ok := c.unixPath(); ok {
		if path == "" {
			return false, errors.New("name the socket, as in unix:/run/tidings.sock")
		}
		return true, nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return false, err
	}
	if host == "localhost" {
		return true, nil
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback(), nil
}

// ByteSize is a number of bytes.
type ByteSize int64

// UnmarshalText parses a size such as 4096, 64KB (64,000 bytes) or 1MiB (1,048,576
// bytes), up to 2^62 bytes.
func (b *ByteSize) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > 1<<62 {
		return fmt.Errorf("%q is not a size: write it as 1MiB, 64KB or 4096", text)
	}
	*b = ByteSize(n)
	return nil
}

// String returns the size in binary units, rounded, as in "1.0 MiB".
func (b ByteSize) String() string { return humanize.IBytes(uint64(b)) }
