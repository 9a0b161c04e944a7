package edge

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// CheckOrigin returns an error, which says what to write instead, unless origin can be
// an entry of [Access].Origins: "*", "null", or an origin exactly as browsers serialize
// it (WHATWG HTML §7.1.1).
func CheckOrigin(origin string) error {
	if origin == "*" || origin == "null" {
		return nil
	}
	if strings.Contains(origin, "*") {
		return fmt.Errorf("%s: wildcards are not supported; list each origin, as in https://app.example, or write * alone to let all pages in, without credentials", origin)
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil {
		return fmt.Errorf("%q is not an origin: write scheme, host and port alone, as in https://app.example", origin)
	}
	host, err := browserHost(u)
	if err != nil {
		return fmt.Errorf("%q is not an origin that a browser could send: %w", origin, err)
	}
	if sent := u.Scheme + "://" + host; sent != origin {
		return fmt.Errorf("%q never matches: browsers send it as %s; write that", origin, sent)
	}
	return nil
}

// browserHost returns the host and port of an origin as browsers send them
// (WHATWG URL §3.5, §4.4, HTML §7.1.1).
func browserHost(u *url.URL) (string, error) {
	port := u.Port()
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", fmt.Errorf("its port %s is not from 1 to 65535", port)
		}
		port = ":" + strconv.FormatUint(n, 10)
	}
	if u.Scheme == "https" && port == ":443" || u.Scheme == "http" && port == ":80" {
		port = ""
	}
	if u.Scheme != "https" && u.Scheme != "http" { // of an app or an extension
		return strings.ToLower(u.Hostname()) + port, nil
	}
	if strings.HasPrefix(u.Host, "[") {
		ip, err := netip.ParseAddr(u.Hostname())
		if err != nil || ip.Zone() != "" {
			return "", fmt.Errorf("%q is no IPv6 address", u.Hostname())
		}
		if ip.Is4In6() {
			b := ip.As16()
			return fmt.Sprintf("[::ffff:%x:%x]", uint(b[12])<<8|uint(b[13]), uint(b[14])<<8|uint(b[15])) + port, nil
		}
		return "[" + ip.String() + "]" + port, nil
	}
	host, err := browserIDNA.ToASCII(u.Hostname())
	if err != nil {
		return "", fmt.Errorf("%q is no host name", u.Hostname())
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	if last := labels[len(labels)-1]; last == "" || isNumber(last) {
		if ip, err := netip.ParseAddr(strings.TrimSuffix(host, ".")); err != nil || !ip.Is4() {
			return "", fmt.Errorf("%q is no IPv4 address of four numbers", u.Hostname())
		}
		host = strings.TrimSuffix(host, ".")
	}
	if strings.ContainsAny(host, "\x00\t\n\r #%/:<>?@[\\]^|") {
		return "", fmt.Errorf("%q is no host name", u.Hostname())
	}
	return host + port, nil
}

// isNumber reports whether a host whose last label is label is an IPv4 address
// (WHATWG URL §3.5, "ends in a number").
func isNumber(label string) bool {
	if rest, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// browserIDNA is "domain to ASCII" of WHATWG URL §3.3.
var browserIDNA = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false), idna.VerifyDNSLength(false))
