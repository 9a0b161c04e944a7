package demo

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-sse/tidings/sse"
)

func TestDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leaving := make(chan struct{})
		w := httptest.NewRecorder()
		begun := time.Now()
		go func() {
			time.Sleep(2500 * time.Millisecond)
			close(leaving)
		}()
		Dates(leaving).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		n := 0
		for e, err := range sse.Read(strings.NewReader(w.Body.String())) {
			date, parseErr := time.Parse(time.RFC1123, e.Data)
			if want := begun.Add(time.Duration(n) * time.Second); err != nil || parseErr != nil || !date.Equal(want) {
				t.Errorf("event %d: %q, %v, %v; want %v", n, e.Data, err, parseErr, want)
			}
			n++
		}
		if n != 3 {
			t.Errorf("%d dates in 2.5 s; want 3, the first at once", n)
		}
	})
}

func TestRoot(t *testing.T) {
	leaving := make(chan struct{})
	close(leaving)
	root := Root(Dates(leaving))
	for accept, want := range map[string]int{"text/event-stream": 200, "text/html": 302, "*/*": 302} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		root.ServeHTTP(w, r)
		if w.Code != want || want == 302 && w.Header().Get("Location") != "/demo/" {
			t.Errorf("Accept: %s: %d %v", accept, w.Code, w.Header())
		}
	}
}
