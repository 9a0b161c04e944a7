// Package site serves pages that are part of the binary.
//
// # Promises
//
// Nothing inline runs and nothing foreign loads: the Content Security Policy allows only
// a site's own files and streams. Files are revalidated by their ETags, so the pages of a
// new binary appear at once.
//
// All sites share the files in this package's static/ and serve them below their own
// static/: the stylesheet, languages, plots, code blocks.
package site

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

//go:embed static
var shared embed.FS

// contentSecurityPolicy allows a site's own files and streams, and nothing else. Its
// default-src also excludes inline scripts and styles.
const contentSecurityPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; object-src 'none'"

// The system's table of types is not used for these, because some systems map scripts to text/plain.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".md":   "text/markdown; charset=utf-8",
	".svg":  "image/svg+xml",
	"":      "text/plain; charset=utf-8",
}

// A Site is a folder of pages, served below a path.
type Site struct {
	prefix  string
	pages   map[string]page
	folders map[string]bool
}

// A page is a file in the form in which it is served.
type page struct {
	body []byte
	typ  string
	etag string
}

// New reads the embedded files of own, to be served below prefix, such as /demo/. A
// folder with an index.html is served at the folder's path with a slash.
func New(prefix string, own fs.FS) *Site {
	s := &Site{prefix: prefix, pages: map[string]page{}, folders: map[string]bool{}}
	s.read(shared)
	s.read(own)
	return s
}

// Has reports whether there is a file at a path.
func (s *Site) Has(path string) bool {
	_, ok := s.pages[path]
	return ok
}

// ServeHTTP implements [http.Handler]. Mount the site without stripping the prefix.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "these pages support only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	p, ok := s.pages[r.URL.Path]
	switch {
	case ok:
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Type", p.typ)
		h.Set("ETag", p.etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.body))
	case s.folders[r.URL.Path]:
		to := r.URL.Path + "/"
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		http.Redirect(w, r, to, http.StatusMovedPermanently)
	default:
		http.Error(w, "no such page; these begin at "+s.prefix, http.StatusNotFound)
	}
}

func (s *Site) read(files fs.FS) {
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		at := s.prefix + name
		if dir, ok := strings.CutSuffix(at, "index.html"); ok {
			at = dir
			s.folders[strings.TrimSuffix(dir, "/")] = true
		}
		sum := sha256.Sum256(body)
		s.pages[at] = page{
			body: body,
			typ:  contentType(name),
			etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		}
		return nil
	})
	if err != nil {
		panic("site: embedded files: " + err.Error()) // a fault of the build
	}
}

func contentType(name string) string {
	ext := path.Ext(name)
	if t, ok := contentTypes[ext]; ok {
		return t
	}
	return mime.TypeByExtension(ext)
}
