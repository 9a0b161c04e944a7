package main

import (
	"fmt"
	"net/http"
	"sync"
)

// usual is the handler that tutorials teach: a goroutine and a channel for each
// stream, a flush for each event; slow streams miss events.
type usual struct {
	mu     sync.Mutex
	topics map[string]map[chan []byte]struct{}
	id     int
}

func newUsual() *usual { return &usual{topics: make(map[string]map[chan []byte]struct{})} }

func (u *usual) publish(topic string, data []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.id++
	event := fmt.Appendf(nil, "id: %d\ndata: %s\n\n", u.id, data)
	for events := range u.topics[topic] {
		select {
		case events <- event:
		default:
		}
	}
	return nil
}

func (u *usual) subscribe(w http.ResponseWriter, r *http.Request, topic string) {
	events := make(chan []byte, 64)
	u.mu.Lock()
	if u.topics[topic] == nil {
		u.topics[topic] = make(map[chan []byte]struct{})
	}
	u.topics[topic][events] = struct{}{}
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.topics[topic], events)
		if len(u.topics[topic]) == 0 {
			delete(u.topics, topic)
		}
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	flusher := w.(http.Flusher)
	flusher.Flush()
	for {
		select {
		case event := <-events:
			if _, err := w.Write(event); err != nil {
				return
			}
			flusher.Flush()
		case <-r.Context().Done():
			return
		}
	}
}
