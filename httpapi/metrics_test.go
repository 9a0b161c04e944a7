package httpapi_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
)

// blockingWaker blocks the pump while it routes an event and holds the hub's lock and a
// feed's.
type blockingWaker struct{ entered, leave chan struct{} }

func (w *blockingWaker) Wake() {
	select {
	case w.entered <- struct{}{}:
		<-w.leave
	case <-w.leave: // it has blocked once already
	}
}

// TestScrapesLeaveThePumpAlone checks that a scrape waits for none of the pump's locks.
// If it took one to visit everything, it would hold up every stream.
func TestScrapesLeaveThePumpAlone(t *testing.T) {
	s := newServer(t, eventlog.Retention{}, edge.Options{})
	st := openOn(t, s.hub, "news")
	if b, err := st.Peek(); err != nil || !st.Advance(len(b)) { // the beginning
		t.Fatal(err)
	}
	w := &blockingWaker{make(chan struct{}), make(chan struct{})}
	st.Cursor().SetWaker(w)
	if b, err := st.Peek(); err != nil || len(b) > 0 { // the next event wakes it
		t.Fatal(len(b), err)
	}
	s.publish(t, "news", "hello")
	<-w.entered
	release := time.AfterFunc(10*time.Second, func() { close(w.leave) })
	defer func() {
		if release.Stop() {
			close(w.leave)
		}
	}()
	for path, want := range map[string]string{
		"/metrics": "tidings_feeds 1\n",
		"/stats":   `"feeds":1`,
		"/healthz": "",
		"/readyz":  "",
	} {
		resp := s.do(t, "GET", path, "")
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s is answered %d, %v, without %q", path, resp.StatusCode, err, want)
		}
	}
	select {
	case <-w.leave:
		t.Error("a scrape waited for the pump")
	default:
	}
}
