package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/sse"
)

// params are the harness's parameters of a stream.
type params struct {
	StreamURL      string
	CallbackURL    string
	InitialDelayMS *int64
	ReadTimeoutMS  *int64
	LastEventID    string
	Headers        map[string]string
	Method         string
	Body           string
}

// A message reports to the harness what a stream has received.
type message struct {
	Kind    string `json:"kind"`
	Event   *event `json:"event,omitempty"`
	Comment string `json:"comment,omitempty"`
	Error   string `json:"error,omitempty"`
}

type event struct {
	Type string `json:"type"`
	Data string `json:"data"`
	ID   string `json:"id"`
}

type stream struct {
	ctx      context.Context
	cancel   context.CancelFunc
	source   *sse.Source
	callback string
	sent     int // how many messages

	mu    sync.Mutex
	types map[string]bool // the event types that are reported
}

func newStream(ctx context.Context, cancel context.CancelFunc, p params) (*stream, error) {
	if p.StreamURL == "" || p.CallbackURL == "" {
		return nil, errors.New("streamUrl and callbackUrl are required")
	}
	req, err := http.NewRequestWithContext(ctx, p.Method, p.StreamURL, strings.NewReader(p.Body))
	if err != nil {
		return nil, err
	}
	for name, value := range p.Headers {
		req.Header.Set(name, value)
	}
	s := &stream{ctx: ctx, cancel: cancel, callback: p.CallbackURL, types: map[string]bool{sse.DefaultType: true}}
	client := &sse.Client{
		LastEventID: p.LastEventID,
		Resend:      true,
		Positions:   true, // because the harness expects exactly what the standard says
		OnError:     func(err error, _ time.Duration) { s.send(message{Kind: "error", Error: err.Error()}) },
		OnComment:   func(text string) { s.send(message{Kind: "comment", Comment: text}) },
	}
	if p.InitialDelayMS != nil {
		client.ReconnectionTime = time.Duration(*p.InitialDelayMS) * time.Millisecond
		if *p.InitialDelayMS == 0 {
			client.ReconnectionTime = -1 // no wait
		}
	}
	if p.ReadTimeoutMS != nil {
		client.IdleTimeout = time.Duration(*p.ReadTimeoutMS) * time.Millisecond
	}
	s.source = client.Source(req)
	return s, nil
}

func (s *stream) run() {
	defer s.cancel()
	for e, err := range s.source.Events() {
		switch {
		case err != nil:
			s.send(message{Kind: "error", Error: err.Error()})
		case s.listens(e.Type):
			s.send(message{Kind: "event", Event: &event{e.Type, e.Data, e.ID}})
		}
	}
}

func (s *stream) close() {
	s.source.Close()
	s.cancel()
}

func (s *stream) listen(eventType string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.types[eventType] = true
}

func (s *stream) listens(eventType string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.types[eventType]
}

// send reports a message to the harness, which orders messages by their numbers.
func (s *stream) send(m message) {
	s.sent++
	body, err := json.Marshal(m)
	if err != nil {
		panic(err) // cannot happen: m holds only strings
	}
	url := fmt.Sprintf("%s/%d", s.callback, s.sent)
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		log.Print(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if s.ctx.Err() == nil {
			log.Print(err)
		}
		return
	}
	resp.Body.Close()
}
