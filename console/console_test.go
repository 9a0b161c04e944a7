package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/console/site/sitetest"
)

func TestFiles(t *testing.T) { sitetest.Check(t, Path, pages()) }

func TestHandler(t *testing.T) {
	for path, status := range map[string]int{
		"/console/":                        http.StatusOK,
		"/console/main.js":                 http.StatusOK,
		"/console/static/app.css":          http.StatusOK,
		"/console":                         http.StatusMovedPermanently,
		"/console/console.go":              http.StatusNotFound,
		"/console/page/index.html":         http.StatusNotFound,
		"/console/static/vendor/nobody.js": http.StatusNotFound,
	} {
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		csp := w.Header().Get("Content-Security-Policy")
		if w.Code != status || !strings.HasPrefix(csp, "default-src 'self';") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %d with the policy %q; want %d", path, w.Code, csp, status)
		}
	}
}
