package demo

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// replayStep is how long the prices of one time in a file are shown.
const replayStep = time.Second

// Prices is a series of real prices to replay: one time of the file per second, and again
// from the beginning at the end.
type Prices struct {
	source string
	times  []moment
	open   map[string]float64 // by symbol
}

// A moment holds a file's prices at one time.
type moment struct {
	time   time.Time
	text   string // as written in the file
	prices []symbolPrice
}

type symbolPrice struct {
	symbol string
	price  float64
}

// The names that columns may have, in order of preference.
var (
	timeColumns   = []string{"time", "timestamp", "datetime", "date"}
	symbolColumns = []string{"symbol", "ticker", "name"}
	priceColumns  = []string{"price", "close", "last", "adj close", "value"}
)

// timeLayouts are the formats of times in a file. Unix seconds and milliseconds are
// accepted as well.
var timeLayouts = []string{time.RFC3339Nano, time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly, "2006/01/02", "20060102"}

// ReadPrices reads a CSV file whose first line names its columns: a time, a price (or
// close), and a symbol. Without a column of symbols, the file's name is the symbol.
func ReadPrices(path string) (*Prices, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	p, err := parsePrices(f, filepath.Base(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func parsePrices(r io.Reader, source string) (*Prices, error) {
	table := csv.NewReader(r)
	table.TrimLeadingSpace = true
	header, err := table.Read()
	if err != nil {
		return nil, fmt.Errorf("no header line: %w", err)
	}
	at := columns{column(header, timeColumns), column(header, symbolColumns), column(header, priceColumns)}
	if at.time < 0 || at.price < 0 {
		return nil, fmt.Errorf("the columns are %q, but there must be a time (%s) and a price (%s)", header, strings.Join(timeColumns, ", "), strings.Join(priceColumns, ", "))
	}
	p := &Prices{source: source, open: map[string]float64{}}
	only := strings.ToUpper(strings.TrimSuffix(source, filepath.Ext(source)))
	moments := map[time.Time]int{} // index in p.times
	for {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		t, s, err := at.read(row, only)
		if err != nil {
			line, _ := table.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		i, ok := moments[t]
		if !ok {
			i = len(p.times)
			moments[t] = i
			p.times = append(p.times, moment{time: t, text: row[at.time]})
		}
		p.times[i].prices = append(p.times[i].prices, s)
	}
	if len(p.times) == 0 {
		return nil, errors.New("it has no prices")
	}
	slices.SortStableFunc(p.times, func(a, b moment) int { return a.time.Compare(b.time) })
	for _, m := range slices.Backward(p.times) {
		for _, s := range m.prices {
			p.open[s.symbol] = s.price
		}
	}
	return p, nil
}

// columns are the indexes of the columns in a row. symbol is -1 if there is none.
type columns struct{ time, symbol, price int }

// read parses a row. only is the symbol if there is no column of symbols.
func (c columns) read(row []string, only string) (time.Time, symbolPrice, error) {
	s := symbolPrice{symbol: only}
	t, err := parseTime(row[c.time])
	if err != nil {
		return t, s, err
	}
	if s.price, err = strconv.ParseFloat(row[c.price], 64); err != nil || !(s.price > 0 && s.price < 1e12) {
		return t, s, fmt.Errorf("%q is not a price", row[c.price])
	}
	if c.symbol >= 0 {
		s.symbol = row[c.symbol]
	}
	if s.symbol == "" || strings.ContainsAny(s.symbol, "/{}*") || len(s.symbol) > 32 {
		return t, s, fmt.Errorf("%q is not a symbol", s.symbol)
	}
	return t, s, nil
}

func column(header, names []string) int {
	for _, name := range names {
		if i := slices.IndexFunc(header, func(h string) bool {
			return strings.EqualFold(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")), name)
		}); i >= 0 {
			return i
		}
	}
	return -1
}

func parseTime(text string) (time.Time, error) {
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && n > 0 && n < 1e14 {
		if n >= 1e11 { // milliseconds
			n /= 1000
		}
		return time.Unix(0, int64(n*float64(time.Second))).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time: write it as 2006-01-02T15:04:05Z, 2006-01-02 or Unix seconds", text)
}

func (p *Prices) run(ctx context.Context, publish func(Price)) {
	i := 0
	every(ctx, replayStep, func(now time.Time) {
		m := p.times[i%len(p.times)]
		for _, s := range m.prices {
			publish(Price{
				T: now.UnixMilli(), Symbol: s.symbol, Price: s.price, Open: p.open[s.symbol],
				Source: p.source, At: m.text,
			})
		}
		i++
	})
}
