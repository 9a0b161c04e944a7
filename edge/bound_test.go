package edge_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidings-sse/tidings/edge"
)

// TestAnswersEndWhenNobodyReads checks that a handler does not wait forever for a
// client that reads nothing, and that a slow client gets the whole answer.
func TestAnswersEndWhenNobodyReads(t *testing.T) {
	const size = 32 << 20
	ended := make(chan error, 1)
	s := httptest.NewServer(edge.Bound(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.WriteString(w, strings.Repeat("x", size))
		ended <- err
	}), 300*time.Millisecond))
	defer s.Close()
	for _, reads := range []bool{false, true} {
		resp, err := http.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if reads {
			if n, err := io.Copy(io.Discard, bufio.NewReader(resp.Body)); n != size || err != nil {
				t.Errorf("%d bytes arrive, %v", n, err)
			}
		}
		select {
		case err := <-ended:
			if (err == nil) != reads {
				t.Errorf("reads %t: the answer ends with %v", reads, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the handler waits for its client")
		}
	}
}

// deadlines is a ResponseWriter that counts how often its write deadline is set.
type deadlines struct {
	*httptest.ResponseRecorder
	set int
}

func (d *deadlines) SetWriteDeadline(time.Time) error {
	d.set++
	return nil
}

// TestSmallAnswersSetOneDeadline checks that an answer of a head and one piece sets its
// write deadline once, and that a slow one renews it.
func TestSmallAnswersSetOneDeadline(t *testing.T) {
	for _, tt := range []struct {
		pause time.Duration
		want  int
	}{{0, 1}, {time.Minute / 32, 3}} {
		synctest.Test(t, func(t *testing.T) {
			w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
			edge.Bound(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for range 3 {
					_, _ = io.WriteString(w, "some")
					time.Sleep(tt.pause)
				}
			}), time.Minute).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			if w.set != tt.want {
				t.Errorf("with pauses of %v the deadline is set %d times, want %d", tt.pause, w.set, tt.want)
			}
		})
	}
}
