package e2e

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const stateIs = `document.querySelector("#state")?.dataset.state === $1`

// demoPages are the pages below /demo/, each with an expression that is true
// once the page shows something.
var demoPages = map[string]string{
	"":            `/^\d/.test(document.querySelector("#preview-cpu").textContent)`,
	"clock/":      `document.querySelectorAll("#log li").length > 3`,
	"stocks/":     `document.querySelectorAll("#board .tile").length > 20 && document.querySelector("#board polyline[points]")`,
	"news/":       `document.querySelector("#items li")`,
	"chat/":       `document.querySelector("#people li") && document.querySelector("#messages li")`,
	"dashboard/":  counted + ` > 20`,
	"llm/":        `document.querySelector("#answer").textContent.length > 200`,
	"monitoring/": call(plotIsDrawn, "#network-plot canvas"),
}

// openDemo opens a demo's page and waits until its stream is open.
func openDemo(t *testing.T, on screen, h *hub, path string) *tab {
	t.Helper()
	page := openOn(t, on, h.url(path))
	page.until(stateIs, "open")
	return page
}

// changes waits until each element's text has changed.
func (b *tab) changes(selectors ...string) {
	b.t.Helper()
	for _, s := range selectors {
		b.until(`document.querySelector($1).textContent !== $2`, s, b.text(s))
	}
}

func TestDemoIndex(t *testing.T) { onScreens(t, driveDemoIndex) }

func driveDemoIndex(t *testing.T, on screen) {
	h := startHub(t, "--demo")
	for name := range demoPages {
		card := "/demo/" + name
		if name == "" {
			continue
		}
		page := openDemo(t, on, h, "/")
		if path := js[string](page, `location.pathname`); path != "/demo/" {
			t.Errorf("/ leads to %s", path)
		}
		page.changes("#preview-time")
		page.until(`/^\d/.test(document.querySelector("#preview-cpu").textContent)`)
		page.click(`a.card[href^="` + card + `"]`)
		page.until(`location.pathname === $1`, card)
		page.until(stateIs, "open")
		// Going back, the browser may show the page as the user left it.
		page.back()
		page.until(`location.pathname === "/demo/"`)
		page.until(stateIs, "open")
		page.changes("#preview-time")
		page.driven("index", false)
	}
}

func TestDemoClock(t *testing.T) { onScreens(t, driveDemoClock) }

func driveDemoClock(t *testing.T, on screen) {
	h := startHub(t, "--demo")
	page := openDemo(t, on, h, "/demo/clock/")
	page.changes("#message", "#tick", "#events", "#last-id")
	page.until(`!isNaN(new Date(document.querySelector("#message").textContent))`)
	page.until(`JSON.parse(document.querySelector("#tick").textContent).n > 1`)
	page.until(`document.querySelectorAll("#log .unnamed").length > 1 && document.querySelectorAll("#log .named").length > 1`)
	page.until(`/^\d+ ms/.test(document.querySelector("#delay").textContent)`)

	page.click("#close")
	page.until(stateIs, "closed")
	before := page.text("#events")
	ticks := openRaw(t, h.url("/events/clock"))
	for range 4 { // the events of two seconds, which the page must not get
		ticks.next(t, "data")
	}
	if after := page.text("#events"); after != before {
		t.Errorf("a closed page went from %s events to %s", before, after)
	}
	page.click("#open")
	page.until(stateIs, "open")
	page.changes("#message", "#tick", "#events")
	if n := page.text("#reconnects"); n != "0" {
		t.Errorf("after Open, the page counts %s reconnections, want 0", n)
	}
	page.driven("clock", false)
}

func TestDemoMonitoring(t *testing.T) { onScreens(t, driveDemoMonitoring) }

func driveDemoMonitoring(t *testing.T, on screen) {
	h := startHub(t, "--demo")
	page := openDemo(t, on, h, "/demo/monitoring/")
	for _, metric := range []string{"cpu", "memory", "disk", "network"} {
		page.until(`/^\d/.test(document.querySelector($1)?.textContent)`, "#"+metric+"-value")
		page.until(plotIsDrawn, "#"+metric+"-plot canvas")
		page.changes("#" + metric + "-moment")
	}
	// On a busy or idle machine one figure may stay the same, but not all of them.
	const figures = `[...document.querySelectorAll(".readouts")].map((list) => list.textContent).join()`
	page.until(figures+` !== $1`, js[string](page, figures))

	// The test cannot cause a real alarm, so it publishes one as the host does.
	alarm := func(level string) {
		h.publish("host", `{"t":1,"metric":"disk","level":"`+level+`","value":97.5,"threshold":95,"since":1}`, "type", "alarm")
	}
	alarm("critical")
	page.until(`document.querySelector('#alarms [data-metric=disk][data-level=critical]')?.textContent.includes("97.5")`)
	page.until(`document.querySelector('#alarm-banner [data-metric=disk]')?.textContent.includes("97.5")`)
	alarm("ok")
	page.until(`document.querySelector('#alarms [data-metric=disk][data-level=ok]')`)
	page.until(`!document.querySelector('#alarm-banner [data-metric=disk]')`)

	// A new page starts with the last two minutes.
	second := openDemo(t, on.other(), h, "/demo/monitoring/")
	second.until(`document.querySelector('#alarms [data-metric=disk][data-level=ok]')`)
	second.driven("monitoring-second", false)
	page.driven("monitoring", false)
}

// plotIsDrawn looks on a canvas for the colour of the first or the third series,
// which neither axes nor marks use. Either line may hide the other.
const plotIsDrawn = `(() => {
	const canvas = document.querySelector($1);
	if (!canvas?.width) return false;
	const blank = (width, height) => {
		const c = Object.assign(document.createElement("canvas"), { width, height });
		return c.getContext("2d", { willReadFrequently: true }); // else Chromium logs a warning
	};
	const copy = blank(canvas.width, canvas.height);
	copy.drawImage(canvas, 0, 0);
	const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
	const colour = (name) => {
		const sample = blank(1, 1);
		sample.fillStyle = getComputedStyle(canvas).getPropertyValue(name);
		sample.fillRect(0, 0, 1, 1);
		return sample.getImageData(0, 0, 1, 1).data;
	};
	const count = ([r, g, b]) => {
		let n = 0;
		for (let i = 0; i < data.length; i += 4) {
			if (data[i + 3] > 250 && Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 20) n++;
		}
		return n;
	};
	return count(colour("--series-1")) + count(colour("--series-3")) >= 3;
})()`

func TestDemosRecover(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--demo")
	clock := openDemo(t, desktop, h, "/demo/clock/")
	monitoring := openDemo(t, desktop, h, "/demo/monitoring/")
	clock.changes("#message")
	monitoring.changes("#cpu-moment")
	h.kill()
	clock.until(stateIs, "connecting")
	monitoring.until(stateIs, "connecting")
	clock.until(`document.querySelector("#notices [data-about=state]")`)
	h.start("--demo")
	for _, page := range []*tab{clock, monitoring} {
		page.until(stateIs, "open")
		page.until(`document.querySelector("#reconnects").textContent === "1"`)
		page.until(`document.querySelector("#gap")?.dataset.reason === "epoch"`)
		page.until(`!document.querySelector("#notices [data-about=state]")`)
	}
	clock.changes("#message", "#tick")
	monitoring.changes("#cpu-moment", "#network-moment")
	clock.noProblems(true)
	monitoring.noProblems(true)
}

// A demo page closes its stream when the user leaves it. The page may live on in
// the back/forward cache; if its stream did, too, a few pages would use up the six
// connections that a browser opens to an HTTP/1.1 server, and the next page would
// not load.
func TestLeftDemosHangUp(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--demo")
	p := startProxy(t, h.addr)
	page := openTab(t, p.url("/demo/"))
	for range 4 {
		for _, path := range []string{"/demo/clock/", "/demo/monitoring/"} {
			js[bool](page, `document.querySelector($1).click() ?? true`, `nav a[href^="`+path+`"]`)
			page.until(`location.pathname === $1`, path)
			page.until(stateIs, "open")
		}
	}
	page.back()
	page.until(`location.pathname === "/demo/clock/"`)
	page.until(stateIs, "open")
	page.changes("#message")
}

func TestDemoLanguages(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--demo")
	for name := range demoPages {
		path := "/demo/" + name
		page := openDemo(t, desktop, h, path+"?lang=en")
		english := page.text("h1")
		page.click("#lang")
		page.until(`document.documentElement.lang === "zh-CN"`)
		if chinese := page.text("h1"); chinese == english || !strings.ContainsFunc(chinese, func(r rune) bool { return r >= 0x4e00 && r <= 0x9fff }) {
			t.Errorf("%s: the Chinese heading is %q", path, chinese)
		}
		run(page, chromedp.Reload())
		page.until(`document.documentElement.lang === "zh-CN"`) // it is remembered
		page.click("#lang")
		page.until(`document.documentElement.lang === "en"`)
		if back := page.text("h1"); back != english {
			t.Errorf("%s: the English heading was %q, now %q", path, english, back)
		}
		page.noProblems(false)
	}
}

func TestDemosWithoutEventSource(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--demo")
	for name := range demoPages {
		path := "/demo/" + name
		page := openTab(t, "about:blank")
		send(page, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: "delete window.EventSource"})
		run(page, chromedp.Navigate(h.url(path)))
		page.until(`document.querySelector("#unsupported")?.textContent.includes("EventSource")`)
		page.noProblems(false)
	}
}

// TestDemoScreenshots saves each page on each screen, in both colour schemes and
// languages, for people to look at. It checks only what a program can check.
func TestDemoScreenshots(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--demo")
	h.publish("news", "The tide is coming in, and nothing of it is lost on the way")
	h.publish("news", `{"title":"A reader publishes","summary":"With curl, from a train, in a tunnel.","source":"Anybody","link":"https://reader.example/"}`, "type", "item")
	for name, text := range map[string]string{"Heron 12": "The hub has been up all night, and nothing is missing.", "水獭 40": "中文也没有问题，一条都没有丢。"} {
		h.publish("chat/lobby", fmt.Sprintf(`{"from":%q,"name":%q,"text":%q,"t":%d}`, name, name, text, time.Now().UnixMilli()), "type", "say")
	}
	h.publish("llm", `{"id":"q1","prompt":"Why does a reload not lose a word?","t":1}`, "type", "ask")
	for name, ready := range demoPages {
		page := openDemo(t, desktop, h, "/demo/"+name+"?lang=en")
		name = strings.TrimSuffix(cmp.Or(name, "index/"), "/")
		page.until(ready)
		if name == "dashboard" {
			shoot(page, name, wall)
		} else {
			shoot(page, name)
		}
		page.noProblems(false)
	}
}
