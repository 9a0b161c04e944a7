package demo

import (
	"net/http"
	"time"

	"github.com/tidings-sse/tidings/sse"
)

// DatesPath is the path at which tutorials serve such a stream.
const DatesPath = "/test/server-sent-events"

// Dates streams the date every second, like the server of many tutorials, until the
// client disconnects or leaving is closed.
func Dates(leaving <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sse.Accept(w, r, nil)
		if err != nil {
			return // answered
		}
		defer func() { _ = s.Close() }()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for now := time.Now(); s.Send(sse.Event{Data: now.Format(time.RFC1123)}) == nil; {
			select {
			case now = <-tick.C:
			case <-leaving:
				return
			case <-s.Context().Done():
				return
			}
		}
	})
}

// Root redirects browsers to the demos, and serves the dates to a tutorial's
// new EventSource("http://localhost:3000").
func Root(dates http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if weight, named := sse.Accepted(r, sse.MediaType); named && weight > 0 {
			dates.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Accept")
		http.Redirect(w, r, "/demo/", http.StatusFound)
	})
}
