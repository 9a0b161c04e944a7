package disklog

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/tidings-sse/tidings/eventlog"
)

// TestKill kills an appending process with SIGKILL, and compares what it reported as
// appended with the log's content.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("kills eight processes")
	}
	for _, relaxed := range []bool{false, true} {
		t.Run(fmt.Sprintf("relaxed=%v", relaxed), func(t *testing.T) {
			dir := t.TempDir()
			acked := map[string]string{} // data by id
			for life := range 4 {
				for id, data := range killChild(t, dir, relaxed, life, 500*(life+1)) {
					if before, ok := acked[id]; ok {
						t.Errorf("the id %s was used for %s and for %s", id, before, data)
					}
					acked[id] = data
				}
				l := open1(t, dir, Options{})
				found := map[string]string{}
				for _, e := range all(t, l) {
					found[e.ID.String()] = string(e.Data)
				}
				for id, data := range acked {
					if found[id] != data {
						t.Errorf("life %d: event %s was acknowledged with %q, and is %q", life, id, data, found[id])
					}
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d acknowledged events in 4 lives, all there", len(acked))
		})
	}
}

// killChild starts a child that appends, kills it once it has acknowledged enough, and
// returns all that it acknowledged.
func killChild(t *testing.T, dir string, relaxed bool, life, enough int) map[string]string {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "DISKLOG_TEST_DIR="+dir, fmt.Sprintf("DISKLOG_TEST_RELAXED=%v", relaxed), fmt.Sprintf("DISKLOG_TEST_LIFE=%d", life))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := map[string]string{}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // all that it wrote before it died has been read
			break
		}
		id, data, _ := strings.Cut(strings.TrimSpace(line), " ")
		acked[id] = data
		if len(acked) == enough {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(acked) < enough {
		t.Fatalf("the child ended by itself, after %d events: %v", len(acked), err)
	}
	return acked
}

// runAsChild appends until it is killed if this process is a child of TestKill. Otherwise
// it reports false.
func runAsChild() bool {
	dir := os.Getenv("DISKLOG_TEST_DIR")
	if dir == "" {
		return false
	}
	l, err := Open(dir, Options{
		Relaxed:   os.Getenv("DISKLOG_TEST_RELAXED") == "true",
		MinFree:   -1,
		Retention: eventlog.Retention{Events: 1 << 30},
		Logger:    slog.New(slog.DiscardHandler),
		tune:      small,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return true
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				data := fmt.Sprintf("%s/%d/%d", os.Getenv("DISKLOG_TEST_LIFE"), w, i)
				results, err := l.Append(context.Background(), eventlog.Record{Topics: []string{"t"}, Data: []byte(data)})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				fmt.Printf("%s %s\n", results[0].ID, data)
			}
		})
	}
	wg.Wait()
	return true
}
