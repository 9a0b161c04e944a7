package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const examples = "../../examples"

// A nodeServer is a running examples/node/server.js.
type nodeServer struct {
	*process
	url   string
	stdin io.Writer
}

func startNode(t *testing.T, port int, origins ...string) *nodeServer {
	t.Helper()
	node := require(t, "Node.js", "node", "nodejs")
	cmd := exec.Command(node, "--require", "./testdata/timers.js", filepath.Join(examples, "node", "server.js"))
	cmd.Env = append(os.Environ(), fmt.Sprint("PORT=", port), "ORIGINS="+strings.Join(origins, ","))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &nodeServer{process: start(t, cmd), url: "http://" + address(port), stdin: stdin}
	eventually(t, "the Node.js server to listen", func() (bool, string) {
		out := s.output.String()
		return strings.Contains(out, fmt.Sprintf("listening on http://localhost:%d", port)), out
	})
	return s
}

// expectTimers waits until the server has the given number of active timers, as
// testdata/timers.js prints it.
func (s *nodeServer) expectTimers(t *testing.T, want int) {
	t.Helper()
	count := regexp.MustCompile(`timers: (\d+);`)
	eventually(t, fmt.Sprint(want, " timers"), func() (bool, string) {
		asked := len(count.FindAllString(s.output.String(), -1))
		if _, err := io.WriteString(s.stdin, "?\n"); err != nil {
			return false, err.Error()
		}
		var answers [][]string
		eventually(t, "an answer", func() (bool, string) {
			answers = count.FindAllStringSubmatch(s.output.String(), -1)
			return len(answers) > asked, ""
		})
		last := answers[len(answers)-1][1]
		return last == fmt.Sprint(want), last
	})
}

func TestNodeExampleAnswers(t *testing.T) {
	t.Parallel()
	const known = "http://known.example"
	s := startNode(t, freePort(t), known, "http://second.example")
	for _, c := range []struct {
		why, method, path, origin string
		status                    int
		allowed                   string
	}{
		{"a page of a listed origin", "GET", "/", known, 200, known},
		{"the other address", "GET", "/test/server-sent-events", "http://second.example", 200, "http://second.example"},
		{"the address, with a query", "GET", "/?a=b", known, 200, known},
		{"no Origin: not a page, or one of the same origin", "GET", "/", "", 200, ""},
		{"a page of an origin that is not listed", "GET", "/", "http://foreign.example", 403, ""},
		{"an origin that only begins like a listed one", "GET", "/", known + ".evil.example", 403, ""},
		{"the origin null", "GET", "/", "null", 403, ""},
		{"an unknown address", "GET", "/events", known, 404, ""},
		{"a target that URL parsers reject", "GET", "//", known, 404, ""},
		{"another method", "POST", "/", known, 405, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", c.why, err)
		}
		_ = resp.Body.Close()
		h := resp.Header
		if got := h.Get("Access-Control-Allow-Origin"); resp.StatusCode != c.status || got != c.allowed {
			t.Errorf("%s: %d with Access-Control-Allow-Origin %q, want %d with %q", c.why, resp.StatusCode, got, c.status, c.allowed)
		}
		if got := h.Get("Access-Control-Allow-Credentials"); (got == "true") != (c.allowed != "") {
			t.Errorf("%s: Access-Control-Allow-Credentials %q", c.why, got)
		}
		if c.status == http.StatusOK && (h.Get("Content-Type") != "text/event-stream" || h.Get("Vary") != "Origin" || !strings.Contains(h.Get("Cache-Control"), "no-cache")) {
			t.Errorf("%s: headers %v", c.why, h)
		}
	}
	s.expectTimers(t, 0) // no request left one behind
}

func TestNodeExampleResumes(t *testing.T) {
	t.Parallel()
	s := startNode(t, freePort(t))
	for _, c := range []struct {
		why   string
		seen  string
		first int64 // how many seconds before now the first event is
	}{
		{"a new client starts now", "", 0},
		{"a client that was away gets what it missed", fmt.Sprint(time.Now().Unix() - 10), 9},
		{"a client gets at most the last minute", "1", 60},
		{"an id that is not a number counts as none", "abc", 0},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", c.seen)
		stream := openRawRequest(t, req)
		now := time.Now().Unix()
		for n := range c.first + 3 {
			got, err := strconv.ParseInt(stream.next(t, "data")["id"], 10, 64)
			// A second or two may have passed meanwhile.
			if want := now - c.first + n; err != nil || got > want || got < want-2 {
				t.Fatalf("%s: event %d is of second %d, want %d", c.why, n, got, want)
			}
			now = got - n + c.first // the following seconds must be complete
		}
	}
}

// startExample serves examples/browser at /browser/.
func startExample(t *testing.T) *site {
	t.Helper()
	s := startSite(t)
	s.handleDir("/browser/", filepath.Join(examples, "browser"))
	return s
}

func TestExamplesInBrowser(t *testing.T) {
	t.Parallel()
	site := startExample(t)
	origin, foreign := site.origin("localhost"), site.origin("127.0.0.1")
	port := freePort(t)
	s := startNode(t, port, origin)
	path := "/browser/?server=" + url.QueryEscape(s.url)
	const stateIs = `document.querySelector("#state").textContent === $1`
	const ids = `[...document.querySelectorAll("#events li")].map((row) => Number(row.dataset.id)).reverse()`

	page := openTab(t, origin+path)
	page.until(stateIs, "open")
	page.until(`document.querySelector("#events [data-type=message]")`)
	page.until(`document.querySelector("#events [data-type=fifth]")`)
	s.expectTimers(t, 1)

	page.click("#close")
	page.until(stateIs, "closed")
	s.expectTimers(t, 0) // the server stopped the timer when the client left
	page.click("#open")
	page.until(stateIs, "open")
	s.expectTimers(t, 1)

	// The seconds while the page was closed are missing. From here on, none may be.
	start := len(js[[]int64](page, ids))
	page.until(ids+`.length > $1`, start)
	s.kill()
	page.until(stateIs, "connecting")
	page.until(`document.querySelector("#problem").textContent.includes("by itself")`)
	s = startNode(t, port, origin)
	page.until(stateIs, "open")
	page.until(`document.querySelector("#problem").textContent === ""`)
	page.until(ids+`.length > $1`, start+3)
	seen := js[[]int64](page, ids)[start:]
	for i, id := range seen[1:] {
		if id != seen[i]+1 {
			t.Errorf("second %d follows second %d", id, seen[i])
		}
	}
	s.expectTimers(t, 1)
	// A page may live on in the back/forward cache after the user leaves it, but it
	// must close its stream.
	run(page, chromedp.Navigate(site.origin("127.0.0.1")))
	s.expectTimers(t, 0)
	page.back()
	page.until(`location.pathname === "/browser/" && ` + call(stateIs, "open"))
	s.expectTimers(t, 1)
	page.noProblems(true)
	page.close()
	s.expectTimers(t, 0)

	stranger := openTab(t, foreign+path)
	stranger.until(stateIs, "closed")
	stranger.until(`document.querySelector("#problem").textContent.includes("refused")`)

	old := openTab(t, "about:blank")
	send(old, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: "delete window.EventSource"})
	run(old, chromedp.Navigate(origin+path))
	old.until(`document.querySelector("#problem").textContent.includes("no EventSource")`)

	old.noProblems(false)
}

// The page of examples/browser works unchanged with the hub's demo.
func TestBrowserExampleWithHub(t *testing.T) {
	t.Parallel()
	site := startExample(t)
	h := startHub(t, "--demo")
	page := openTab(t, site.origin("localhost")+"/browser/?server="+url.QueryEscape(h.url("/")))
	page.until(`document.querySelector("#state").textContent === "open"`)
	page.until(`document.querySelectorAll("#events [data-type=message]").length > 1`)
	page.noProblems(false)
}
