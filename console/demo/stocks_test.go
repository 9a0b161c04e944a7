package demo

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// returns runs a market for a number of trading minutes, and returns each symbol's
// logarithmic returns.
func returns(steps int) map[string][]float64 {
	s := newSimulation(rand.New(rand.NewPCG(1, 2)))
	all := map[string][]float64{}
	for range steps {
		before := map[string]float64{}
		for symbol, q := range s.prices {
			before[symbol] = q.price
		}
		s.step(time.Minute)
		for symbol, q := range s.prices {
			all[symbol] = append(all[symbol], math.Log(q.price/before[symbol]))
		}
	}
	return all
}

func correlation(a, b []float64) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += a[i] * b[i]
		aa += a[i] * a[i]
		bb += b[i] * b[i]
	}
	return ab / math.Sqrt(aa*bb)
}

func TestMarketMovesAsMarketsDo(t *testing.T) {
	const steps = 20_000
	all := returns(steps)
	for _, sector := range inventedSectors {
		for _, c := range sector.companies {
			var squares float64
			for _, r := range all[c.symbol] {
				squares += r * r
			}
			year := math.Sqrt(squares / steps * tradingYear.Minutes())
			if math.Abs(year/c.volatility-1) > 0.05 {
				t.Errorf("%s moves by %.3f a year, not %.3f", c.symbol, year, c.volatility)
			}
		}
		a, b := sector.companies[0].symbol, sector.companies[1].symbol
		want := marketShare*marketShare + sector.share*sector.share
		if got := correlation(all[a], all[b]); math.Abs(got-want) > 0.05 {
			t.Errorf("%s and %s, of one sector, correlate by %.2f, not %.2f", a, b, got, want)
		}
	}
	if got, want := correlation(all["NIMB"], all["KEEL"]), marketShare*marketShare; math.Abs(got-want) > 0.05 {
		t.Errorf("two sectors correlate by %.2f, not %.2f", got, want)
	}
}

func TestMarketPublishesEverySymbolAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s := newSimulation(rand.New(rand.NewPCG(1, 2)))
		s.continueFrom(Price{Symbol: "NIMB", Price: 200, Open: 190, Source: simulated})
		s.continueFrom(Price{Symbol: "QBIT", Price: 1, Open: 1, Source: "somebody"})
		first, later := map[string]Price{}, 0
		s.run(ctx, func(p Price) {
			if _, ok := first[p.Symbol]; !ok {
				first[p.Symbol] = p
			} else {
				later++
			}
		})
		if len(first) != len(s.prices) || later < 20 {
			t.Errorf("%d symbols of %d, then %d trades in 10 s", len(first), len(s.prices), later)
		}
		if p := first["NIMB"]; p.Price != 200 || p.Open != 190 || p.Name != "Nimbus Compute" {
			t.Errorf("after a restart, it begins with %+v", p)
		}
		if p := first["QBIT"]; p.Price == 1 {
			t.Error("a price that is not its own moved the market")
		}
	})
}

func TestParsePrices(t *testing.T) {
	for _, tt := range []struct {
		why, csv string
		says     string // part of the error; "": no error
		times    int
		symbols  int
	}{
		{"a time, a symbol and a price", "time,symbol,price\n2024-01-02T09:30:00Z,AAA,1.5\n2024-01-02T09:30:00Z,BBB,2\n2024-01-02T09:31:00Z,AAA,1.6\n", "", 2, 2},
		{"a day's figures, as they are usually sold", "Date,Open,High,Low,Close,Volume\n2024-01-03,1,2,0.5,1.5,100\n2024-01-02,1,2,0.5,1.4,100\n", "", 2, 1},
		{"Unix seconds, and a byte order mark", "\ufeffTimestamp,Last\n1704187800,1\n1704187801,2\n", "", 2, 1},
		{"no price", "time,symbol\n2024-01-02,AAA\n", "there must be a time", 0, 0},
		{"no header", "2024-01-02,AAA,1\n", "there must be a time", 0, 0},
		{"an empty file", "", "no header line", 0, 0},
		{"a header alone", "time,price\n", "no prices", 0, 0},
		{"an invalid price", "time,price\n2024-01-02,1\n2024-01-03,NaN\n", "line 3", 0, 0},
		{"an invalid time", "time,price\nyesterday,1\n", "line 2", 0, 0},
		{"a symbol that is a template", "time,symbol,price\n2024-01-02,{a},1\n", "not a symbol", 0, 0},
		{"a row that is too short", "time,symbol,price\n2024-01-02,AAA\n", "line 2", 0, 0},
	} {
		p, err := parsePrices(strings.NewReader(tt.csv), "acme.csv")
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want %q", tt.why, err, tt.says)
		}
		if err == nil && (len(p.times) != tt.times || len(p.open) != tt.symbols) {
			t.Errorf("%s: %d times and %d symbols, want %d and %d", tt.why, len(p.times), len(p.open), tt.times, tt.symbols)
		}
	}
}

func TestPricesAreReplayedInOrderAndAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := parsePrices(strings.NewReader("Date,Close\n2024-01-03,3\n2024-01-02,2\n"), "acme.csv")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		var got []Price
		p.run(ctx, func(p Price) { got = append(got, p) })
		want := []string{"2024-01-02", "2024-01-03", "2024-01-02"}
		if len(got) != len(want) {
			t.Fatalf("%d prices in 3 s", len(got))
		}
		for i, p := range got {
			if p.At != want[i] || p.Symbol != "ACME" || p.Open != 2 || p.Source != "acme.csv" {
				t.Errorf("price %d is %+v", i, p)
			}
		}
	})
}
