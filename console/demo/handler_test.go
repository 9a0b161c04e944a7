package demo

import (
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tidings-sse/tidings/console/site/sitetest"
)

func get(t *testing.T, server *httptest.Server, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := *server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestHandler(t *testing.T) {
	server := httptest.NewServer(Handler())
	defer server.Close()
	for _, test := range []struct {
		path   string
		status int
		header string
		want   string
	}{
		{"/demo/", 200, "Content-Type", "text/html; charset=utf-8"},
		{"/demo/clock/", 200, "Content-Type", "text/html; charset=utf-8"},
		{"/demo/monitoring/?lang=zh", 200, "Content-Type", "text/html; charset=utf-8"},
		{"/demo/static/app.css", 200, "Content-Type", "text/css; charset=utf-8"},
		{"/demo/static/stream.js", 200, "Content-Type", "text/javascript; charset=utf-8"},
		{"/demo/static/favicon.svg", 200, "Content-Type", "image/svg+xml"},
		{"/demo/static/vendor/uplot/LICENSE", 200, "Content-Type", "text/plain; charset=utf-8"},
		{"/demo/static/app.css", 200, "Cache-Control", "no-cache"},
		{"/demo", 301, "Location", "/demo/"},
		{"/demo/clock", 301, "Location", "/demo/clock/"},
		{"/demo/clock?lang=zh", 301, "Location", "/demo/clock/?lang=zh"},
		{"/demo/static/", 404, "Content-Type", "text/plain; charset=utf-8"},
		{"/demo/nowhere", 404, "Content-Type", "text/plain; charset=utf-8"},
		{"/demo/../demo/handler.go", 404, "Content-Type", "text/plain; charset=utf-8"},
		{"/demo/clock/index.html", 404, "Content-Type", "text/plain; charset=utf-8"},
	} {
		resp, _ := get(t, server, test.path)
		if got := resp.Header.Get(test.header); resp.StatusCode != test.status || got != test.want {
			t.Errorf("%s: %d, %s %q; want %d, %q", test.path, resp.StatusCode, test.header, got, test.status, test.want)
		}
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: its type may be sniffed", test.path)
		}
		csp := resp.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'self';") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", test.path, csp)
		}
	}
}

func TestPagesAreRevalidated(t *testing.T) {
	server := httptest.NewServer(Handler())
	defer server.Close()
	first, _ := get(t, server, "/demo/")
	again, body := get(t, server, "/demo/", "If-None-Match", first.Header.Get("ETag"))
	if again.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("with its ETag: %d and %d bytes", again.StatusCode, len(body))
	}
	other, _ := get(t, server, "/demo/clock/", "If-None-Match", first.Header.Get("ETag"))
	if other.StatusCode != http.StatusOK {
		t.Errorf("with another's ETag: %d", other.StatusCode)
	}
}

func TestPagesAreOnlyRead(t *testing.T) {
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/demo/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

// The code beside a demo must be readable without scrolling.
func TestShownCodeFits(t *testing.T) {
	pages, err := fs.Glob(files, "*/index.html")
	if err != nil || len(pages) == 0 {
		t.Fatalf("found %d pages: %v", len(pages), err)
	}
	for _, page := range pages {
		body, err := fs.ReadFile(files, page)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, begins := strings.Cut(string(body), "<pre><code>")
		code, _, ends := strings.Cut(rest, "</code></pre>")
		if !begins || !ends {
			t.Errorf("%s shows no code", page)
		}
		for line := range strings.Lines(html.UnescapeString(code)) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 57 {
				t.Errorf("%s: %d characters: %s", page, n, line)
			}
		}
	}
}

func TestFiles(t *testing.T) { sitetest.Check(t, "/demo/", files) }

func TestIndexListsEveryDemo(t *testing.T) {
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := fs.Glob(files, "*/index.html")
	if err != nil || len(pages) == 0 {
		t.Fatalf("found %d pages: %v", len(pages), err)
	}
	for _, page := range pages {
		dir := path.Dir(page)
		if !strings.Contains(string(index), `class="card" href="/demo/`+dir+`/"`) {
			t.Errorf("the index has no card for %s", dir)
		}
	}
}
