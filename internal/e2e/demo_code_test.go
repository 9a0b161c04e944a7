package e2e

import "testing"

// The code shown beside each demo works when copied into a page of its own.
func TestDemoCodeRuns(t *testing.T) {
	t.Parallel()
	h := startHub(t, "--demo")
	for name, c := range map[string]struct {
		before string // added before the code, which takes it for granted
		after  string
		does   string // an expression that is true once the code works
	}{
		"clock": {does: `logged.some((line) => /^tick \d+, -?\d+ ms old$/.test(line)) && logged.some((line) => /^\d+:\d\d:\d\d/.test(line))`},
		"stocks": {before: `const board = document.body;
			do {
				const topics = await fetch("/topics?topic=stocks/{symbol}").then((answer) => answer.text());
				board.innerHTML = topics.replaceAll(/.*"stocks\/([A-Z]+)".*/g, "<p id=$1></p>");
			} while (board.childElementCount < 24);`,
			does: `[...document.querySelectorAll("p")].every((tile) => /^\d+\.\d\d$/.test(tile.textContent) && /^(up|down)$/.test(tile.className))`},
		"news": {before: `window.shown = []; const show = ({ title }) => shown.push(title);`, does: `shown.includes("It works")`},
		"chat": {before: `const people = window.people = new Map();`, does: `logged.includes("me: hello")`},
		"llm": {before: `const answer = document.body, stopButton = window.stopButton = document.createElement("button"); answer.textContent = "";`,
			does: `document.body.textContent.startsWith("I am no language model.")`},
		"monitoring": {before: `const plot = { push: (t, values) => (window.plotted = values) };`, does: `window.plotted?.length > 1`},
		"dashboard":  {after: `window.count = () => ({ last, lost });`, does: `count().last > 3 && count().lost === 0`},
	} {
		demo := openDemo(t, desktop, h, "/demo/"+name+"/")
		code := demo.text(".code code")
		demo.close()
		page := openTab(t, h.url("/healthz"))
		js[bool](page, `(() => { window.logged = []; console.log = (line) => logged.push(line); return true; })()`)
		js[bool](page, "(async () => {"+c.before+"\n"+code+"\n"+c.after+"\nreturn true; })()")
		page.until(c.does)
		page.noProblems(true) // the page has no icon, which the browser reports
	}
}
