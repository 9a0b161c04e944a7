package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
)

var capabilities = []string{
	"bom", "comments", "event-type-listeners", "headers", "last-event-id", "post",
	"read-timeout", "report", "restart", "server-directed-shutdown-request",
}

// A service holds the streams that the harness has created.
type service struct {
	http.ServeMux
	ctx     context.Context // every stream ends with it
	running sync.WaitGroup

	mu      sync.Mutex
	streams map[string]*stream
	created int
}

// newService returns a service that calls quit when the harness asks it to exit.
func newService(ctx context.Context, quit func()) *service {
	s := &service{ctx: ctx, streams: make(map[string]*stream)}
	s.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"name": "tidings", "capabilities": capabilities})
	})
	s.HandleFunc("DELETE /{$}", func(http.ResponseWriter, *http.Request) { quit() })
	s.HandleFunc("POST /{$}", s.create)
	s.HandleFunc("POST /streams/{id}", s.command)
	s.HandleFunc("DELETE /streams/{id}", s.remove)
	return s
}

// wait waits until every stream has ended.
func (s *service) wait() { s.running.Wait() }

func (s *service) create(w http.ResponseWriter, r *http.Request) {
	var p params
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	st, err := newStream(ctx, cancel, p)
	if err != nil {
		cancel()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.created++
	id := strconv.Itoa(s.created)
	s.streams[id] = st
	s.mu.Unlock()
	s.running.Go(st.run)
	w.Header().Set("Location", "/streams/"+id)
	w.WriteHeader(http.StatusCreated)
}

func (s *service) command(w http.ResponseWriter, r *http.Request) {
	st := s.stream(r.PathValue("id"))
	if st == nil {
		http.NotFound(w, r)
		return
	}
	var c struct {
		Command string
		Listen  struct{ Type string }
	}
	err := json.NewDecoder(r.Body).Decode(&c)
	switch {
	case err == nil && c.Command == "restart":
		st.source.Reconnect()
	case err == nil && c.Command == "listen":
		st.listen(c.Listen.Type)
	default:
		http.Error(w, "unknown command", http.StatusBadRequest)
	}
}

func (s *service) remove(w http.ResponseWriter, r *http.Request) {
	st := s.stream(r.PathValue("id"))
	if st == nil {
		http.NotFound(w, r)
		return
	}
	st.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, r.PathValue("id"))
}

func (s *service) stream(id string) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[id]
}
