package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/sse"
)

// A program serves a hub beside its own pages. It closes the hub before the server,
// because closing the hub ends the streams.
func Example() {
	log := eventlog.NewMemory(eventlog.Retention{Age: time.Hour})
	h, err := hub.New(log, hub.Options{})
	if err != nil {
		panic(err)
	}
	api := httpapi.New(edge.New(h, edge.Options{}), httpapi.Options{})
	mux := http.NewServeMux()
	mux.Handle("/events/", api)
	server := httptest.NewServer(mux) // or http.ListenAndServe
	defer server.Close()
	defer func() { _, _ = h.Close(), log.Close() }()
	defer api.Close()

	resp, err := http.Post(server.URL+"/events/news", "text/plain", strings.NewReader("hello"))
	if err != nil {
		panic(err)
	}
	_ = resp.Body.Close() // 201: the log has the event
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+"/events/news?last=1", nil)
	if err != nil {
		panic(err)
	}
	for e, err := range new(sse.Client).Events(req) {
		if err != nil {
			panic(err)
		}
		if e.Type == sse.DefaultType {
			fmt.Println(e.Data)
			break
		}
	}
	// Output: hello
}
