// Package console serves the hub's page for operators and developers: published events,
// connected streams, and the hub's state.
//
// # Promises
//
// The page uses the public API only, with the browser's own EventSource and fetch. It may
// do no more than the token with which its user signs in; on a hub without keys it asks
// for none.
//
// It keeps a bounded number of events, however many arrive, and draws at most once per
// frame.
package console

import (
	"embed"
	"io/fs"
	"net/http"

	"github.com/tidings-sse/tidings/console/site"
)

//go:embed page
var files embed.FS

// Path is the path below which the console is served.
const Path = "/console/"

// Handler serves the console below [Path]. Mount it without stripping the prefix.
func Handler() http.Handler { return site.New(Path, pages()) }

func pages() fs.FS {
	pages, err := fs.Sub(files, "page")
	if err != nil {
		panic("console: embedded files: " + err.Error()) // the build is broken
	}
	return pages
}
