package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDemoStocks(t *testing.T) { onScreens(t, driveDemoStocks) }

func driveDemoStocks(t *testing.T, on screen) {
	h := startHub(t, "--demo")
	const prices = `[...document.querySelectorAll("#board .price")].map((price) => price.textContent)`
	page := openDemo(t, on, h, "/demo/stocks/?lang=en")
	page.until(`document.querySelectorAll("#board .tile").length === 24 && document.querySelectorAll("#board .sector").length === 6`)
	page.until(prices + `.every((price) => /^\d+\.\d\d$/.test(price))`)
	page.until(prices+`.join() !== $1`, js[string](page, prices+`.join()`))
	page.until(`/^[+−±]\d/.test(document.querySelector("#index").textContent)`)
	page.until(`document.querySelector("#source").textContent.startsWith("Simulated")`)
	page.until(`document.querySelector("#board polyline").getAttribute("points").split(" ").length > 1`)
	page.click(`#order [value=change]`)
	page.until(`!document.querySelector("#board .sector")`)

	// On arrival, the page has the last price of each symbol, even if an event of
	// another type came after it.
	h.publish("stocks/LAST", `{"t":1,"symbol":"LAST","price":7.5,"open":5,"source":"simulated"}`, "type", "price")
	h.publish("stocks/LAST", `no price`, "type", "price-less")
	second := openDemo(t, on.other(), h, "/demo/stocks/")
	second.until(`document.querySelector('#board [data-symbol=LAST] .change').textContent.startsWith("+50.00")`)
	page.driven("stocks", false)
	second.driven("stocks-second", false)
}

func TestDemoStocksReplay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "series.csv")
	if err := os.WriteFile(file, []byte("Date,Symbol,Close\n2024-01-02,ONE,10\n2024-01-02,TWO,20\n2024-01-03,ONE,11\n2024-01-03,TWO,19\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := startHub(t, "--demo", "--demo-prices", file)
	page := openDemo(t, desktop, h, "/demo/stocks/?lang=en")
	page.until(`document.querySelectorAll("#board .tile").length === 2`)
	page.until(`document.querySelector("[data-symbol=ONE] .change").textContent.startsWith("+10.00")`)
	page.until(`document.querySelector("[data-symbol=TWO] .change").textContent.startsWith("−5.00")`)
	page.until(`/series\.csv.*2024-01-0[23]/.test(document.querySelector("#source").textContent)`)
	page.noProblems(false)
}
