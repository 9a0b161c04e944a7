package daemon

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// TestSpareProcessors runs two hubs in a child process, with and without GOMAXPROCS
// set. The processors are doubled once, and not at all if the operator has chosen.
func TestSpareProcessors(t *testing.T) {
	const child = "TIDINGS_TEST_PROCESSORS"
	if os.Getenv(child) != "" {
		before := runtime.GOMAXPROCS(0)
		for range 2 { // a hub listens before it serves
			resp, err := runHub(t).client(func(p *http.Protocols) { p.SetHTTP1(true) }).Get("http://localhost/healthz")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}
		fmt.Printf("processors %d %d\n", before, runtime.GOMAXPROCS(0))
		return
	}
	for _, tt := range []struct {
		set    string
		factor int
	}{{"", 2}, {"3", 1}} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSpareProcessors$")
		cmd.Env = append(os.Environ(), child+"=1", "GOMAXPROCS="+tt.set)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var before, after int
		_, line, _ := strings.Cut(string(out), "processors ")
		if _, err := fmt.Sscan(line, &before, &after); err != nil || after != tt.factor*before {
			t.Errorf("with GOMAXPROCS=%q a hub goes from %d to %d processors (%v), want %d times as many", tt.set, before, after, err, tt.factor)
		}
	}
}
