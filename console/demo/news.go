package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"
)

// An Item is a piece of news. Every client may publish one, or an unnamed event whose data
// is the title.
type Item struct {
	T        int64  `json:"t"` // when it was published, Unix milliseconds
	Title    string `json:"title"`
	TitleZH  string `json:"title_zh,omitempty"`
	Summary  string `json:"summary,omitempty"`
	Link     string `json:"link,omitempty"`
	Source   string `json:"source"`
	SourceZH string `json:"source_zh,omitempty"`
}

// report publishes news until ctx ends: from feeds if there are any, or else about the
// market.
func report(ctx context.Context, hub Hub, o Options) {
	out := &outlet{ctx: ctx, topic: "news", hub: hub, log: o.Logger}
	if len(o.Feeds) > 0 {
		readFeeds(ctx, o.Feeds, out, o.Logger)
		return
	}
	d := desk{mentioned: map[string]float64{}}
	every(ctx, deskEvery, func(now time.Time) {
		prices, _, err := hub.Retained(ctx, "stocks/{symbol}", 1)
		if err != nil {
			return // try again at the next step
		}
		if item, ok := d.write(now, prices); ok {
			out.emit("item", item)
		}
	})
}

const (
	deskEvery = 20 * time.Second
	deskLeast = 0.1 // the least change of a price that is worth mentioning, in percent
)

// A desk writes about the symbol whose price has changed most since it was last mentioned.
type desk struct{ mentioned map[string]float64 }

func (d *desk) write(now time.Time, prices []Event) (Item, bool) {
	var about Price
	most := deskLeast
	for _, e := range prices {
		p, ok := decode[Price](e)
		if !ok || p.Price <= 0 || p.Open <= 0 {
			continue
		}
		if _, known := d.mentioned[p.Symbol]; !known {
			d.mentioned[p.Symbol] = p.Open
		}
		if moved := math.Abs(p.Price/d.mentioned[p.Symbol]-1) * 100; moved > most {
			most, about = moved, p
		}
	}
	if about.Symbol == "" {
		return Item{}, false
	}
	was := d.mentioned[about.Symbol]
	d.mentioned[about.Symbol] = about.Price
	verb, zh := "rises", "上涨"
	if about.Price < was {
		verb, zh = "falls", "下跌"
	}
	return Item{
		T:        now.UnixMilli(),
		Title:    fmt.Sprintf("%s %s %.2f %% to %.2f", about.Symbol, verb, most, about.Price),
		TitleZH:  fmt.Sprintf("%s %s %.2f%%，报 %.2f", about.Symbol, zh, most, about.Price),
		Source:   "Market desk, " + about.Source,
		SourceZH: "市场快讯（" + strings.ReplaceAll(about.Source, simulated, "模拟") + "）",
	}, true
}

// itemID returns an id that always stays the same for a feed's item, so that it is
// published only once, even after a restart of a hub that keeps its events.
func itemID(feed string, parts ...string) string {
	sum := sha256.Sum256([]byte(feed + "\x00" + strings.Join(parts, "\x00")))
	return "feed-" + hex.EncodeToString(sum[:12])
}
