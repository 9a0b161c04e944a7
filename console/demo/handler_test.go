package demo

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
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
			t.Errorf("%s: may be sniffed", test.path)
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

// source is one of our own embedded files (not a vendored one).
type source struct{ name, text string }

func sources(t *testing.T, ext string) (found []source) {
	t.Helper()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ext || strings.Contains(name, "vendor/") {
			return err
		}
		body, err := fs.ReadFile(files, name)
		found = append(found, source{name, string(body)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestIndexListsEveryDemo(t *testing.T) {
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range sources(t, ".html") {
		dir := path.Dir(page.name)
		if dir != "." && !strings.Contains(string(index), `class="card" href="/demo/`+dir+`/"`) {
			t.Errorf("the index has no card for %s", dir)
		}
	}
}

// What the policy forbids would not show in a test without a browser.
func TestPagesKeepThePolicy(t *testing.T) {
	inline := regexp.MustCompile(`<script>|<style|\sstyle="|\son[a-z]+="|(?:src|href)="(?:https?:)?//`)
	for _, page := range sources(t, ".html") {
		if found := inline.FindString(page.text); found != "" {
			t.Errorf("%s has %q", page.name, found)
		}
	}
}

func TestReferencedFilesExist(t *testing.T) {
	pages, _ := readPages(files)
	link := regexp.MustCompile(`(?:src|href): ?"(/demo/[^"?#]*)"|(?:src|href)="(/demo/[^"?#]*)"`)
	module := regexp.MustCompile(`from "(\.[^"]+)"`)
	for _, s := range append(sources(t, ".html"), sources(t, ".js")...) {
		for _, m := range link.FindAllStringSubmatch(s.text, -1) {
			if _, ok := pages[m[1]+m[2]]; !ok {
				t.Errorf("%s refers to %s", s.name, m[1]+m[2])
			}
		}
		for _, m := range module.FindAllStringSubmatch(s.text, -1) {
			if _, ok := pages["/demo/"+path.Join(path.Dir(s.name), m[1])]; !ok {
				t.Errorf("%s imports %s", s.name, m[1])
			}
		}
	}
}

// Every text of a page has its Chinese.
func TestEveryTextIsTranslated(t *testing.T) {
	used := regexp.MustCompile(`data-i18n(?:-label)?"?[=:] ?"([^"]+)"`)
	var dictionaries strings.Builder
	for _, s := range sources(t, ".js") {
		if strings.HasSuffix(s.name, "text.js") {
			_, zh, ok := strings.Cut(s.text, "\n  zh: {")
			if !ok {
				t.Errorf("%s has no Chinese", s.name)
			}
			dictionaries.WriteString(zh)
		}
	}
	for _, s := range append(sources(t, ".html"), sources(t, ".js")...) {
		for _, m := range used.FindAllStringSubmatch(s.text, -1) {
			key := regexp.MustCompile(`[\s"]` + regexp.QuoteMeta(m[1]) + `"?: "`)
			if !key.MatchString(dictionaries.String()) {
				t.Errorf("%s: %q is not translated", s.name, m[1])
			}
		}
	}
}
