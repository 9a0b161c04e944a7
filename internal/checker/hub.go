//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// setup is what all checks need to start hubs.
type setup struct {
	Hub   string `placeholder:"PATH" help:"The hub's binary; built from ./cmd/tidings unless given."`
	Store string `default:"disk" help:"The hub's --store. On memory, what is killed is lost: a check that does not see that is wrong itself."`
	Dir   string `placeholder:"DIR" help:"Where data directories are made; the system's place for temporary files unless given."`

	files int // the hubs' limit on open files; 0: that of this process
	temp  string
}

// binary returns the path of the hub's program, and builds it if necessary.
func (s *setup) binary() (string, error) {
	if s.Hub != "" {
		return s.Hub, nil
	}
	dir, err := s.tempDir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "tidings")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/tidings-sse/tidings/cmd/tidings").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the hub: %w\n%s", err, out)
	}
	s.Hub = bin
	return bin, nil
}

func (s *setup) tempDir() (string, error) {
	if s.temp == "" {
		dir, err := os.MkdirTemp(s.Dir, "checker-")
		if err != nil {
			return "", err
		}
		s.temp = dir
	}
	return s.temp, nil
}

// clean removes the files of setup.
func (s *setup) clean() {
	if s.temp != "" {
		_ = os.RemoveAll(s.temp) // temporary files only
	}
}

// A process is a hub, or several one after the other, at the same address with the same
// data.
type process struct {
	addr string
	args []string
	bin  string
	// files is the hub's limit on open files; 0: that of this process.
	files int

	cmd    *exec.Cmd
	exited chan struct{}
	log    logTail
}

// startHub starts a hub on a free port and an empty data directory, and waits
// until it is ready.
func (s *setup) startHub(args ...string) (*process, error) {
	temp, err := s.tempDir()
	if err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp(temp, "data-")
	if err != nil {
		return nil, err
	}
	return s.startHubOn(data, args...)
}

func (s *setup) startHubOn(data string, args ...string) (*process, error) {
	bin, err := s.binary()
	if err != nil {
		return nil, err
	}
	addr, err := rig.FreeAddress()
	if err != nil {
		return nil, err
	}
	h := &process{addr: addr, bin: bin, files: s.files}
	h.args = append([]string{"serve", "--listen", addr, "--store", s.Store, "--drain", "1s"}, args...)
	if s.Store == "disk" {
		h.args = append(h.args, "--data", data)
	}
	return h, h.start()
}

// prober asks for readiness. It keeps no connection open, because that would count as
// one of the hub's descriptors.
var prober = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// start runs the hub and waits until it is ready.
func (h *process) start() error {
	h.cmd = exec.Command(h.bin, h.args...)
	if h.files > 0 {
		h.cmd = exec.Command("sh", append([]string{"-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(h.files), h.bin}, h.args...)...)
	}
	h.cmd.Stdout, h.cmd.Stderr = &h.log, &h.log
	// The hub must not outlive a checker that is killed.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := h.cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	h.exited = exited
	cmd := h.cmd
	go func() {
		_ = cmd.Wait() // ProcessState has the result
		close(exited)
	}()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		select {
		case <-exited:
			return fmt.Errorf("the hub exited with %d:\n%s", cmd.ProcessState.ExitCode(), h.log.String())
		default:
		}
		if resp, _, err := request(context.Background(), prober, "GET", h.url("/readyz"), nil, nil); err == nil && resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	h.kill()
	return fmt.Errorf("the hub was not ready within a minute:\n%s", h.log.String())
}

func (h *process) url(pathQuery string) string { return "http://" + h.addr + pathQuery }

func (h *process) pid() int { return h.cmd.Process.Pid }

// kill ends the hub as kill -9 does.
func (h *process) kill() {
	_ = h.cmd.Process.Kill() // it may have exited
	<-h.exited
}

// stop asks the hub to end and returns its exit code, or -1 if it had to be killed.
func (h *process) stop() int {
	_ = h.cmd.Process.Signal(syscall.SIGTERM) // it may have exited
	select {
	case <-h.exited:
	case <-time.After(30 * time.Second):
		h.kill()
	}
	return h.cmd.ProcessState.ExitCode()
}

// lastWords returns why a hub ended by itself: its panic, or its last line.
func (h *process) lastWords() string {
	log := strings.TrimSpace(h.log.String())
	if at := lastWords.FindStringIndex(log); at != nil {
		progress("the hub has ended so:\n%.16000s", heapSlots.ReplaceAllString(log[at[0]:], ""))
		log, _, _ = strings.Cut(log[at[0]:], "\n")
	}
	return fmt.Sprintf("exit code %d: %.300s", h.cmd.ProcessState.ExitCode(), log[strings.LastIndex(log, "\n")+1:])
}

// lastWords matches how the runtime begins to say why it ends a program.
var lastWords = regexp.MustCompile(`(?m)^(panic|fatal error|runtime): `)

// heapSlots matches the thousands of lines in which the runtime lists a part of the heap.
var heapSlots = regexp.MustCompile(`(?m)^0x[0-9a-f]+ +(free|alloc) .*\n`)

// judge stops the hub, and reports how that went and whether it logged something that
// no hub should.
func (h *process) judge(r *report) {
	code := h.stop()
	r.must("hub exit code after SIGTERM", code, code == 0, "0")
	var bad []string
	for line := range strings.Lines(h.log.String()) {
		if strings.Contains(line, "level=ERROR") || strings.HasPrefix(line, "panic:") || strings.Contains(line, "DATA RACE") {
			bad = append(bad, strings.TrimSpace(line))
		}
	}
	if len(bad) > 0 {
		progress("the hub has logged errors, the first of them:\n%s", bad[0])
	}
	r.zero("errors in the hub's log", len(bad))
}

// A logTail keeps the end of a process's output.
type logTail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const logTailSize = 8 << 20 // room for the stacks of all goroutines

func (l *logTail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() > 2*logTailSize {
		l.text.Next(l.text.Len() - logTailSize)
	}
	return l.text.Write(p)
}

func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
