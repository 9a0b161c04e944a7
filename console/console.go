// Package console is the hub's page for people who run it or write against
// it: what is published, who is connected, how the hub does.
//
// # Promises
//
// The page has no private door. It reads the public API with the browser's own
// EventSource and fetch, and may no more than the token that its user signs in
// with; on a hub without keys it asks for none.
//
// It holds a bounded number of events, whatever comes, and draws once a frame.
package console

import (
	"embed"
	"io/fs"
	"net/http"

	"github.com/tidings-sse/tidings/console/site"
)

//go:embed page
var files embed.FS

// Path is where the console is served.
const Path = "/console/"

// Handler serves the console below [Path]. It wants the request's full path.
func Handler() http.Handler { return site.New(Path, pages()) }

func pages() fs.FS {
	pages, err := fs.Sub(files, "page")
	if err != nil {
		panic("console: embedded files: " + err.Error()) // a fault of the build
	}
	return pages
}
