package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// openConsole opens the console and waits until its tail is live.
func openConsole(t *testing.T, on screen, h *hub, hash string) *tab {
	t.Helper()
	page := openOn(t, on, h.url("/console/?lang=en"+hash))
	page.until(stateIs, "open")
	return page
}

// typeIn replaces a field's text by typing.
func (b *tab) typeIn(selector, text string) {
	b.t.Helper()
	js[bool](b, `(() => { const field = document.querySelector($1); field.focus(); field.select(); return true; })()`, selector)
	run(b, chromedp.SendKeys(selector, text))
	b.until(`document.querySelector($1).value === $2`, selector, strings.TrimSuffix(text, kb.Tab))
}

func (b *tab) signIn(token string) {
	b.t.Helper()
	b.typeIn("#token", token)
	b.click("#sign-in-form button")
}

const rowsShown = `[...document.querySelectorAll("#list .row:not([hidden])")]`

func TestConsoleLeadsToAFirstEvent(t *testing.T) { onScreens(t, driveConsoleFirstEvent) }

func driveConsoleFirstEvent(t *testing.T, on screen) {
	h := startHub(t)
	page := openOn(t, on, h.url("/?"))
	page.until(`location.pathname === "/console/"`)
	page.until(`!document.querySelector("#waiting").hidden`)
	if line := page.text("#waiting-snippets code"); !strings.Contains(line, h.url("/events/hello")) {
		t.Errorf("the line to copy is %q", line)
	}
	for id, says := range map[string]string{
		"curl": "curl -N", "js": "new EventSource", "react": "useEffect", "vue": "onUnmounted", "node": "await fetch", "python": "urlopen", "php": "stream_context_create", "go": "http.Post",
	} {
		page.click("#waiting-snippets-" + id)
		page.until(`document.querySelector("#waiting-snippets-panel").textContent.includes($1)`, says)
		if text := page.text("#waiting-snippets-panel"); !strings.Contains(text, h.url("/events/hello")) {
			t.Errorf("%s: without this hub's address: %s", id, text)
		}
	}
	// Do what the curl line does.
	resp, err := client.Post(h.url("/events/hello"), "application/x-www-form-urlencoded", strings.NewReader("hello from curl"))
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("publish: %v", err)
	}
	_ = resp.Body.Close()
	page.until(rowsShown + `[0]?.textContent.includes("hello from curl") && document.querySelector("#waiting").hidden`)
	page.driven("console-first-event", false)
}

func TestConsoleTail(t *testing.T) { onScreens(t, driveConsoleTail) }

func driveConsoleTail(t *testing.T, on screen) {
	h := startHub(t)
	mine := h.publish("news", "long ago", "id", "an-id-of-mine")
	h.publishNumbers("news", 1, 30)
	h.publish("news", "before")
	page := openConsole(t, on, h, "")
	page.until(rowsShown + `[0]?.textContent.includes("before")`) // what is retained comes first
	h.publish("orders/7", `{"eur":42}`, "type", "price")
	page.until(rowsShown + `[0].querySelector(".type").textContent === "price"`)
	page.until(`document.querySelector("#named-hint").textContent.includes("onmessage")`)

	page.typeIn("#text-filter", `"eur"`) // with quotes, which no id contains
	page.until(rowsShown + `.length === 1`)
	page.typeIn("#text-filter", "nothing has this")
	page.until(`!document.querySelector("#nothing").hidden`)
	page.typeIn("#text-filter", mine) // too old to be in the list
	page.click("#find")
	page.until(`document.querySelector("#inspector-facts").textContent.includes($1)`, mine)
	page.click("#inspector-close")
	page.until(`document.querySelector("#inspector").hidden && document.activeElement.id === "list"`)
	js[bool](page, `(() => { const f = document.querySelector("#text-filter"); f.value = ""; return f.dispatchEvent(new Event("input")); })()`)
	page.typeIn("#selector", "orders/{id}")
	page.until(rowsShown + `.length === 1 && ` + rowsShown + `[0].textContent.includes("orders/7")`)

	page.until(stateIs, "open")
	page.click("#pause")
	h.publish("orders/8", "while paused")
	page.until(`document.querySelector("#newer").textContent.startsWith("1 ")`)
	if n := js[int](page, rowsShown+`.length`); n != 1 {
		t.Errorf("while paused, the list shows %d events, want 1", n)
	}
	page.click("#newer")
	page.until(rowsShown + `[0].textContent.includes("while paused") && document.querySelector("#pause").textContent === "Pause"`)
	page.driven("console-tail", false)
}

func TestConsolePublishes(t *testing.T) { onScreens(t, driveConsolePublishes) }

func driveConsolePublishes(t *testing.T, on screen) {
	h := startHub(t)
	page := openConsole(t, on, h, "#events")
	page.click("#first")
	page.until(`document.querySelector("#waiting").hidden && document.activeElement.id === "list"`)
	page.typeIn("#publish-type", "price")
	page.click("#publish-form button")
	page.until(`document.querySelector("#publish-result").classList.contains("good")`)
	page.until(rowsShown + `[0].querySelector(".type").textContent === "price"`)
	page.typeIn("#publish-type", "gap") // reserved for the hub
	page.click("#publish-form button")
	page.until(`document.querySelector("#publish-result").classList.contains("bad") && document.querySelector("#publish-result").textContent.includes("hub's own")`)
	page.driven("console-publish", true)
}

func TestConsoleInspectsAnEvent(t *testing.T) { onScreens(t, driveConsoleInspector) }

func driveConsoleInspector(t *testing.T, on screen) {
	h := startHub(t)
	h.publish("news", "before")
	other := openConsole(t, on.other(), h, "")
	other.typeIn("#selector", "elsewhere")
	other.until(`document.querySelector("#nothing").textContent.includes("elsewhere")`)
	other.until(stateIs, "open")
	page := openConsole(t, on, h, "") // the tab in front gets the keys
	id := h.publish("news", `{"a":[1,2]}`, "type", "update")
	page.until(rowsShown + `[0]?.textContent.includes("update")`)
	js[bool](page, `document.querySelector("#list").focus() ?? true`)
	run(page, chromedp.SendKeys("#list", kb.ArrowDown))
	page.until(`!document.querySelector("#inspector").hidden`)
	facts := page.text("#inspector-facts")
	for _, says := range []string{id, "update", "news", "11 B"} {
		if !strings.Contains(facts, says) {
			t.Errorf("the facts have no %q: %s", says, facts)
		}
	}
	if data := page.text("#inspector-data"); !strings.Contains(data, "\"a\": [\n") {
		t.Errorf("the data is not laid out: %s", data)
	}
	page.until(`document.querySelector(".outcome.delivered b")?.textContent === "1"`)
	page.until(`document.querySelector(".outcome.not_subscribed b")?.textContent === "1"`)
	page.until(`document.querySelector("#inspector-hear").textContent.includes('addEventListener("update"')`)
	run(page, chromedp.SendKeys("#list", kb.Escape))
	page.until(`document.querySelector("#inspector").hidden`)
	page.driven("console-inspector", false)
}

// The keyboard alone leads to a first event, to its details and to another page.
func TestConsoleByKeyboard(t *testing.T) {
	t.Parallel()
	page := openConsole(t, desktop, startHub(t), "")
	page.until(`!document.querySelector("#waiting").hidden`)
	press := func(keys string, options ...chromedp.KeyOption) {
		t.Helper()
		run(page, chromedp.KeyEvent(keys, options...))
	}
	tabTo := func(selector string) {
		t.Helper()
		for range 50 {
			if js[bool](page, `document.activeElement.matches($1)`, selector) {
				return
			}
			press(kb.Tab)
		}
		t.Fatalf("Tab does not lead to %s", selector)
	}
	tabTo("#first")
	press(kb.Enter)
	page.until(`document.activeElement.id === "list" && ` + rowsShown + `.length === 1`)
	press(kb.ArrowDown)
	page.until(`document.querySelector(".outcome.delivered")`)
	press(kb.Escape)
	page.until(`document.querySelector("#inspector").hidden && document.activeElement.id === "list"`)
	press(" ") // pause
	page.until(`document.querySelector("#pause").getAttribute("aria-pressed") === "true"`)
	tabTo("#publish-type")
	press("typed")
	press(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierCtrl))
	page.until(`document.querySelector("#newer").textContent.startsWith("1 ")`)
	tabTo("#newer")
	press(kb.Enter)
	page.until(rowsShown + `[0].querySelector(".type").textContent === "typed" && document.activeElement.id === "list"`)
	tabTo(`#tabs a[href="#topics"]`)
	press(kb.Enter)
	page.until(`document.querySelector('#topics-table tr[data-key="hello"]')?.textContent.includes("2")`)
	page.driven("console-keyboard", false)
}

// The console shows which streams did not get an event and why: because the
// event is private, or because the stream is slow.
func TestConsoleShowsWhyNot(t *testing.T) { onScreens(t, driveConsoleWhyNot) }

func driveConsoleWhyNot(t *testing.T, on screen) {
	const key = "a secret of thirty-two bytes or more"
	h := startHub(t, "--jwt-key", key, "--anonymous", "--write-timeout", "10m")
	h.token = mintToken(t, key, "--admin", "--publish", "*", "--subscribe", "*")
	h.publish("news", "before")
	page := openOn(t, on, h.url("/console/?lang=en"))
	page.until(`!document.querySelector("#view-sign-in").hidden`)
	page.signIn(h.token)
	page.until(stateIs, "open")
	const outcome = `document.querySelector(".outcome." + $1)?.open && document.querySelector(".outcome." + $1).textContent.startsWith($2)`

	anybody := openRaw(t, h.url("/events/news"))
	anybody.next(t, "id") // its position
	page.typeIn("#publish-topic", "news")
	page.click("#publish-private")
	page.click("#publish-form button")
	page.until(rowsShown + `.length === 2`)
	page.click("#list .row:not([hidden])")
	page.until(outcome, "no_grant", "1 may not see it")
	page.until(outcome, "delivered", "1 got it")
	h.publish("news", "for all")
	if event := anybody.next(t, "data"); event["data"] != "for all" {
		t.Errorf("a stream without a token got %v, want the public event", event)
	}
	page.click("#inspector-close")

	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	slow := subscribeOn(t, conn, h, "big")
	for n := range 12 { // more than the sockets' buffers hold
		h.publish("big", strings.Repeat("x", 900<<10)+fmt.Sprint(n))
	}
	page.typeIn("#selector", "big")
	page.until(`document.querySelector("#tail-count").textContent === "12 events"`)
	page.click("#list .row:not([hidden])")
	page.until(outcome, "lagging", "1 not there yet")
	page.keep(fmt.Sprintf("driven-console-lagging-%s", on), run(page, chromedp.CaptureScreenshot()))
	for line := ""; !strings.HasSuffix(line, "x11\n"); { // now it reads
		if line, err = slow.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	page.click("#inspector-close")
	page.click("#list .row:not([hidden])")
	page.until(outcome, "delivered", "2 got it")
	page.driven("console-why-not", true)
}

func TestConsoleShowsFigures(t *testing.T) { onScreens(t, driveConsoleFigures) }

func driveConsoleFigures(t *testing.T, on screen) {
	h := startHub(t)
	page := openConsole(t, on, h, "#overview")
	// Latency covers the events delivered between two requests for /stats, so
	// the first must come before the events.
	page.until(`/\d/.test(document.querySelector("#plot-streams .figure").textContent)`)
	h.publishNumbers("news", 1, 20)
	for _, id := range []string{"streams", "published", "delivered", "latency", "lag", "out", "memory", "log"} {
		page.until(`/\d/.test(document.querySelector($1).textContent)`, "#plot-"+id+" .figure")
		page.until(plotIsDrawn, "#plot-"+id+" canvas")
	}
	gone := openConsole(t, on.other(), h, "")
	gone.close()
	page.until(`document.querySelector("#reasons .client_gone b")?.textContent === "1"`)
	page.click(`#tabs a[href="#topics"]`)
	page.until(`document.querySelector('#topics-table tr[data-key="news"]')?.textContent.includes("20")`)
	page.click(`#topics-table tr[data-key="news"] button:last-child`)
	page.until(`location.hash === "#streams" && document.querySelectorAll("#streams-table tbody tr").length === 1`)
	page.click(`#tabs a[href="#topics"]`)
	page.click(`#topics-table tr[data-key="news"] button`)
	page.until(`location.hash === "#events" && document.querySelector("#selector").value === "news"`)
	page.until(`document.querySelector("#tail-count").textContent === "20 events" && ` + rowsShown + `.length >= 10`)
	page.driven("console-figures", false)
}

// 40,000 events, published as fast as the hub takes them, neither freeze the
// console nor make its list grow.
func TestConsoleUnderLoad(t *testing.T) { onScreens(t, driveConsoleUnderLoad) }

func driveConsoleUnderLoad(t *testing.T, on screen) {
	h := startHub(t)
	page := openConsole(t, on, h, "")
	js[bool](page, `(() => {
		window.longest = 0; // task, in ms
		new PerformanceObserver((list) => {
			for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
		}).observe({ type: "longtask" });
		return true;
	})()`)
	const batches, each = 40, 1000
	began := time.Now()
	for n := range batches {
		var body strings.Builder
		for i := range each {
			fmt.Fprintf(&body, `{"topic":"load","type":"tick","data":{"n":%d,"pad":"%s"}}`+"\n", n*each+i, strings.Repeat("x", 80))
		}
		resp, err := client.Post(h.url("/events"), "application/x-ndjson", strings.NewReader(body.String()))
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("publish: %v", err)
		}
		_ = resp.Body.Close()
	}
	page.until(`document.querySelector("#tail-count").textContent === "40,000 events"`)
	rate := batches * each / time.Since(began).Seconds()
	page.until(rowsShown + `[0].textContent.includes('"n":39999')`)
	if rows := js[int](page, `document.querySelectorAll("#list .row").length`); rows > 100 {
		t.Errorf("the list has %d rows", rows)
	}
	page.typeIn("#text-filter", `"n":39990`)
	page.until(rowsShown + `.length === 1`)
	t.Logf("at %.0f events a second, the longest task took %.0f ms", rate, js[float64](page, `window.longest`))
	page.driven("console-load", false)
}

func TestConsoleKicks(t *testing.T) { onScreens(t, driveConsoleKicks) }

func driveConsoleKicks(t *testing.T, on screen) {
	h := startHub(t)
	h.publish("news", "before")
	openOn(t, on.other(), h.url("/console/?lang=en")).until(stateIs, "open")
	page := openConsole(t, on, h, "#streams")
	page.until(`document.querySelectorAll("#streams-table tbody tr").length === 2`)
	page.click("#streams-table tbody tr:first-child button")
	page.click("#streams-table tbody tr:first-child button.danger") // confirm
	page.click(`#tabs a[href="#overview"]`)
	page.until(`document.querySelector("#reasons .kicked b")?.textContent === "1"`)
	page.click(`#tabs a[href="#streams"]`)
	page.until(`document.querySelectorAll("#streams-table tbody tr").length === 2`) // the kicked stream has reconnected
	page.driven("console-kick", true)
}

func TestConsoleWithKeys(t *testing.T) { onScreens(t, driveConsoleWithKeys) }

func driveConsoleWithKeys(t *testing.T, on screen) {
	const key = "a secret of thirty-two bytes or more"
	h := startHub(t, "--jwt-key", key)
	page := openOn(t, on, h.url("/console/?lang=en"))
	page.until(`!document.querySelector("#view-sign-in").hidden`)
	page.signIn("not.a.token")
	page.until(`document.querySelector("#sign-in-problem").textContent !== "" && !document.querySelector("#view-sign-in").hidden`)
	page.signIn(mintToken(t, key, "--admin", "--subject", "ann", "--publish", "*", "--subscribe", "*"))
	page.until(stateIs, "open")
	page.click("#first")
	page.until(rowsShown + `.length === 1`)
	run(page, chromedp.Reload())
	page.until(rowsShown + `.length === 1`) // the token stays with the tab

	// A restarted hub has no tickets; the page asks for a new one.
	h.kill()
	h.start("--jwt-key", key)
	page.until(stateIs, "closed")
	page.until(stateIs, "open")
	page.click(`#tabs a[href="#streams"]`)
	page.until(`[...document.querySelectorAll("#streams-table tbody tr")].some((row) => row.textContent.includes("ann"))`)
	page.click("#sign-out")
	page.until(`!document.querySelector("#view-sign-in").hidden`)
	page.driven("console-keys", true)
}

// A user who is not an operator sees events; the other views say which claim
// they need.
func TestConsoleWithoutAdmin(t *testing.T) { onScreens(t, driveConsoleWithoutAdmin) }

func driveConsoleWithoutAdmin(t *testing.T, on screen) {
	const key = "a secret of thirty-two bytes or more"
	h := startHub(t, "--jwt-key", key)
	page := openOn(t, on, h.url("/console/?lang=en"))
	page.until(`!document.querySelector("#view-sign-in").hidden`)
	page.signIn(mintToken(t, key, "--publish", "*", "--subscribe", "*"))
	page.until(stateIs, "open")
	page.click("#publish-form button")
	page.until(rowsShown + `.length === 1`)
	page.click("#list .row:not([hidden])")
	page.until(`document.querySelector("#inspector-who").textContent.includes("tidings.admin")`)
	for _, view := range []string{"overview", "streams"} {
		page.click(`#tabs a[href="#` + view + `"]`)
		page.until(`document.querySelector("#view-` + view + ` .trouble")?.textContent.includes("tidings.admin")`)
	}
	page.driven("console-no-admin", true)
}

// TestConsoleScreenshots saves each view on each screen, in both colour schemes
// and languages, for people to look at.
func TestConsoleScreenshots(t *testing.T) {
	t.Parallel()
	empty := startHub(t)
	page := openConsole(t, desktop, empty, "")
	page.until(`!document.querySelector("#waiting").hidden`)
	shoot(page, "console-waiting")
	page.noProblems(false)

	h := startHub(t, "--demo")
	page = openConsole(t, desktop, h, "")
	for i := range 30 {
		h.publish(fmt.Sprintf("https://shop.example/orders/%d", i%7), fmt.Sprintf(`{"order":%d,"total":{"eur":%d.50},"items":["lamp","chair"]}`, i, 20+i*3), "type", []string{"created", "paid", "message"}[i%3])
	}
	for view, ready := range map[string]string{
		"events":   rowsShown + `.length > 8`,
		"overview": call(plotIsDrawn, "#plot-published canvas"),
		"topics":   `document.querySelectorAll("#topics-table tbody tr").length > 5`,
		"streams":  `document.querySelectorAll("#streams-table tbody tr").length > 0`,
		"connect":  `document.querySelector("#connect-snippets code")`,
	} {
		js[bool](page, `(location.hash = $1, true)`, "#"+view)
		page.until(ready)
		shoot(page, "console-"+view)
	}
	js[bool](page, `(location.hash = "#events", true)`)
	js[bool](page, `(() => { const f = document.querySelector("#text-filter"); f.value = "order"; return f.dispatchEvent(new Event("input")); })()`)
	page.click("#list .row:nth-child(2)")
	page.until(`document.querySelector(".outcome.delivered")`)
	shoot(page, "console-inspector")
	page.noProblems(false)

	keyed := startHub(t, "--jwt-key", "a secret of thirty-two bytes or more")
	page = openTab(t, keyed.url("/console/?lang=en"))
	page.until(`!document.querySelector("#view-sign-in").hidden`)
	shoot(page, "console-sign-in")
	page.noProblems(true) // the browser reports the 401 as a failed request
}
