package e2e

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

const mercureKey = "!ChangeThisMercureHubJWTSecretKey!"

// npm is where the clients from npm are installed, once for all tests.
var npm struct {
	once sync.Once
	dir  string
	err  error
	out  []byte
}

// npmClients installs the clients and returns the directory of their modules. It
// skips the test if npm cannot install them, or fails it with TIDINGS_E2E=require.
func npmClients(t *testing.T) string {
	t.Helper()
	path := require(t, "npm", "npm")
	npm.once.Do(func() {
		if npm.dir, npm.err = os.MkdirTemp("", "tidings-e2e-npm-"); npm.err != nil {
			return
		}
		cmd := exec.Command(path, "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts",
			"event-source-polyfill@1.0.31", "@microsoft/fetch-event-source@2.0.1")
		cmd.Dir = npm.dir
		npm.out, npm.err = cmd.CombinedOutput()
	})
	if npm.err != nil {
		if os.Getenv("TIDINGS_E2E") == "require" {
			t.Fatalf("npm install: %v\n%s", npm.err, npm.out)
		}
		t.Skipf("npm cannot install the clients here: %v\n%s", npm.err, npm.out)
	}
	return filepath.Join(npm.dir, "node_modules")
}

// startMercureSite serves a page with the clients. Their modules import others
// without the suffix .js, which a bundler would add; here the server adds it.
func startMercureSite(t *testing.T) *site {
	t.Helper()
	dir := npmClients(t)
	s := startSite(t)
	s.HandleFunc("/mercure", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/mercure.html") })
	s.HandleFunc("/npm/", func(w http.ResponseWriter, r *http.Request) {
		name := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(r.URL.Path, "/npm/")))
		if filepath.Ext(name) == "" {
			name += ".js"
		}
		http.ServeFile(w, r, name)
	})
	return s
}

// mint makes a token for mercureKey with `tidings token`.
func mint(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, append([]string{"token", "--key", mercureKey}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// request sends a request with a token to the hub.
func (h *hub) request(method, path, token, contentType, body string) (status int, answer string) {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url(path), strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return h.do(req)
}

func (h *hub) do(req *http.Request) (status int, answer string) {
	h.t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// update publishes as Mercure's publishers do, and returns the event's id.
func (h *hub) update(token string, fields url.Values) string {
	h.t.Helper()
	status, id := h.request("POST", "/.well-known/mercure", token, "application/x-www-form-urlencoded", fields.Encode())
	if status != http.StatusOK {
		h.t.Fatalf("publish: %d %s", status, id)
	}
	return id
}

// Existing Mercure clients work unchanged from another origin: with a token or a
// cookie they get private updates, they get nothing but events, and they miss none
// when they resume.
func TestMercureClients(t *testing.T) {
	t.Parallel()
	site := startMercureSite(t)
	publisher, subscriber, admin := mint(t, "--publish", "*"), mint(t, "--subscribe", "https://example.com/users/1", "--subject", "ann"), mint(t, "--admin")
	topic := url.Values{"topic": {"https://example.com/books/{id}"}}.Encode()
	for _, c := range []struct {
		name, origin, token string
		withCredentials     bool
		want                string
	}{
		{"polyfill", site.origin(allowedName), subscriber, false, "1 2 3 4 5 6"},
		{"polyfill", site.origin(allowedName), "", false, "1 3 4 6"},
		{"fetch", site.origin(allowedName), subscriber, false, "1 2 3 4 5 6"},
		{"fetch", site.origin(allowedName), "", false, "1 3 4 6"},
		{"native", site.origin(allowedName), "", false, "1 3 4 6"},
		{"native", site.origin("127.0.0.1"), subscriber, true, "1 2 3 4 5 6"}, // a cookie of the same site
		{"native", site.origin("127.0.0.1"), subscriber, false, "1 3 4 6"},    // the browser does not send the cookie
	} {
		name := c.name + ", a token"
		if c.token == "" {
			name = c.name + ", anonymous"
		}
		if c.withCredentials {
			name += ", with credentials"
		}
		t.Run(name, func(t *testing.T) {
			h := startHub(t, "--jwt-key", mercureKey, "--anonymous", "--cors-origin", c.origin)
			page := openTab(t, c.origin+"/mercure")
			page.until("window.ready")
			js[any](page, `void clients[$1]($2, $3, $4)`, c.name, h.url("/.well-known/mercure?"+topic), c.token, c.withCredentials)
			page.until("opened === 1")
			update := func(data string, private bool) {
				fields := url.Values{"topic": {"https://example.com/books/1", "https://example.com/users/1"}, "data": {data}}
				if private {
					fields.Set("private", "on")
				}
				h.update(publisher, fields)
			}
			update("1", false)
			update("2", true)
			update("3", false)
			page.until("seen().endsWith('3')")
			// The stream ends, and two events come before the client reconnects.
			if status, answer := h.request("DELETE", "/subscriptions?topic=*", admin, "", ""); status != http.StatusOK || answer != "{\"ended\":1}\n" {
				t.Fatalf("kick: %d %s", status, answer)
			}
			update("4", false)
			update("5", true)
			page.until("opened === 2")
			update("6", false)
			page.until("seen().endsWith('6')")
			if got := js[string](page, "seen()"); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if c.name == "fetch" {
				if id := js[string](page, "beganAt"); !strings.HasPrefix(id, "urn:uuid:") {
					t.Errorf("the page reads the header Last-Event-ID as %q, want urn:uuid:…", id)
				}
			}
			page.noProblems(true)
		})
	}
}

// A page of another origin cannot publish with a visitor's cookie, even if the
// browser sends it.
func TestCookiePublish(t *testing.T) {
	t.Parallel()
	site, evil := startMercureSite(t), startMercureSite(t)
	origin := site.origin("127.0.0.1")
	h := startHub(t, "--jwt-key", mercureKey, "--anonymous", "--cors-origin", origin)
	token := mint(t, "--publish", "*")
	post := func(page *tab, mode, path string) string {
		return js[string](page, `fetch($1, { method: "POST", mode: $2, credentials: "include", body: new URLSearchParams({ topic: "news", data: "forged" }) })
			.then((r) => r.type === "opaque" ? "opaque" : String(r.status), (e) => "failed")`, h.url(path), mode)
	}
	page := openTab(t, origin+"/mercure")
	page.until("window.ready")
	js[any](page, `void (document.cookie = "mercureAuthorization=" + $1 + "; path=/")`, token)
	for path, want := range map[string]string{"/.well-known/mercure": "200", "/events": "201"} {
		if got := post(page, "cors", path); got != want {
			t.Errorf("from an allowed page, %s: %s, want %s", path, got, want)
		}
	}
	before := h.retained(token)
	run(page, chromedp.Navigate(evil.origin("127.0.0.1")+"/mercure")) // the same visitor, with the same cookie
	page.until("window.ready && location.port !== $1", site.port)
	for _, path := range []string{"/.well-known/mercure", "/events"} {
		if got := post(page, "no-cors", path); got != "opaque" {
			t.Errorf("from another page, without CORS, %s: %s, want opaque", path, got)
		}
		if got := post(page, "cors", path); got != "failed" {
			t.Errorf("from another page, with CORS, %s: %s, want failed", path, got)
		}
	}
	if after := h.retained(token); after != before || strings.Count(after, "forged") != 2 {
		t.Errorf("another page has published: %s", after)
	}
}

// retained returns all events that the hub retains, as NDJSON.
func (h *hub) retained(token string) string {
	h.t.Helper()
	req, err := http.NewRequest("GET", h.url("/events?topic=*"), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/x-ndjson")
	_, answer := h.do(req)
	return answer
}
