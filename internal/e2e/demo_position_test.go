package e2e

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/tidings-sse/tidings/console/demo"
)

// A demo's page remembers the id of a position event and does not show the
// event. The test's own server sends positions at the moments to be tested.
func TestDemoKeepsPositions(t *testing.T) {
	const position = "event: position\ndata: {}\nid: %s\n\n"
	bodies := []string{
		"retry: 100\n" + fmt.Sprintf(position, "_1"),
		"retry: 100\n" + fmt.Sprintf(position, "_2") + "id: _3\nevent: item\ndata: {\"title\":\"one\"}\n\n" + fmt.Sprintf(position, "_9"),
		"retry: 100\nevent: position\ndata: {}\n\n", // as from a hub that drains
		"retry: 100\n" + fmt.Sprintf(position, "_9"),
		"retry: 100\n" + fmt.Sprintf(position, "_9") + "id: _10\nevent: item\ndata: {\"title\":\"two\"}\n\n",
	}
	asked := make(chan string, len(bodies))
	var requests atomic.Int32
	cut := make(chan bool)
	server := startSite(t)
	server.Handle("/demo/", demo.Handler())
	server.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		n := requests.Add(1)
		fmt.Fprint(w, bodies[n-1])
		_ = http.NewResponseController(w).Flush()
		asked <- r.URL.RawQuery + " " + r.Header.Get("Last-Event-ID")
		ended := cut
		if n != 4 {
			ended = nil
		}
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	})
	opened := func(want string) {
		t.Helper()
		if got := <-asked; got != want {
			t.Errorf("the page requests %q, want %q", got, want)
		}
	}
	page := openOn(t, desktop, server.origin("127.0.0.1")+"/demo/news/")
	opened("topic=news&last=20 ")
	page.until(stateIs, "open")
	page.click("#close")
	page.until(stateIs, "closed")
	page.click("#open")
	opened("topic=news&last=20 ") // it has seen nothing yet
	page.until(headlines + `.join() === "one"`)
	page.until(`document.querySelector("#last-id").textContent === "_9" && document.querySelector("#events").textContent === "1"`)
	page.click("#close")
	page.until(stateIs, "closed")
	page.click("#open")
	opened("topic=news&last_event_id=_9 ")
	page.until(stateIs, "open")
	page.click("#close")
	page.until(stateIs, "closed")
	page.click("#open")
	opened("topic=news&last_event_id=_9 ")
	page.until(stateIs, "open")
	close(cut)
	opened("topic=news&last_event_id=_9 _9") // the browser's own reconnection
	page.until(headlines + `.join() === "two,one" && document.querySelector("#events").textContent === "2"`)
	page.noProblems(false)
}
