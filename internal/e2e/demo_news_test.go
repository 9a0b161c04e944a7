package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

const headlines = `[...document.querySelectorAll("#items h2")].map((title) => title.textContent)`

func TestDemoNews(t *testing.T) {
	t.Parallel()
	feed := filepath.Join(t.TempDir(), "feed.xml")
	if err := os.WriteFile(feed, []byte(`<?xml version="1.0" encoding="utf-8"?>
		<feed xmlns="http://www.w3.org/2005/Atom"><title>The Atom Gazette</title><entry><id>urn:1</id>
		<title>From a feed</title><link href="https://gazette.example/1"/><updated>2024-01-03T10:00:00Z</updated></entry></feed>`), 0o644); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	args := []string{"--demo", "--demo-feeds", feed, "--store", "disk", "--data", data}
	h := startHub(t, args...)
	one := openDemo(t, h, "/demo/news/")
	one.until(headlines + `.includes("From a feed")`)
	one.until(`document.querySelector("#items a[href='https://gazette.example/1']")`)
	two := openDemo(t, h, "/demo/news/")
	run(one, chromedp.SendKeys("#title", "<i>From</i> the form\r"))
	two.until(headlines + `[0] === "<i>From</i> the form"`)
	h.publish("news", "from a shell")
	h.publish("news", "{}", "type", "item")
	h.publish("news", "no JSON", "type", "item")
	h.publish("news", `{"title":"a bad link","link":"javascript:alert(1)"}`, "type", "item")
	two.until(headlines + `.slice(0, 2).join() === "a bad link,from a shell"`)
	two.until(`document.querySelectorAll("#items a").length === 1`)

	// A restart publishes no feed's item twice, and loses nobody's.
	h.kill()
	h.start(args...)
	one.until(stateIs, "open")
	h.publish("news", "after")
	one.until(headlines + `[0] === "after"`)
	three := openDemo(t, h, "/demo/news/")
	three.until(headlines + `.join() === "after,a bad link,from a shell,<i>From</i> the form,From a feed"`)
	one.until(headlines + `.length === 5`)
	one.noProblems(true)
	three.noProblems(false)
}
