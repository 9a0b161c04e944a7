package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const headlines = `[...document.querySelectorAll("#items h2")].map((title) => title.textContent)`

func TestDemoNews(t *testing.T) { onScreens(t, driveDemoNews) }

func driveDemoNews(t *testing.T, on screen) {
	feed := filepath.Join(t.TempDir(), "feed.xml")
	if err := os.WriteFile(feed, []byte(`<?xml version="1.0" encoding="utf-8"?>
		<feed xmlns="http://www.w3.org/2005/Atom"><title>The Atom Gazette</title><entry><id>urn:1</id>
		<title>From a feed</title><link href="https://gazette.example/1"/><updated>2024-01-03T10:00:00Z</updated></entry></feed>`), 0o644); err != nil {
		t.Fatal(err)
	}
	server := startSite(t)
	server.HandleFunc("/rss", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/rss+xml")
		fmt.Fprint(w, `<?xml version="1.0"?><rss version="2.0"><channel><title>The RSS Courier</title><item><guid>1</guid>
			<title>From a server</title><link>https://courier.example/1</link><pubDate>Tue, 02 Jan 2024 10:00:00 GMT</pubDate></item></channel></rss>`)
	})
	origin := server.origin("127.0.0.1")
	data := t.TempDir()
	args := []string{"--demo", "--demo-feeds", strings.Join([]string{feed, origin + "/rss", origin + "/nowhere"}, ","), "--store", "disk", "--data", data}
	h := startHub(t, args...)
	one := openDemo(t, on, h, "/demo/news/")
	one.until(headlines + `.includes("From a feed") && ` + headlines + `.includes("From a server")`)
	h.hasLogged("404 Not Found")
	one.until(`document.querySelector("#items a[href='https://gazette.example/1']") && document.querySelector("#items").textContent.includes("The RSS Courier")`)
	two := openDemo(t, on.other(), h, "/demo/news/")
	run(one, chromedp.SendKeys("#title", "<i>From</i> the form\r"))
	two.until(headlines + `[0] === "<i>From</i> the form"`)
	h.publish("news", "from a shell")
	h.publish("news", "{}", "type", "item")
	h.publish("news", "no JSON", "type", "item")
	h.publish("news", `{"title":"a bad link","link":"javascript:alert(1)"}`, "type", "item")
	two.until(headlines + `.slice(0, 2).join() === "a bad link,from a shell"`)
	two.until(`document.querySelectorAll("#items a").length === 2`)

	// A restart neither publishes an item of a feed twice nor loses a headline.
	h.kill()
	h.start(args...)
	one.until(stateIs, "open")
	h.publish("news", "after")
	one.until(headlines + `[0] === "after"`)
	three := openDemo(t, on, h, "/demo/news/")
	three.until(headlines + `.slice(0, 4).join() === "after,a bad link,from a shell,<i>From</i> the form"`)
	three.until(headlines + `.slice(4).sort().join() === "From a feed,From a server"`) // the order of the two feeds is open
	one.until(headlines + `.length === 6`)
	one.driven("news", true)
	three.driven("news-reopened", false)
}
