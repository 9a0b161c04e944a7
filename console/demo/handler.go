package demo

import (
	"embed"
	"net/http"

	"github.com/tidings-sse/tidings/console/site"
)

//go:embed index.html static chat clock dashboard llm monitoring news stocks
var files embed.FS

// Handler serves the pages below /demo/. Mount it without stripping the prefix.
func Handler() http.Handler { return site.New("/demo/", files) }
