package e2e

import (
	"net"
	"net/http"
	"testing"
)

const (
	counted  = `Number(document.querySelector("#number").textContent.replaceAll(",", ""))`
	nonelost = `document.querySelector("#lost").textContent === "0" && document.querySelector("#twice").textContent === "0"`
)

// The page kills its second hub twice, and no number is lost or counted twice.
func TestDemoDashboardPlug(t *testing.T) { onScreens(t, driveDemoDashboardPlug, wall) }

func driveDemoDashboardPlug(t *testing.T, on screen) {
	h := startHub(t, "--demo")
	page := openDemo(t, on, h, "/demo/dashboard/?lang=en")
	page.until(counted + ` > 20`)
	processes := map[string]bool{}
	for kills := 1; kills <= 2; kills++ {
		page.until(`document.querySelector("#life").dataset.up === "true" && !document.querySelector("#pull").disabled`)
		processes[page.text("#life")] = true
		page.click("#pull")
		page.until(`document.querySelector("#life").dataset.up === "false"`)
		before := js[int](page, counted)
		page.until(`document.querySelector("#kills").textContent === String($1)`, kills)
		page.until(counted+` > $1`, before+60) // the numbers of the outage, and more
	}
	if !js[bool](page, nonelost) {
		t.Errorf("lost %s, twice %s", page.text("#lost"), page.text("#twice"))
	}
	// A second count: as many numbers arrived as there are from the first to the last.
	page.until(counted + ` - Number(document.querySelector("#number").dataset.first) + 1 === Number(document.querySelector("#received").textContent.replaceAll(",", ""))`)
	if len(processes) != 2 {
		t.Errorf("processes %v: want two different ones", processes)
	}
	page.driven("dashboard-plug", true)
}

// The page's counter does count lost and repeated numbers. One that always shows
// 0 would pass the test above.
func TestDemoDashboardCounts(t *testing.T) {
	t.Parallel()
	page := openDemo(t, desktop, startHub(t, "--demo"), "/demo/dashboard/")
	for _, c := range []struct {
		numbers, want string // want: received, lost, twice
	}{
		{"5,6,7", "3,0,0"},
		{"5,7,8", "3,1,0"},
		{"5,10", "2,4,0"},
		{"5,6,6,7", "4,0,1"},
		{"5,6,5,6,7", "5,0,2"},
		{"5,6,1,2", "4,0,0"}, // another run
		{"5,6,1,3", "4,1,0"},
	} {
		got := js[string](page, `import("/demo/dashboard/sequence.js").then(({ Sequence }) => {
			const count = new Sequence();
			for (const number of $1.split(",")) count.take(Number(number));
			return [count.received, count.lost, count.twice].join();
		})`, c.numbers)
		if got != c.want {
			t.Errorf("%s: received, lost, twice are %s, want %s", c.numbers, got, c.want)
		}
	}
}

func TestDemoDashboardShowsIt(t *testing.T) { onScreens(t, driveDemoDashboard, wall) }

func driveDemoDashboard(t *testing.T, on screen) {
	h := startHub(t, "--demo")
	h.publish("news", "early news")
	h.publish("chat/lobby", `{"from":"a","name":"Heron","text":"early talk","t":1}`, "type", "say")
	page := openDemo(t, on, h, "/demo/dashboard/")
	page.until(`document.querySelector("#headlines").textContent.includes("early news")`)
	page.until(`document.querySelector("#said").textContent.includes("early talk")`)
	page.changes("#time")
	page.until(`document.querySelectorAll("#movers li").length === 8`)
	page.until(`[...document.querySelectorAll("#meters strong")].every((figure) => /^\d/.test(figure.textContent))`)
	h.publish("llm", `{"id":"q1","prompt":"what is SSE?","t":1}`, "type", "ask")
	page.until(`document.querySelector("#question").textContent === "what is SSE?"`)
	page.until(`document.querySelector("#answer").textContent.includes("I am no language model")`)
	h.publish("host", `{"t":1,"metric":"disk","level":"critical","value":97.5,"threshold":95,"since":1}`, "type", "alarm")
	page.until(`document.querySelector("#alarm").dataset.level === "critical"`)

	if below := js[float64](page, `document.querySelector("#screen").getBoundingClientRect().bottom - innerHeight`); on == wall && below > 1 {
		t.Errorf("on the wall screen, the page ends %v pixels below the screen", below)
	}

	// A wall screen has no user to press Open: the page reconnects by itself after
	// a restart, even after a proxy's 502 has closed its EventSource for good.
	h.kill()
	page.until(stateIs, "connecting")
	ln, err := net.Listen("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })}
	go func() { _ = proxy.Serve(ln) }()
	page.until(stateIs, "closed")
	_ = proxy.Close()
	h.start("--demo")
	page.until(stateIs, "open")
	page.changes("#time")

	// The 502 closed its other stream as well. That one reconnects to a new run of
	// the hub, whose numbers start again.
	page.until(`Number(document.querySelector("#received").textContent) > $1`, js[int](page, `Number(document.querySelector("#received").textContent)`)+20)
	if !js[bool](page, nonelost) {
		t.Errorf("lost %s, twice %s", page.text("#lost"), page.text("#twice"))
	}
	page.driven("dashboard", true)
}

// After an outage of its own stream, the page resumes and no longer reports one.
// While the host sends no figures, every page reports that.
func TestDemoMonitoringOutages(t *testing.T) { onScreens(t, driveDemoMonitoringOutages) }

func driveDemoMonitoringOutages(t *testing.T, on screen) {
	h := startHub(t, "--demo")
	page := openDemo(t, on, h, "/demo/monitoring/")
	page.changes("#cpu-moment")
	page.click("#cut")
	page.until(stateIs, "closed")
	page.until(`document.querySelector("#outage-banner [data-why=cut]")`)
	page.until(stateIs, "open")
	page.until(`!document.querySelector("#outage-banner [data-why]")`)
	page.until(`document.querySelector("#connection .request").textContent.includes("last_event_id=")`)

	second := openDemo(t, on.other(), h, "/demo/monitoring/")
	second.changes("#cpu-moment")
	page.click("#silence")
	page.until(`document.querySelector("#outage-banner [data-why=silence]")`)
	second.until(`document.querySelector("#outage-banner [data-why=unknown]")`)
	page.until(`!document.querySelector("#outage-banner [data-why]")`)
	page.changes("#cpu-moment")
	page.driven("monitoring-outage", false)
	second.driven("monitoring-silence", false)
}
