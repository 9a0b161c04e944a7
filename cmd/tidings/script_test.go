package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tidings-sse/tidings/internal/rig"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tidings": main})
}

// TestScripts runs the commands in testdata/*.txtar. Each script has its own address in
// $ADDR; `ready` waits until a hub answers there.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			addr, err := rig.FreeAddress()
			env.Setenv("ADDR", addr)
			env.Setenv("TIDINGS_SERVER", "http://"+addr)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": ready},
	})
}

func ready(ts *testscript.TestScript, _ bool, _ []string) {
	url := ts.Getenv("TIDINGS_SERVER") + "/readyz"
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get(url)
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("no hub answers at %s", url)
}
