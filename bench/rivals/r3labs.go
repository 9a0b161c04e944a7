package main

import (
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/r3labs/sse/v2"
)

// r3labs is a server with r3labs/sse, written as its README shows, but without the
// replay of everything ever published.
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
	r.URL.RawQuery = "stream=" + topic // the library reads the topic from here
	l.server.ServeHTTP(w, r)
}
