package e2e

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestPublishExamples runs each program of examples/publish as its README says.
func TestPublishExamples(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	for name, c := range map[string]struct{ programs, args []string }{
		"curl":   {[]string{"curl"}, []string{"sh", "publish.sh"}},
		"node":   {[]string{"node", "nodejs"}, []string{"", "publish.mjs"}},
		"python": {[]string{"python3"}, []string{"", "publish.py"}},
		"php":    {[]string{"php"}, []string{"", "publish.php"}},
		"go":     {[]string{"go"}, []string{"", "run", "."}},
	} {
		t.Run(name, func(t *testing.T) {
			program := require(t, name, c.programs...)
			publish := func(hub, text string) (string, error) {
				args := append(c.args[1:len(c.args):len(c.args)], text)
				if c.args[0] != "" {
					program = c.args[0]
				}
				cmd := exec.CommandContext(t.Context(), program, args...)
				cmd.Dir = filepath.Join(examples, "publish", name)
				cmd.Env = append(os.Environ(), "HUB="+hub)
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			text := `from ` + name + `: a=b&c "ü" 世界`
			stream := openRaw(t, h.url("/events/news"))
			out, err := publish(h.url(""), text)
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			event := stream.next(t, "data")
			if event["data"] != text || event["event"] != "" {
				t.Errorf("published %v, want %q", event, text)
			}
			if !strings.Contains(out, event["id"]) {
				t.Errorf("the program printed %q, without the id %s", out, event["id"])
			}
			// The program fails if the hub refuses, or is not there.
			for _, hub := range []string{h.url("/nowhere"), "http://" + address(freePort(t))} {
				if out, err := publish(hub, text); err == nil {
					t.Errorf("%s: the program did not fail, and printed %q", hub, out)
				}
			}
		})
	}
}

// TestWebExamples builds the pages of examples/web as their README says, and runs them.
func TestWebExamples(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][][]string{
		"vanilla": nil,
		"react":   {{"install", "--no-audit", "--no-fund"}, {"run", "build"}},
		"vue":     {{"install", "--no-audit", "--no-fund"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(examples, "web", name))); err != nil {
				t.Fatal(err)
			}
			for _, args := range steps {
				cmd := exec.CommandContext(t.Context(), require(t, "npm", "npm"), args...)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("npm %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
			followsNews(t, dir)
			followsSnippet(t, name, dir)
		})
	}
}

// followsNews opens a page of examples/web, and checks that it shows earlier events,
// new ones, and those published while its network is down.
func followsNews(t *testing.T, dir string) {
	h := startHub(t)
	p := startProxy(t, h.addr)
	site := startSite(t)
	site.handleDir("/example/", dir)
	h.publish("news", "before")
	page := openTab(t, site.origin("localhost")+"/example/?hub="+url.QueryEscape(p.url("")))
	const shows = `[...document.querySelectorAll("#events li")].map((row) => row.textContent).join() === $1`
	const state = `document.querySelector("#state")?.textContent === $1`
	page.until(shows, "before")
	page.until(state, "open")
	h.publish("news", "live")
	page.until(shows, "live,before")
	p.refuse()
	p.cut(false)
	page.until(state, "connecting")
	h.publish("news", "meanwhile")
	p.accept()
	page.until(shows, "meanwhile,live,before")
	page.until(state, "open")
	page.noProblems(true)

	// The page closes its stream when the user leaves, and reconnects when the user
	// returns.
	run(page, chromedp.Navigate(site.origin("127.0.0.1")))
	eventually(t, "the page to hang up", func() (bool, string) { return p.open() == 0, "a connection" })
	page.back()
	page.until(shows, "meanwhile,live,before")
	h.publish("news", "after")
	page.until(shows, "after,meanwhile,live,before")
}
