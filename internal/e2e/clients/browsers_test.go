package clients

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// scripts is the directory with js/page.mjs and its clients, bundled for browsers.
var scripts string

// serve serves a page with a frame for each client, and returns its URL. Each frame
// uses a host name of its own for the hub, because a browser opens at most six
// connections to one host. The frames post the events that they get.
func serve(t *testing.T, listeners []*listener) (page string) {
	t.Helper()
	var frames strings.Builder
	for i, l := range listeners {
		q := url.Values{"client": {l.name}, "url": {l.url(l.topic + ".localhost")}, "listener": {strconv.Itoa(i)}}
		fmt.Fprintf(&frames, "<iframe src=\"/client?%s\"></iframe>\n", html.EscapeString(q.Encode()))
	}
	mux := http.NewServeMux()
	respond := func(path, content string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(content)) // an error: the browser has gone
		})
	}
	respond("/{$}", "<!doctype html>\n"+frames.String())
	respond("/client", `<!doctype html><body><script type="module" src="/page.js"></script>`)
	mux.Handle("/", http.FileServer(http.Dir(scripts)))
	mux.HandleFunc("POST /saw/{listener}", func(_ http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(r.PathValue("listener"))
		if err != nil {
			panic(err)
		}
		var s sight
		if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
			s = sight{"no JSON", err.Error()}
		}
		listeners[i].saw(s.Type, s.Data)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func startChromium(t *testing.T, listeners []*listener) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("chromium", "--headless=new", "--user-data-dir="+dir,
		"--no-sandbox", // it does not work in containers and for root
		"--no-first-run", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		serve(t, listeners))
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	start(t, cmd)
}

// firefoxPrefs keep Firefox from reaching any other machine: for those, it has to use
// a proxy that does not exist.
const firefoxPrefs = `
user_pref("browser.aboutwelcome.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.manage-offline-status", false);
user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", "127.0.0.1");
user_pref("network.proxy.http_port", 9);
user_pref("network.proxy.ssl", "127.0.0.1");
user_pref("network.proxy.ssl_port", 9);
`

func startFirefox(t *testing.T, listeners []*listener) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "user.js"), []byte(firefoxPrefs), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("firefox-esr", "--headless", "--no-remote", "--profile", dir, serve(t, listeners))
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	start(t, cmd)
}
