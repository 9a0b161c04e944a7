package demo

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

// A Price is the newest price of a symbol.
type Price struct {
	T      int64   `json:"t"`
	Symbol string  `json:"symbol"`
	Name   string  `json:"name,omitempty"`
	Sector string  `json:"sector,omitempty"`
	Price  float64 `json:"price"`
	Open   float64 `json:"open"`         // the first price of the day, or of the file
	Source string  `json:"source"`       // "simulated", or the name of the replayed file
	At     string  `json:"at,omitempty"` // the time of the price in the file
}

// Properties of the simulated market: the speed of its time, the length of a step, and the
// probability that a symbol trades in a step.
const (
	marketSpeed = 60 // a second stands for a trading minute
	marketStep  = 500 * time.Millisecond
	tradeChance = 0.18

	tradingYear = 252 * 390 * time.Minute // 252 days of six and a half hours
)

// A simulation is a market of invented companies. Prices follow geometric Brownian motion
// (Black and Scholes, 1973). Part of each shock is common to the whole market, part to a
// sector, and part is the company's own.
type simulation struct {
	random  *rand.Rand
	sectors []sector
	prices  map[string]*quote // by symbol
}

type sector struct {
	name      string
	share     float64 // the weight of the sector's shock
	companies []company
}

type company struct {
	symbol, name string
	price        float64
	volatility   float64 // per year
}

type quote struct{ price, open float64 }

// marketShare is the weight of the whole market's shock.
const (
	marketShare = 0.45
	marketDrift = 0.06 // per year
)

func newSimulation(random *rand.Rand) *simulation {
	s := &simulation{random: random, sectors: inventedSectors, prices: map[string]*quote{}}
	for _, sector := range s.sectors {
		for _, c := range sector.companies {
			s.prices[c.symbol] = &quote{c.price, c.price}
		}
	}
	return s
}

// continueFrom sets a symbol's price to what it was before a restart.
func (s *simulation) continueFrom(p Price) {
	if q, ok := s.prices[p.Symbol]; ok && p.Source == simulated && p.Price > 0 && p.Open > 0 {
		q.price, q.open = p.Price, p.Open
	}
}

// step advances all prices by d of the market's time.
func (s *simulation) step(d time.Duration) {
	years := d.Seconds() / tradingYear.Seconds()
	whole := s.random.NormFloat64()
	for _, sector := range s.sectors {
		common := s.random.NormFloat64()
		own := math.Sqrt(1 - marketShare*marketShare - sector.share*sector.share)
		for _, c := range sector.companies {
			shock := marketShare*whole + sector.share*common + own*s.random.NormFloat64()
			drift := (marketDrift - c.volatility*c.volatility/2) * years
			s.prices[c.symbol].price *= math.Exp(drift + c.volatility*math.Sqrt(years)*shock)
		}
	}
}

// simulated is the source of invented prices.
const simulated = "simulated"

func (s *simulation) run(ctx context.Context, publish func(Price)) {
	now := time.Now()
	s.each(publish, now, 1)
	every(ctx, marketStep, func(now time.Time) {
		s.step(marketStep * marketSpeed)
		s.each(publish, now, tradeChance)
	})
}

// each publishes the prices of those symbols that happen to trade.
func (s *simulation) each(publish func(Price), now time.Time, chance float64) {
	for _, sector := range s.sectors {
		for _, c := range sector.companies {
			if s.random.Float64() >= chance {
				continue
			}
			q := s.prices[c.symbol]
			publish(Price{
				T: now.UnixMilli(), Symbol: c.symbol, Name: c.name, Sector: sector.name,
				Price: round(q.price, 2), Open: round(q.open, 2), Source: simulated,
			})
		}
	}
}

// trade runs a market on the hub: a replay of the file if there is one, or else a
// simulation.
func trade(ctx context.Context, hub Hub, o Options) {
	out := &outlet{ctx: ctx, hub: hub, log: o.Logger}
	publish := func(p Price) {
		out.topic = "stocks/" + p.Symbol
		out.emit("price", p)
	}
	if o.Prices != nil {
		o.Prices.run(ctx, publish)
		return
	}
	s := newSimulation(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	last, _, err := hub.Retained(ctx, "stocks/{symbol}", 1)
	if err != nil && !errors.Is(err, context.Canceled) {
		o.Logger.Warn("demo: cannot read the last prices; the market starts over", "error", err)
	}
	for _, e := range last {
		if p, ok := decode[Price](e); ok {
			s.continueFrom(p)
		}
	}
	s.run(ctx, publish)
}
