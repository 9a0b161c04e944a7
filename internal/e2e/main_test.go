package e2e

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// patience is how long anything may take that should happen at once. Only a test
// that fails waits for all of it.
const patience = 20 * time.Second

// client sends requests that the hub answers at once. For streams, see openRaw.
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
	binary = filepath.Join(dir, "tidings.exe") // Windows needs the suffix; other systems ignore it
	build := exec.Command("go", "build", "-o", binary, "github.com/tidings-sse/tidings/cmd/tidings")
	if raceEnabled {
		build.Args = slices.Insert(build.Args, 2, "-race")
	}
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build ./cmd/tidings: %v\n%s", err, out)
		return 1
	}
	defer chromium.stop()
	defer func() { _ = os.RemoveAll(npm.dir) }() // does nothing if no test has set it
	return m.Run()
}

// require returns the path of the first of the programs that is installed. If none
// is, it skips the test, or fails it with TIDINGS_E2E=require.
func require(t *testing.T, what string, programs ...string) string {
	t.Helper()
	for _, name := range programs {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("TIDINGS_E2E") == "require" {
		t.Fatalf("%s is not installed, and TIDINGS_E2E=require demands it", what)
	}
	t.Skipf("%s is not installed; install it to run this test, or set TIDINGS_E2E=require to fail instead", what)
	return ""
}

// freePort returns the port of an address from [rig.FreeAddress].
func freePort(t *testing.T) int {
	t.Helper()
	addr, err := rig.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return int(netip.MustParseAddrPort(addr).Port())
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// eventually calls ok every 20 ms until it reports true. After patience it fails
// the test with the text that ok returned last.
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
