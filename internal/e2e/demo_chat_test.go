package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// say types a message and sends it with Enter.
func (b *tab) say(text string) {
	b.t.Helper()
	run(b, chromedp.SendKeys("#text", text+"\r"))
}

// Expressions that are true of a chat page. A message that is still being sent
// is not heard yet.
const (
	heard      = `[...document.querySelectorAll("#messages li:not(.sending) .text")].some((said) => said.textContent === $1)`
	heardTimes = `[...document.querySelectorAll("#messages li:not(.sending) .text")].filter((said) => said.textContent === $1).length`
	here       = `document.querySelectorAll("#people li").length === $1`
)

func TestDemoChat(t *testing.T) { onScreens(t, driveDemoChat) }

func driveDemoChat(t *testing.T, on screen) {
	h := startHub(t, "--demo")
	one := openDemo(t, on, h, "/demo/chat/")
	one.until(here, 1)
	one.say("is anybody here?")
	one.until(heard, "is anybody here?")

	two := openDemo(t, on.other(), h, "/demo/chat/")
	two.until(heard, "is anybody here?") // history
	two.until(here, 2)
	one.until(here, 2)
	two.typeIn("#name", "Second"+kb.Tab)
	one.until(`document.querySelector("#people").textContent.includes("Second")`)
	run(two, chromedp.SendKeys("#text", "<b>in"))
	one.until(`document.querySelector("#typing").textContent.includes("Second")`)
	two.say(" the other tab</b>")
	one.until(heard, "<b>in the other tab</b>")
	one.until(`!document.querySelector("#typing").textContent.includes("Second")`)
	two.until(heard, "<b>in the other tab</b>")
	if n := js[int](two, heardTimes, "<b>in the other tab</b>"); n != 1 {
		t.Errorf("the sender sees the message %d times, want 1", n)
	}

	// Another room has its own messages and its own people.
	one.click(`#rooms a[href="#kitchen"]`)
	two.until(here, 1)
	one.until(`location.hash === "#kitchen"`)
	one.until(stateIs, "open")
	one.until(here, 1)
	two.say("only in the lobby")
	two.until(heard, "only in the lobby")
	one.say("only in the kitchen")
	one.until(heard, "only in the kitchen")
	if js[bool](two, heard, "only in the kitchen") || js[bool](one, heard, "only in the lobby") {
		t.Error("a message reached another room")
	}
	one.click(`#rooms a[href="#lobby"]`)
	one.until(heard, "only in the lobby")
	one.until(here, 2)

	// A reload does not add a second person; closing the page removes the person.
	run(two, chromedp.Reload())
	two.until(heard, "only in the lobby")
	two.until(here, 2)
	two.until(`document.querySelector("#name").value === "Second"`)
	one.until(here, 2)
	two.driven("chat-two", false)
	run(two, chromedp.Navigate("about:blank"))
	one.until(here, 1)
	one.driven("chat-one", false)
}

// A page that vanishes does not sign off; it stays in the list until the ttl of
// its last sign of life is over.
func TestDemoChatForgetsTheVanished(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--demo")
	page := openDemo(t, desktop, h, "/demo/chat/")
	page.until(here, 1)
	h.publish("chat/lobby/here", `{"from":"gone","name":"Ghost","page":"x","ttl":1}`, "type", "here")
	page.until(`document.querySelector('#people [data-id="gone"]')`)
	page.until(here, 1)
	page.noProblems(false)
}

// A message sent while the hub is down waits in the page and is published once.
func TestDemoChatWaitsForTheHub(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	h := startHub(t, "--demo", "--store", "disk", "--data", data)
	one := openDemo(t, desktop, h, "/demo/chat/")
	one.say("before")
	one.until(heard, "before")
	h.kill()
	one.until(stateIs, "connecting")
	one.say("during")
	one.until(`document.querySelector("#messages .sending .text")?.textContent === "during"`)
	h.start("--demo", "--store", "disk", "--data", data)
	one.until(`!document.querySelector("#messages .sending")`)
	two := openDemo(t, desktop, h, "/demo/chat/")
	two.until(heard, "during")
	for _, said := range []string{"before", "during"} {
		if n := js[int](two, heardTimes, said); n != 1 {
			t.Errorf("%q is shown %d times, want 1", said, n)
		}
	}
	one.noProblems(true)
	two.noProblems(false)
}
