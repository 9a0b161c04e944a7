// Package frameworks shows one stream under net/http, chi, gin and echo. None needs an
// adapter: package sse works on any http.ResponseWriter that can be flushed, and all of
// these expose theirs.
//
// It is a separate module, so that the library does not depend on the frameworks.
package frameworks

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	echomw "github.com/labstack/echo/v4/middleware"

	"github.com/tidings-sse/tidings/sse"
)

// Count streams numbers, beginning after the client's last event ID.
func Count(w http.ResponseWriter, r *http.Request, numbers <-chan int) {
	stream, err := sse.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer stream.Close()
	seen, _ := strconv.Atoi(stream.LastEventID())
	for {
		select {
		case <-stream.Context().Done(): // the client has disconnected
			return
		case n, ok := <-numbers:
			if !ok {
				return
			}
			if n <= seen {
				continue
			}
			if stream.Send(sse.Event{ID: strconv.Itoa(n), Data: strconv.Itoa(n)}) != nil {
				return
			}
		}
	}
}

// NetHTTP serves with the standard library.
func NetHTTP(numbers <-chan int) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		Count(w, r, numbers)
	})
	return mux
}

// Chi serves with chi and its usual middleware, which wraps the writer.
func Chi(numbers <-chan int) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Recoverer, middleware.Compress(5))
	r.Get("/events", func(w http.ResponseWriter, r *http.Request) {
		Count(w, r, numbers)
	})
	return r
}

// Gin serves with gin.
func Gin(numbers <-chan int) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	r.GET("/events", func(c *gin.Context) {
		Count(c.Writer, c.Request, numbers)
	})
	return r
}

// Echo serves with echo and middleware that compresses, and so buffers. Each event is
// flushed through it nevertheless.
func Echo(numbers <-chan int) http.Handler {
	e := echo.New()
	e.Use(echomw.Recover(), echomw.Gzip())
	e.GET("/events", func(c echo.Context) error {
		Count(c.Response(), c.Request(), numbers)
		return nil
	})
	return e
}
