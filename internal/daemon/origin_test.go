package daemon

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/auth"
)

// A page may publish with a visitor's cookie only if its origin is listed or the hub's
// own, over real connections. Not so a page whose origin anybody could have, and a page
// of another scheme where the hub does TLS itself.
func TestPagesThatPublishByCookie(t *testing.T) {
	const key = "a secret of thirty-two bytes or more"
	token, err := auth.Mint(&auth.Claims{Mercure: &auth.Access{Publish: []string{"*"}}, Tidings: &auth.Tidings{Admin: true}}, key, "")
	if err != nil {
		t.Fatal(err)
	}
	cert, keyFile := writeCertificate(t, t.TempDir(), "hub")
	flags := []string{"--jwt-key", key, "--cors-origin", "null", "--cors-origin", "https://app.example"}
	cleartext := runHub(t, flags...)
	encrypted := runHub(t, append(flags, "--tls-cert", cert, "--tls-key", keyFile)...)
	for _, tt := range []struct {
		why    string
		hub    *running
		origin string
		may    bool
	}{
		{"a page that is named", cleartext, "https://app.example", true},
		{"a page that is named, over TLS", encrypted, "https://app.example", true},
		{"the hub's own page", cleartext, "http://localhost", true},
		{"the hub's own page behind a proxy that does TLS", cleartext, "https://localhost", true},
		{"the hub's own page, over TLS", encrypted, "https://localhost", true},

		{"a sandboxed page", cleartext, "null", false},
		{"a sandboxed page, over TLS", encrypted, "null", false},
		{"a page in the clear, where the hub does TLS", encrypted, "http://localhost", false},
		{"no page, of the hub's host", cleartext, "ftp://localhost", false},
		{"no page, of the hub's host, over TLS", encrypted, "ftp://localhost", false},
		{"the named page in the clear", encrypted, "http://app.example", false},
		{"the hub's host on another port", encrypted, "https://localhost:444", false},
		{"the hub's host with a path", encrypted, "https://localhost/", false},
		{"no scheme", encrypted, "://localhost", false},
		{"a star", encrypted, "*", false},
	} {
		for version, protocols := range map[string]func(*http.Protocols){
			"HTTP/1": func(p *http.Protocols) { p.SetHTTP1(true) },
			"HTTP/2": func(p *http.Protocols) { p.SetHTTP2(true); p.SetUnencryptedHTTP2(true) },
		} {
			client := tt.hub.client(protocols)
			send := func(method, path string, header ...string) int {
				r, err := http.NewRequestWithContext(t.Context(), method, tt.hub.scheme+"://localhost"+path, strings.NewReader("hello"))
				if err != nil {
					t.Fatal(err)
				}
				for i := 0; i < len(header); i += 2 {
					r.Header.Set(header[i], header[i+1])
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				return resp.StatusCode
			}
			cookie := auth.DefaultCookie + "=" + token
			for _, sent := range [][]string{{"Origin", tt.origin}, {"Referer", tt.origin + "/page"}} {
				if sent[0] == "Referer" && (tt.origin == "null" || tt.origin == "*" || strings.HasSuffix(tt.origin, "/") || strings.HasPrefix(tt.origin, ":")) {
					continue // Referer never has such a value
				}
				for _, target := range [][]string{{"POST", "/events/news"}, {"POST", "/.well-known/mercure?topic=news&data=x"}, {"DELETE", "/events?id=x"}} {
					status := send(target[0], target[1], append(sent, "Cookie", cookie, "Content-Type", "application/x-www-form-urlencoded")...)
					if refused := status == http.StatusForbidden; refused == tt.may {
						t.Errorf("%s, %s, %s %s by %s: %d; want that it may: %v", tt.why, version, target[0], target[1], sent[0], status, tt.may)
					}
				}
			}
			client.CloseIdleConnections()
		}
	}
	// A null origin may not use a cookie, but it may use a token.
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://localhost/events/news", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "null")
	r.Header.Set("Authorization", "Bearer "+token)
	client := cleartext.client(func(p *http.Protocols) { p.SetHTTP1(true) })
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("a sandboxed page with a token: %s %v", resp.Status, resp.Header)
	}
}
