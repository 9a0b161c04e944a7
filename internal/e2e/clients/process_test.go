package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// patience is how long anything may take. Only a test that fails waits for all
	// of it. Some clients wait longer after each failure.
	patience = time.Minute

	// startup is how long browsers may take to start and to load their pages.
	startup = 3 * time.Minute
)

// eventually calls ok every 20 ms until it reports true, and fails the test after
// patience.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// A process is a running program, with its child processes.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// start runs a program until the test ends.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, exited: make(chan struct{})}
	var said output
	if cmd.Stdout == nil {
		cmd.Stdout = &said
	}
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // children of a killed program may keep its output open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // cmd.ProcessState has it
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // an error: it has exited already
		<-p.exited
		if t.Failed() {
			t.Logf("%s:\n%s", strings.Join(cmd.Args, " "), said.tail())
		}
	})
	return p
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) tail() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.text.Bytes()
	return b[max(0, len(b)-4000):]
}

// startProgram runs a client that prints the events it gets, as JSON lines.
func startProgram(t *testing.T, l *listener, cmd *exec.Cmd) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	start(t, cmd)
	_ = w.Close() // the program has a copy
	go func() {
		defer func() { _ = r.Close() }()
		for sc := bufio.NewScanner(r); sc.Scan(); {
			var s sight
			if err := json.Unmarshal(sc.Bytes(), &s); err != nil {
				s = sight{"no JSON", sc.Text()}
			}
			l.saw(s.Type, s.Data)
		}
	}()
}

func startNode(t *testing.T, listeners []*listener) {
	for _, l := range listeners {
		startProgram(t, l, exec.Command("node", "js/node.mjs", l.name, l.url("localhost")))
	}
}

func startPHP(t *testing.T, listeners []*listener) {
	for _, l := range listeners {
		startProgram(t, l, exec.Command("php", "symfony.php", l.url("localhost")))
	}
}
