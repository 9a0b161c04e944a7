package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// patience is how long anything may take that should happen at once. It is
// only ever waited for in full when a test fails.
const patience = 20 * time.Second

// client is for requests that are answered at once; streams have openRaw.
var client = &http.Client{Timeout: patience}

// binary is the tidings program under test.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tidings-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "tidings.exe") // the suffix is for Windows; nobody else minds
	build := exec.Command("go", "build", "-o", binary, "github.com/tidings-sse/tidings/cmd/tidings")
	if raceEnabled {
		build.Args = slices.Insert(build.Args, 2, "-race")
	}
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build ./cmd/tidings: %v\n%s", err, out)
		return 1
	}
	defer chromium.stop()
	defer func() { _ = os.RemoveAll(npm.dir) }() // "" is nothing
	return m.Run()
}

// require returns the first of the programs that is installed, and otherwise
// skips the test, or fails it where everything is to be tested.
func require(t *testing.T, what string, programs ...string) string {
	t.Helper()
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("TIDINGS_E2E") == "require" {
		t.Fatalf("%s is not installed, and TIDINGS_E2E=require asks for it", what)
	}
	t.Skipf("%s is not installed, so this is not tested here; install it, or set TIDINGS_E2E=require to fail instead", what)
	return ""
}

// freePort returns a port that nobody listens on, below those that systems
// give to outgoing connections: a port that is closed and opened again in a
// test must not be taken by a browser's connection meanwhile.
func freePort(t *testing.T) int {
	t.Helper()
	var errs error
	for range 100 {
		port := 18000 + rand.N(14000)
		ln, err := net.Listen("tcp", address(port))
		if err == nil {
			_ = ln.Close()
			return port
		}
		errs = errors.Join(errs, err)
	}
	t.Fatalf("no free port: %v", errs)
	return 0
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// eventually asks again and again until ok, or fails the test with what was
// seen last.
func eventually(t *testing.T, what string, ok func() (bool, string)) {
	t.Helper()
	var seen string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		done, now := ok()
		if done {
			return
		}
		seen = now
	}
	t.Fatalf("%s: not within %s; last seen: %s", what, patience, seen)
}
