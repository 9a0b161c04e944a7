package frameworks

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/tidings-sse/tidings/sse"
)

func TestFrameworks(t *testing.T) {
	for name, handler := range map[string]func(<-chan int) http.Handler{
		"net/http": NetHTTP, "chi": Chi, "gin": Gin, "echo": Echo,
	} {
		t.Run(name, func(t *testing.T) {
			numbers := make(chan int)
			srv := httptest.NewServer(handler(numbers))
			defer srv.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			client := sse.Client{HTTPClient: srv.Client(), LastEventID: "2"}
			next := 3
			go func() { numbers <- 1; numbers <- 2; numbers <- 3 }()
			for e, err := range client.Events(req) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Data != strconv.Itoa(next) || e.ID != e.Data {
					t.Fatalf("got %+v, want %d", e, next)
				}
				if next == 6 {
					break
				}
				next++
				numbers <- next // only after the last one has arrived
			}
		})
	}
}
