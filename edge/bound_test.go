package edge_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
