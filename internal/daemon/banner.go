package daemon

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/console"
	"github.com/tidings-sse/tidings/sse"
)

// Version returns the version of the program's main module, from its build information,
// or "(devel)".
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// banner prints what runs, at which address, and what to try first.
func banner(out io.Writer, c *Config, addr net.Addr) {
	url := "http://" + visibleHost(c.Listen, addr)
	curl := "curl"
	if path, ok := c.unixPath(); ok {
		url, curl = "http://localhost", "curl --unix-socket "+path
	}
	if c.TLSCert != "" {
		url = strings.Replace(url, "http", "https", 1)
	}
	fmt.Fprintf(out, "tidings %s\n\n", Version())
	fmt.Fprintf(out, "  console    %s%s\n", url, console.Path)
	if c.Demo {
		fmt.Fprintf(out, "  demos      %s/demo/\n", url)
	}
	const token = ` -H "Authorization: Bearer $TOKEN"`
	var publisher, subscriber string
	if c.hasKeys() {
		publisher = token
		if !c.Anonymous {
			subscriber = token
		}
	}
	fmt.Fprintf(out, "  subscribe  %s -N%s %s/events/news\n", curl, subscriber, url)
	fmt.Fprintf(out, "  publish    %s -d hello%s %s/events/news\n", curl, publisher, url)
	fmt.Fprintf(out, "  events     %s\n", retention(c))
	fmt.Fprintf(out, "  access     %s\n\n", access(c))
}

func retention(c *Config) string {
	s := "in memory, until the hub stops; at most"
	if c.Store == "disk" {
		s = "on disk, in " + c.Data + "; at most"
	}
	for _, limit := range []struct {
		set  bool
		text string
	}{
		{c.RetainAge > 0, " " + hours(c.RetainAge)},
		{c.RetainBytes > 0, " " + c.RetainBytes.String()},
		{c.RetainEvents > 0, fmt.Sprintf(" %d events", c.RetainEvents)},
	} {
		if limit.set {
			s += limit.text + ","
		}
	}
	return s[:len(s)-1]
}

// hours formats a duration without trailing zero parts: 24h, not 24h0m0s.
func hours(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func access(c *Config) string {
	switch {
	case c.hasKeys() && c.Anonymous:
		return "public events are for anyone; private ones, and publishing, need a token (tidings token makes one)"
	case c.hasKeys():
		return "by token, for publishing and for subscribing (tidings token makes one)"
	case c.NoAuth:
		return "no keys: anyone who reaches this address may publish and subscribe, and holds every grant"
	}
	return "no keys: programs and pages of this machine may publish and subscribe, and hold every grant"
}

// visibleHost returns the address as a user would type it: the configured host with the
// actual port.
func visibleHost(asked string, addr net.Addr) string {
	host, _, _ := net.SplitHostPort(asked) // validated
	_, port, _ := net.SplitHostPort(addr.String())
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// welcome redirects browsers to the console, and answers other clients with commands to
// try.
func welcome(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if weight, named := sse.Accepted(r, "text/html"); named && weight > 0 {
		http.Redirect(w, r, console.Path, http.StatusFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "This is a Tidings hub.\n\n  console    http://%[1]s/console/\n  subscribe  curl -N http://%[1]s/events/news\n  publish    curl -d hello http://%[1]s/events/news\n", r.Host)
}
