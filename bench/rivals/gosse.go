package main

import (
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/tmaxmax/go-sse"
)

// goSSE is a server with tmaxmax/go-sse, written as its README shows.
type goSSE struct {
	server *sse.Server
	id     atomic.Int64
}

func newGoSSE() *goSSE {
	return &goSSE{server: &sse.Server{OnSession: func(_ http.ResponseWriter, r *http.Request) ([]string, bool) {
		return []string{r.PathValue("topic")}, true
	}}}
}

func (g *goSSE) publish(topic string, data []byte) error {
	m := &sse.Message{ID: sse.ID(strconv.FormatInt(g.id.Add(1), 10))}
	m.AppendData(string(data))
	return g.server.Publish(m, topic)
}

func (g *goSSE) subscribe(w http.ResponseWriter, r *http.Request, _ string) {
	// The library first flushes with the first event, but the client has to know
	// before that that the stream is open.
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	w.(http.Flusher).Flush()
	g.server.ServeHTTP(w, r)
}
