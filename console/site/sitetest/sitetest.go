// Package sitetest checks a site's files as far as that is possible without a browser.
package sitetest

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/console/site"
)

// source is one of a site's own files, not a vendored one.
type source struct{ name, text string }

// Check checks that a site's own files comply with the policy, that all references
// resolve, and that every text has a Chinese translation.
func Check(t *testing.T, prefix string, own fs.FS) {
	html, scripts := sources(t, own, ".html"), sources(t, own, ".js")
	t.Run("policy", func(t *testing.T) { checkPolicy(t, html) })
	t.Run("references", func(t *testing.T) { checkReferences(t, prefix, site.New(prefix, own), append(html, scripts...)) })
	t.Run("translations", func(t *testing.T) { checkTranslations(t, html, scripts) })
}

func sources(t *testing.T, files fs.FS, ext string) (found []source) {
	t.Helper()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ext || strings.Contains(name, "vendor/") {
			return err
		}
		body, err := fs.ReadFile(files, name)
		found = append(found, source{name, string(body)})
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("found %d files %s: %v", len(found), ext, err)
	}
	return found
}

// Violations of the policy have no effect in a test without a browser, so search for them.
func checkPolicy(t *testing.T, html []source) {
	inline := regexp.MustCompile(`<script>|<style|\sstyle="|\son[a-z]+="|(?:src|href)="(?:https?:)?//`)
	for _, page := range html {
		if found := inline.FindString(page.text); found != "" {
			t.Errorf("%s has %q", page.name, found)
		}
	}
}

func checkReferences(t *testing.T, prefix string, s *site.Site, all []source) {
	link := regexp.MustCompile(`(?:src|href)(?:: ?|=)"(` + regexp.QuoteMeta(prefix) + `[^"?#]*)"`)
	module := regexp.MustCompile(`from "(\.[^"]+)"`)
	for _, from := range all {
		for _, m := range link.FindAllStringSubmatch(from.text, -1) {
			if !s.Has(m[1]) {
				t.Errorf("%s refers to %s", from.name, m[1])
			}
		}
		for _, m := range module.FindAllStringSubmatch(from.text, -1) {
			if !s.Has(prefix + path.Join(path.Dir(from.name), m[1])) {
				t.Errorf("%s imports %s", from.name, m[1])
			}
		}
	}
}

func checkTranslations(t *testing.T, html, scripts []source) {
	used := regexp.MustCompile(`data-i18n(?:-label)?"?[=:] ?"([^"]+)"`)
	var dictionaries strings.Builder
	for _, s := range scripts {
		if strings.HasSuffix(s.name, "text.js") {
			_, zh, ok := strings.Cut(s.text, "\n  zh: {")
			if !ok {
				t.Errorf("%s has no Chinese", s.name)
			}
			dictionaries.WriteString(zh)
		}
	}
	for _, s := range append(html, scripts...) {
		for _, m := range used.FindAllStringSubmatch(s.text, -1) {
			key := regexp.MustCompile(`[\s"]` + regexp.QuoteMeta(m[1]) + `"?: "`)
			if !key.MatchString(dictionaries.String()) {
				t.Errorf("%s: %q is not translated", s.name, m[1])
			}
		}
	}
}
