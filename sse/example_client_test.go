package sse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/sse"
)

func ExampleRead() {
	stream := strings.NewReader("event: price\nid: 7\ndata: 1\ndata: 2\n\n: heartbeat\n\ndata: done\n\n")
	for e, err := range sse.Read(stream) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s %q\n", e.ID, e.Type, e.Data)
	}
	// Output:
	// 7 price "1\n2"
	// 7 message "done"
}

// clock sends one time per connection and then lets the client reconnect, until it
// has sent three.
var clock = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	n := len(r.Header.Get("Last-Event-ID")) + 1
	if n > 3 {
		w.WriteHeader(http.StatusNoContent) // ends the client's loop
		return
	}
	w.Header().Set("Content-Type", sse.MediaType)
	fmt.Fprintf(w, "retry: 100\nid: %s\ndata: %d o'clock\n\n", strings.Repeat("x", n), n)
})

func ExampleClient() {
	srv := httptest.NewServer(clock)
	defer srv.Close()

	client := &sse.Client{
		IdleTimeout: time.Minute,
		Prepare: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+"a fresh token")
			return nil
		},
		OnError: func(err error, next time.Duration) {
			fmt.Printf("%v, again in %v\n", err, next)
		},
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, srv.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range client.Events(req) {
		if errors.Is(err, sse.ErrNoContent) {
			fmt.Println("the server has no more")
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Data)
	}
	// Output:
	// 1 o'clock
	// EOF, again in 100ms
	// 2 o'clock
	// EOF, again in 100ms
	// 3 o'clock
	// EOF, again in 100ms
	// the server has no more
}

// A model's output is the response to one request: its end is no reason to send the
// request again.
func ExampleClient_Once() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", sse.MediaType)
		io.WriteString(w, "data: Hello\n\ndata: , world\n\ndata: [DONE]\n\n")
	}))
	defer srv.Close()

	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, srv.URL, strings.NewReader(`{"stream": true}`))
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range new(sse.Client).Once(req) {
		if err != nil {
			log.Fatal(err)
		}
		if e.Data != "[DONE]" {
			fmt.Print(e.Data)
		}
	}
	// Output: Hello, world
}
