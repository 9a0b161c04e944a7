package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// On a hub with keys and --anonymous, a page that has to publish asks for a token,
// and then publishes what has waited for it.
func TestDemosAskForAToken(t *testing.T) { onScreens(t, driveDemosWithKeys) }

func driveDemosWithKeys(t *testing.T, on screen) {
	const key = "a secret of thirty-two bytes or more"
	h := startHub(t, "--demo", "--jwt-key", key, "--anonymous")
	page := openDemo(t, on, h, "/demo/chat/?lang=en")
	page.until(`document.querySelector("#sign-in")?.textContent.includes("tidings token")`)
	page.say("let me in")
	page.until(`document.querySelector("#messages .sending .text")?.textContent === "let me in"`)
	give := func(token string) {
		page.typeIn("#token", token)
		page.click("#sign-in button:not(.quiet)")
	}
	give(mintToken(t, key, "--publish", "elsewhere"))
	page.until(`document.querySelector("#sign-in small")?.textContent.includes("publish")`) // the hub's own words
	page.keep("driven-token-"+on.String(), run(page, chromedp.CaptureScreenshot()))
	token := mintToken(t, key, "--publish", "*")
	give(token)
	page.until(heard, "let me in")
	page.until(here, 1)
	page.until(`!document.querySelector("#sign-in")`)

	// The token stays with the tab. A page without one shows the hub's reason.
	run(page, chromedp.Navigate(h.url("/demo/llm/?lang=en")))
	page.until(stateIs, "open")
	run(page, chromedp.SendKeys("#prompt", "why?\r"))
	page.until(`document.querySelector("#answer").textContent.startsWith("I am no language model.")`)
	js[bool](page, `sessionStorage.clear() ?? true`)
	run(page, chromedp.Reload())
	page.until(stateIs, "open")
	run(page, chromedp.SendKeys("#prompt", "and now?\r"))
	page.click("#token-later")
	page.until(`document.querySelector("#outcome").textContent.startsWith("Failed: ")`)
	page.driven("llm-without-token", true)
}
