package main

import (
	"encoding/json"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strconv"

	"github.com/dustin/go-humanize"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/tidings-sse/tidings/internal/load"
)

// A chart shows how a figure grows with the number that a suite varies.
type chart struct {
	suite, title, x, y string
	series             []series
}

type series struct {
	contender, label string
	of               func(*load.Report) float64
}

var charts = []chart{
	{"by-streams", "One topic, 50,000 deliveries/s", "streams", "server CPU a delivery, µs", []series{
		{"tidings", "tidings", cpu}, {"floor", "floor", cpu}}},
	{"by-topics", "5000 streams, 4 events/s on each topic", "topics", "server CPU a delivery, µs", []series{
		{"tidings", "tidings", cpu}}},
	{"by-size", "5000 streams, 10 events/s", "bytes of an event", "server CPU a delivery, µs", []series{
		{"tidings", "tidings", cpu}, {"floor", "floor", cpu}}},
	{"by-history", "1000 streams resume at once, 100 events each", "events of history", "connect to caught up, ms", []series{
		{"tidings", "p50", func(r *load.Report) float64 { return r.CatchUp.P50 }},
		{"tidings", "p99", func(r *load.Report) float64 { return r.CatchUp.P99 }}}},
}

var colors = []color.Color{
	color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff},
	color.RGBA{R: 0xd9, G: 0x5f, B: 0x0e, A: 0xff},
}

// drawAll draws every plot from the raw numbers in dir. It fails if those of a suite are
// missing.
func drawAll(dir string) error {
	for _, c := range charts {
		rows, err := readRows(dir, c.suite)
		if err != nil {
			return err
		}
		if err := c.draw(rows, filepath.Join(dir, c.suite+".svg")); err != nil {
			return fmt.Errorf("draw %s: %w", c.suite, err)
		}
	}
	rows, err := readRows(dir, "highest")
	if err != nil {
		return err
	}
	return drawHighest(rows, filepath.Join(dir, "highest.svg"))
}

// readRows returns the raw numbers of an earlier run.
func readRows(dir, suite string) ([]row, error) {
	raw, err := os.ReadFile(filepath.Join(dir, suite+".json"))
	if err != nil {
		return nil, err
	}
	var c comparison
	err = json.Unmarshal(raw, &c)
	return c.Rows, err
}

func (c *chart) draw(rows []row, path string) error {
	p := newPlot(c.title, c.x, c.y)
	p.X.Scale = plot.LogScale{}
	p.Y.Min = 0
	var ticks plot.ConstantTicks
	for i, s := range c.series { // the rows of all series have the same cases, in ascending order
		var points plotter.XYs
		for _, r := range rows {
			x, err := strconv.ParseFloat(r.Case, 64)
			if err != nil {
				return err
			}
			if len(ticks) == 0 || ticks[len(ticks)-1].Value < x {
				ticks = append(ticks, plot.Tick{Value: x, Label: humanize.SIWithDigits(x, 0, "")})
			}
			f := figure{of: s.of, less: true}
			if y := f.best(r); r.Contender == s.contender && y > 0 {
				points = append(points, plotter.XY{X: x, Y: y})
				p.Y.Max = max(p.Y.Max, 1.15*y)
			}
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		line.Color, dots.Color, dots.Shape = colors[i], colors[i], draw.CircleGlyph{}
		line.Width = vg.Points(2)
		p.Add(line, dots)
		p.Legend.Add(s.label, line, dots)
	}
	p.X.Tick.Marker = ticks
	p.X.Max *= 1.2 // the last label is wider than its tick
	return p.Save(14*vg.Centimeter, 9*vg.Centimeter, path)
}

// drawHighest draws the highest rates as bars.
func drawHighest(rows []row, path string) error {
	p := newPlot("All delivered and p99 < 1 s: 5000 streams, 100 B", "", "million deliveries/s")
	p.Y.Min = 0
	var values plotter.Values
	var names []string
	var labels plotter.XYLabels
	f := figure{of: deliveries}
	for _, r := range rows {
		if v := f.best(r) / 1e6; v > 0 {
			labels.XYs = append(labels.XYs, plotter.XY{X: float64(len(values)), Y: v})
			labels.Labels = append(labels.Labels, fmt.Sprintf("%.2g", v))
			values, names = append(values, v), append(names, r.Contender)
			p.Y.Max = max(p.Y.Max, 1.15*v)
		}
	}
	bars, err := plotter.NewBarChart(values, vg.Points(36))
	if err != nil {
		return err
	}
	bars.Color, bars.LineStyle.Width = colors[0], 0
	text, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	for i := range text.TextStyle {
		text.TextStyle[i].XAlign = draw.XCenter
	}
	text.Offset.Y = vg.Points(4)
	p.Add(bars, text)
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.5, float64(len(values))-0.5
	return p.Save(14*vg.Centimeter, 9*vg.Centimeter, path)
}

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.White // not transparent: the page may be dark
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.Padding = vg.Points(6)
	p.Title.TextStyle.Font.Size = font.Points(12)
	p.Legend.Padding = vg.Points(3)
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	return p
}
