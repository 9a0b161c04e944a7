package demo

import "time"

// clockLayout is the format that JavaScript's Date parses and prints itself.
const clockLayout = "2006-01-02T15:04:05.000Z07:00"

// A Tick is the data of the clock's `tick` event.
type Tick struct {
	T int64 `json:"t"`
	N int64 `json:"n"` // counts from 1 since the generator's start
}

type clock struct{ n int64 }

func newClock() *clock { return new(clock) }

func (c *clock) generate(now time.Time, out emit) {
	c.n++
	out("", now.UTC().Format(clockLayout))
	out("tick", Tick{T: now.UnixMilli(), N: c.n})
}
