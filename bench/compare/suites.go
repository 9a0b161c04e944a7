package main

import (
	"fmt"
	"strings"
)

// A suite is a set of cases with the same figures. The first contender of each case
// is ours.
type suite struct {
	name    string
	once    bool // one run of each contender is enough
	figures []figure
	cases   []setting
}

type setting struct {
	name       string
	args       []string
	contenders []contender
}

type contender struct {
	name string
	args []string // added to the case's
}

const engine = "log engine"

func words(format string, args ...any) []string { return strings.Fields(fmt.Sprintf(format, args...)) }

var (
	ours    = contender{name: "tidings"}
	floor   = contender{name: "floor"}
	rounds  = contender{name: "floor in rounds"}
	byTopic = contender{name: "floor by topic"}
)

var suites = []suite{
	saturated(5000),
	saturated(15000),
	{
		name: "steady",
		figures: []figure{
			{name: "CPU µs a delivery", of: cpu, less: true, aim: 1.15},
			{name: "p99 ms", of: p99, less: true, aim: 1.5},
		},
		cases: grid([]int{5000, 15000}, []int{100, 1024}, func(streams, size int) setting {
			return setting{
				fmt.Sprintf("%d streams, %d B, 50,000 deliveries/s", streams, size),
				words("fanout --subscribers %d --size %d --rate %g --duration 6s", streams, size, 50000/float64(streams)),
				[]contender{ours, floor},
			}
		}),
	},
	{
		name:    "topics",
		figures: []figure{{name: "deliveries/s", of: deliveries, aim: 0.5}, {name: "CPU µs a delivery", of: cpu, less: true}},
		cases: grid([]int{5000, 15000}, []int{100, 1024}, func(streams, size int) setting {
			return setting{
				fmt.Sprintf("%d topics with one stream each, %d B", streams, size),
				words("fanout --subscribers %d --topics %d --size %d --batch 16 --duration 4s", streams, streams, size),
				[]contender{ours, byTopic},
			}
		}),
	},
	{
		name: "highest",
		once: true,
		figures: []figure{
			{name: "highest rate, deliveries/s", of: deliveries, aim: 30, to: "usual"},
			{name: "highest rate, deliveries/s", of: deliveries, aim: 20, to: "go-sse"},
			{name: "highest rate, deliveries/s", of: deliveries, aim: 20, to: "r3labs"},
			{name: "highest rate, deliveries/s", of: deliveries, aim: 20, to: "nchan"},
		},
		cases: []setting{{
			"5000 streams, 100 B, all delivered and p99 < 1 s",
			words("fanout --subscribers 5000 --max-p99 1s --duration 2s --warmup 500ms --settle 500ms --patience 2s"),
			[]contender{
				{"tidings", words("--rate 400")},
				{"usual", words("--rate 20")}, {"go-sse", words("--rate 20")}, {"r3labs", words("--rate 20")}, {"nchan", words("--rate 10")},
			},
		}},
	},
	{
		name:    "http2",
		once:    true,
		figures: []figure{{name: "highest rate, deliveries/s", of: deliveries, aim: 3}},
		cases: []setting{{
			"5000 streams over 50 connections of TLS and HTTP/2, 100 B, all delivered and p99 < 1 s",
			words("fanout --subscribers 5000 --http2 50 --insecure --max-p99 1s --duration 2s --warmup 500ms --settle 500ms --patience 2s"),
			[]contender{{"tidings over TLS", words("--rate 20")}, {"usual over TLS", words("--rate 10")}},
		}},
	},
	{
		name:    "idle",
		once:    true,
		figures: []figure{{name: "B an idle stream", of: idle, less: true}},
		cases: []setting{
			{"15000 streams, one topic", words("connect --subscribers 15000 --rounds 1 --linger 0s --settle 15s"),
				[]contender{ours, {name: "usual"}, {name: "go-sse"}, {name: "r3labs"}, {name: "nchan"}}},
		},
	},
	{
		name:    "feed",
		once:    true,
		figures: []figure{{name: "B an idle stream", of: idle, less: true, aim: 3 << 10}},
		cases:   []setting{{"15000 streams, one feed", words("connect --subscribers 15000 --rounds 1 --linger 0s --settle 15s"), []contender{ours}}},
	},
	{
		name:    "feeds",
		once:    true,
		figures: []figure{{name: "B an idle stream", of: idle, less: true, aim: 4 << 10}},
		cases:   []setting{{"5000 streams, 5000 feeds", words("connect --subscribers 5000 --topics 5000 --rounds 1 --linger 0s --settle 15s"), []contender{ours}}},
	},
	{
		name:    "connect",
		figures: []figure{{name: "connects/s", of: opens, aim: 0.5}},
		cases: []setting{{"15000 streams", words("connect --subscribers 15000 --rounds 3 --linger 0s"),
			[]contender{ours, floor}}},
	},
	{
		name:    "return",
		once:    true,
		figures: []figure{{name: "memory after, × before", of: kept, less: true, aim: 1.1}},
		cases: []setting{{"15000 disconnects, twice, within 5 minutes", words("connect --subscribers 15000 --rounds 2 --linger 5m"),
			[]contender{ours}}},
	},
	{
		name:    "publish",
		figures: []figure{{name: "events/s", of: published, aim: 0.7}},
		cases: []setting{{"256 connections, one event each", words("publish --publishers 256 --duration 4s"), []contender{
			ours, {"sink", words("--publish-url SERVER/events/{topic}")},
		}}},
	},
	{
		name:    "batches",
		figures: []figure{{name: "events/s", of: published, aim: 0.5}},
		cases: []setting{
			{"256 connections, 16 events each", words("publish --publishers 256 --batch 16 --duration 4s"), []contender{
				ours, {engine, words("--append 1")}, {engine, words("--append 16")},
			}},
		},
	},
	{
		name: "by-streams",
		once: true,
		cases: each([]int{1000, 2000, 5000, 10000, 15000}, func(n int) setting {
			return setting{fmt.Sprint(n), words("fanout --subscribers %d --rate %g --duration 4s", n, 50000/float64(n)), []contender{ours, floor}}
		}),
	},
	{
		name: "by-topics",
		once: true,
		cases: each([]int{1, 10, 100, 1000, 5000}, func(n int) setting {
			return setting{fmt.Sprint(n), words("fanout --subscribers 5000 --topics %d --rate %d --batch %d --duration 4s", n, 4*n, max(1, min(16, n/50))), []contender{ours}}
		}),
	},
	{
		name: "by-size",
		once: true,
		cases: each([]int{100, 1024, 4096, 16384}, func(n int) setting {
			return setting{fmt.Sprint(n), words("fanout --subscribers 5000 --size %d --rate 10 --duration 4s", n), []contender{ours, floor}}
		}),
	},
	{
		name: "by-history",
		once: true,
		cases: each([]int{1000, 10_000, 100_000, 1_000_000}, func(n int) setting {
			return setting{fmt.Sprint(n), words("resume --subscribers 1000 --history %d --missed 100 --batch 64", n), []contender{ours}}
		}),
	},
}

// saturated compares with two floors. One takes publishers' requests while it writes,
// so each write carries as many events as possible. The other takes them only between
// two rounds of writes, so each batch is one write.
func saturated(streams int) suite {
	return suite{
		name:    fmt.Sprintf("saturated-%d", streams),
		figures: []figure{{name: "deliveries/s", of: deliveries, aim: 0.75}, {name: "CPU µs a delivery", of: cpu, less: true}},
		cases: each([]int{100, 1024}, func(size int) setting {
			return setting{
				fmt.Sprintf("%d streams, %d B", streams, size),
				words("fanout --subscribers %d --size %d --duration 4s", streams, size),
				[]contender{ours, floor, rounds},
			}
		}),
	}
}

// grid returns a setting for each pair of values.
func grid(a, b []int, f func(a, b int) setting) (settings []setting) {
	for _, x := range a {
		for _, y := range b {
			settings = append(settings, f(x, y))
		}
	}
	return settings
}

func each(values []int, f func(n int) setting) (settings []setting) {
	for _, n := range values {
		settings = append(settings, f(n))
	}
	return settings
}
