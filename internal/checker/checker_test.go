//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/internal/checker/attack"
)

// built holds the hub's binary, built when first needed.
var built setup

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"assail", "resume", "spin"}, os.Args[1]) { // a check has started this program again
		main()
		return
	}
	code := m.Run()
	built.clean()
	os.Exit(code)
}

// The short forms of the checks judge only what is lost and what is kept. They print
// latencies without judging them.

func TestKillShort(t *testing.T) {
	passes(t, &killCheck{Kills: 3, Publishers: 4, Subscribers: 20, Rate: 200, MinAlive: 200 * time.Millisecond, MaxAlive: time.Second, Patience: time.Minute})
}

func TestStallShort(t *testing.T) {
	passes(t, &stallCheck{Healthy: 50, Stalled: 50, Rate: 20, Phase: 2 * time.Second, Rounds: 1, WriteTimeout: time.Second})
}

func TestStormShort(t *testing.T) {
	passes(t, &stormCheck{archive: archive{Events: 20_000, Topics: 150, Hot: 20}, Resumes: 100, Live: 20, Rate: 20, Phase: time.Second, Rounds: 1})
}

func TestChurnShort(t *testing.T) {
	passes(t, &churnCheck{Connections: 500, Wave: 250, Live: 5, Rate: 20, Settle: 30 * time.Second})
}

func TestFullShort(t *testing.T) {
	passes(t, &fullCheck{Size: 96, MinFree: 16, Live: 5, Patience: 30 * time.Second})
}

// All attacks at once cost no more than the hub may take, and the honest clients lose
// nothing.
func TestAttackShort(t *testing.T) {
	passes(t, &attackCheck{
		Publishers: 10, Streams: 100, Rate: 1, For: 20 * time.Second, Quiet: 2 * time.Second, Settle: time.Minute,
		Scale: 0.1, Files: 2000, MemoryLimit: "512MiB",
	})
}

// An attack that the hub refuses as a bad request proves nothing.
func TestAttacksArrive(t *testing.T) {
	s := shared(t, "disk")
	s.files = 4000
	key := strings.Repeat("key", 20)
	h, err := s.startHub("--jwt-key", key, "--anonymous", "--mercure-subscriptions")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.kill)
	arrive := map[string]string{ // the hub's answer, if not 200
		"headers": "403", "tickets": "201", "pinned": "201", "descriptors": "cut off", "slowheads": "cut off",
		"slowbodies": "401", "continuation": "goaway: PROTOCOL_ERROR",
	}
	for _, a := range attack.All {
		t.Run(a.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			want := cmp.Or(arrive[a.Name], "200")
			answers := a.Run(ctx, attack.Target{Addr: h.addr, From: "127.0.1.1", Key: key, Files: 20, Scale: 0.01, Until: want})
			if answers[want] == 0 {
				t.Errorf("the hub answered %v, and never %s", answers, want)
			}
		})
	}
}

// A checker that cannot fail proves nothing. A killed hub loses what it had in memory,
// and the check must report that.
func TestKillSeesLoss(t *testing.T) {
	s := shared(t, "memory")
	c := &killCheck{Kills: 2, Publishers: 4, Subscribers: 20, Rate: 200, MinAlive: 500 * time.Millisecond, MaxAlive: time.Second, Patience: time.Second}
	r, err := c.check(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]bool{}
	for _, f := range r.Figures {
		failed[f.Name] = f.Failed
	}
	for _, name := range []string{"acknowledged, and not in the log", "lost", "gaps"} {
		if !failed[name] {
			t.Errorf("%q is not seen:\n%s", name, r)
		}
	}
}

func passes(t *testing.T, c check) {
	t.Helper()
	r, err := c.check(t.Context(), shared(t, "disk"))
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Errorf("\n%s", r)
	} else {
		t.Logf("\n%s", r)
	}
}

// shared returns a setup that uses the one built binary.
func shared(t *testing.T, store string) *setup {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts hubs")
	}
	bin, err := built.binary()
	if err != nil {
		t.Fatal(err)
	}
	return &setup{Hub: bin, Store: store, Dir: t.TempDir()}
}

// No goroutine of a visitor stays, whatever the visitor did. Counting them takes a hub
// in this process.
func TestChurnLeavesNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	logger := slog.New(slog.DiscardHandler)
	log := eventlog.NewMemory(eventlog.Retention{})
	h, err := hub.New(log, hub.Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	api := httpapi.New(edge.New(h, edge.Options{Logger: logger}), httpapi.Options{})
	server := httptest.NewUnstartedServer(api)
	server.Config.ReadHeaderTimeout = time.Second
	server.Config.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
	server.Start()
	defer func() {
		server.Close()
		err := h.Close()
		api.Close()
		if err := errors.Join(err, log.Close()); err != nil {
			t.Error(err)
		}
	}()

	var vs visits
	// Besides these there are the shards of parked streams, and the goroutine that ends
	// them.
	before := runtime.NumGoroutine() + runtime.GOMAXPROCS(0) + 1
	for wave := range 4 {
		if err := errors.Join(vs.wave(server.Listener.Addr().String(), wave*100, wave*100+100), vs.lingering()); err != nil {
			t.Error(err)
		}
		vs.slow = nil
	}
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestPayload(t *testing.T) {
	for seq := range uint32(600) {
		e := event{pub: 7, seq: seq, at: now()}
		data := e.data(sizeOf(seq))
		if got, ok := parseEvent(data); !ok || got != e {
			t.Fatalf("%+v came back as %+v, %v", e, got, ok)
		}
		for _, torn := range []string{data[1:], data[:len(data)-1], data + "\n", strings.Replace(data, "the", "teh", 1), ""} {
			if torn != data {
				if _, ok := parseEvent(torn); ok {
					t.Fatalf("%q is taken for whole", torn)
				}
			}
		}
	}
}

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		why                      string
		expected, anywhere, seen []number
		want                     verdict
	}{
		{"all, in order", []number{1, 2, 3}, nil, []number{1, 2, 3}, verdict{}},
		{"none", []number{1, 2}, nil, nil, verdict{Lost: 2}},
		{"a hole", []number{1, 2, 3}, nil, []number{1, 3}, verdict{Lost: 1}},
		{"the end cut off", []number{1, 2, 3}, nil, []number{1, 2}, verdict{Lost: 1}},
		{"one twice in a row", []number{1, 2, 3}, nil, []number{1, 2, 2, 3}, verdict{Doubled: 1}},
		{"replayed from before", []number{1, 2, 3}, nil, []number{1, 2, 1, 2, 3}, verdict{Doubled: 2}},
		{"two swapped", []number{1, 2, 3}, nil, []number{2, 1, 3}, verdict{Reordered: 1}},
		{"one lost, another twice", []number{1, 2, 3}, nil, []number{1, 1, 3}, verdict{Lost: 1, Doubled: 1}},
		{"one of somebody else's", []number{1, 2}, nil, []number{1, 9, 2}, verdict{Foreign: 1}},
		{"gone from the log, yet seen", []number{1, 2}, []number{7}, []number{1, 7, 2}, verdict{}},
		{"gone and not seen", []number{1, 2}, []number{7, 8}, []number{8, 1, 2}, verdict{Lost: 1}},
	} {
		if got := compare(tt.expected, tt.anywhere, tt.seen); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.why, got, tt.want)
		}
	}
}

func TestSequence(t *testing.T) {
	for _, tt := range []struct {
		why  string
		seen []uint32
		want verdict
	}{
		{"all", []uint32{3, 4, 5, 6}, verdict{}},
		{"a hole", []uint32{3, 6}, verdict{Lost: 2}},
		{"nothing", nil, verdict{Lost: 4}},
		{"one twice", []uint32{3, 4, 4, 5, 6}, verdict{Doubled: 1}},
		{"one too early", []uint32{3, 5, 4, 6}, verdict{Lost: 1, Doubled: 1}},
		{"one from before", []uint32{2, 3, 4, 5, 6}, verdict{Doubled: 1}},
	} {
		s := sequence{expected: ascending(3, 100)}
		for _, n := range tt.seen {
			s.see(n)
		}
		if s.end(6); s.verdict != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.why, s.verdict, tt.want)
		}
	}
}
