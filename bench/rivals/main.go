// Command rivals serves event streams as other Go programs do, for `tidings bench` to
// measure: GET and POST /events/TOPIC, where the body is the event's data.
//
//	go run ./rivals usual 127.0.0.1:7000
//	go run ./rivals usual 127.0.0.1:7000 CERT KEY    # HTTPS, and with it HTTP/2
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
)

// A rival is a way to serve event streams.
type rival interface {
	subscribe(w http.ResponseWriter, r *http.Request, topic string)
	publish(topic string, data []byte) error
}

var rivals = map[string]func() rival{
	"usual":  func() rival { return newUsual() },
	"go-sse": func() rival { return newGoSSE() },
	"r3labs": func() rival { return newR3labs() },
	"sink":   func() rival { return sink{} },
}

func main() {
	if len(os.Args) != 3 && len(os.Args) != 5 || rivals[os.Args[1]] == nil {
		names := slices.Sorted(maps.Keys(rivals))
		fmt.Fprintf(os.Stderr, "usage: rivals %s ADDRESS [CERT KEY]\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	h := handler(rivals[os.Args[1]]())
	if len(os.Args) == 5 {
		log.Fatal(http.ListenAndServeTLS(os.Args[2], os.Args[3], os.Args[4], h))
	}
	log.Fatal(http.ListenAndServe(os.Args[2], h))
}

func handler(rv rival) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events/{topic}", func(w http.ResponseWriter, r *http.Request) {
		rv.subscribe(w, r, r.PathValue("topic"))
	})
	mux.HandleFunc("POST /events/{topic}", func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err == nil {
			err = rv.publish(r.PathValue("topic"), data)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
	})
	return mux
}

// A sink reads and answers each publish, and drops the event. It is the floor for
// publishing to a net/http server.
type sink struct{}

func (sink) publish(string, []byte) error { return nil }

func (sink) subscribe(w http.ResponseWriter, _ *http.Request, _ string) {
	http.Error(w, errors.ErrUnsupported.Error(), http.StatusNotFound)
}
