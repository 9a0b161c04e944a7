package main

import (
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/r3labs/sse/v2"
)

// r3labs is a server of r3labs/sse, as its README has it, without the replay of
// all that has ever been published.
type r3labs struct {
	server *sse.Server
	id     atomic.Int64
}

func newR3labs() *r3labs {
	s := sse.New()
	s.AutoStream = true
	s.AutoReplay = false
	return &r3labs{server: s}
}

func (l *r3labs) publish(topic string, data []byte) error {
	l.server.Publish(topic, &sse.Event{ID: strconv.AppendInt(nil, l.id.Add(1), 10), Data: data})
	return nil
}

func (l *r3labs) subscribe(w http.ResponseWriter, r *http.Request, topic string) {
	r.URL.RawQuery = "stream=" + topic // where it looks for it
	l.server.ServeHTTP(w, r)
}
