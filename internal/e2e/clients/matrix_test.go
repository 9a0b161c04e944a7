package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const (
	// last is the number of the last event. One more event marks the end.
	last = 15

	// outage is how long the hub is down: less than its reconnection time of 3 s,
	// because Firefox's EventSource (153) closes for good when its connection is
	// refused, although the standard says to try again (WHATWG HTML §9.2.3).
	outage = 500 * time.Millisecond
)

// scenarios are ways to end the hub, after a number of events. Each has a hub of its
// own. The clients of all scenarios start at once, because starting browsers takes
// longest.
var scenarios = []scenario{
	{"kill", 5, (*hub).kill},
	{"quiet", 0, (*hub).kill},
	{"drain", 5, (*hub).drain},
}

type scenario struct {
	name   string
	before int // how many events come first
	lose   func(*hub, *testing.T)
}

// Real clients get each event once and in order when a hub ends and restarts.
func TestClients(t *testing.T) {
	binary := prepare(t)
	audiences := make([][]*listener, len(scenarios))
	for i := range scenarios {
		h := startHub(t, binary)
		for _, p := range platforms {
			for _, c := range p.clients {
				audiences[i] = append(audiences[i], &listener{client: c, platform: p.name, hub: h, topic: topic(p.name, c.name)})
			}
		}
	}
	for _, p := range platforms {
		p.start(t, slices.DeleteFunc(slices.Concat(audiences...), func(l *listener) bool { return l.platform != p.name }))
	}
	for _, audience := range audiences {
		connected(t, audience, startup, "did not connect")
	}
	t.Run("scenarios", func(t *testing.T) {
		for i, s := range scenarios {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				s.play(t, audiences[i])
				for _, l := range audiences[i] {
					if !l.judge() {
						t.Errorf("%s: %s: %s", l.platform, l.name, l.said)
					}
				}
			})
		}
	})
	printTable(audiences)
}

// play publishes the numbers: s.before of them first, those up to ten while the
// clients are away, and the rest when they are back.
func (s scenario) play(t *testing.T, audience []*listener) {
	h := audience[0].hub
	n := 0
	publish := func(upTo int) {
		for n < upTo {
			n++
			h.publish(t, n, audience)
		}
	}
	seen := func() {
		what := fmt.Sprint("waited in vain for ", n)
		await(audience, patience, what, func() {}, func(l *listener) bool { return n == 0 || l.has(n) })
	}

	publish(s.before)
	seen()
	s.lose(h, t)
	time.Sleep(outage)
	h.start(t)
	publish(10)
	connected(t, audience, patience, "did not come back")
	publish(last + 1)
	seen()
}

// connected waits until each listener has a caught-up stream.
func connected(t *testing.T, audience []*listener, within time.Duration, what string) {
	t.Helper()
	h := audience[0].hub
	var open map[string]bool
	await(audience, within, what, func() { open = h.open() }, func(l *listener) bool { return open[l.topic] })
	h.settle(t)
}

// await waits until ok has reported true for each listener, and calls look before
// each round. It marks the listeners that are not ok in time as stuck; later calls do
// not wait for those.
func await(audience []*listener, within time.Duration, what string, look func(), ok func(*listener) bool) {
	left := slices.DeleteFunc(slices.Clone(audience), func(l *listener) bool { return l.stuck != "" })
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		look()
		if left = slices.DeleteFunc(left, ok); len(left) == 0 {
			return
		}
	}
	for _, l := range left {
		l.stuck = what
	}
}

// printTable prints what each client has seen. All audiences list the clients in the
// same order.
func printTable(audiences [][]*listener) {
	fmt.Printf("%-53s", "client")
	for _, s := range scenarios {
		fmt.Printf("  %-18s", s.name)
	}
	fmt.Println()
	for i, l := range audiences[0] {
		fmt.Printf("%-53s", l.platform+": "+l.name)
		for _, audience := range audiences {
			fmt.Printf("  %-18s", audience[i].said)
		}
		fmt.Println()
	}
	for _, what := range unavailable {
		fmt.Println("not here:", what)
	}
}

// prepare installs the clients from npm, bundles those for browsers, and builds the
// hub. It skips the test if a program is missing, or fails it with
// TIDINGS_E2E=require.
func prepare(t *testing.T) (binary string) {
	t.Helper()
	for _, program := range []string{"chromium", "firefox-esr", "node", "npm", "php"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("TIDINGS_E2E") == "require" {
				t.Fatal(err)
			}
			t.Skip(err, "; install it, or set TIDINGS_E2E=require to fail instead")
		}
	}
	dir := t.TempDir()
	binary, scripts = filepath.Join(dir, "tidings"), filepath.Join(dir, "scripts")
	for _, args := range [][]string{
		{"npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"},
		{"node_modules/.bin/esbuild", "js/page.mjs", "--bundle", "--format=esm", "--splitting", "--log-level=error", "--outdir=" + scripts,
			"--external:eventsource2", "--external:launchdarkly-eventsource", "--external:undici"}, // for Node.js only
		{"go", "build", "-C", "../../..", "-o", binary, "./cmd/tidings"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return binary
}
