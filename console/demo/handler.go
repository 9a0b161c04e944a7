package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed index.html static chat clock llm monitoring
var files embed.FS

// contentSecurityPolicy allows our own files and streams, and nothing else; its
// default-src is also what keeps inline scripts and styles out.
const contentSecurityPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; object-src 'none'"

// The system's own table of types is not asked: on some it calls a script text/plain.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".md":   "text/markdown; charset=utf-8",
	".svg":  "image/svg+xml",
	"":      "text/plain; charset=utf-8",
}

// A page is a file as it is served.
type page struct {
	body []byte
	typ  string
	etag string
}

// Handler serves the pages below /demo/. It wants the request's full path, so
// mount it without stripping the prefix.
func Handler() http.Handler {
	pages, folders := readPages(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "the demo pages are read with GET", http.StatusMethodNotAllowed)
			return
		}
		p, ok := pages[r.URL.Path]
		switch {
		case ok:
			h.Set("Cache-Control", "no-cache")
			h.Set("Content-Type", p.typ)
			h.Set("ETag", p.etag)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.body))
		case folders[r.URL.Path]:
			to := r.URL.Path + "/"
			if r.URL.RawQuery != "" {
				to += "?" + r.URL.RawQuery
			}
			http.Redirect(w, r, to, http.StatusMovedPermanently)
		default:
			http.Error(w, "no such page; the demos begin at /demo/", http.StatusNotFound)
		}
	})
}

// readPages reads fsys into what is served at each path. A folder with an index.html
// is served at its name with a slash; without the slash it is in folders.
func readPages(fsys fs.FS) (pages map[string]page, folders map[string]bool) {
	pages, folders = map[string]page{}, map[string]bool{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		at := "/demo/" + name
		if dir, ok := strings.CutSuffix(at, "index.html"); ok {
			at = dir
			folders[strings.TrimSuffix(dir, "/")] = true
		}
		sum := sha256.Sum256(body)
		pages[at] = page{
			body: body,
			typ:  contentType(name),
			etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		}
		return nil
	})
	if err != nil {
		panic("demo: embedded files: " + err.Error()) // a fault of the build
	}
	return pages, folders
}

func contentType(name string) string {
	ext := path.Ext(name)
	if t, ok := contentTypes[ext]; ok {
		return t
	}
	return mime.TypeByExtension(ext)
}
