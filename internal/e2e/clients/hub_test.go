package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A hub is a running `tidings serve` with its log on disk, so that it has its events
// after a restart.
type hub struct {
	binary string
	port   string
	data   string
	*process
}

func startHub(t *testing.T, binary string) *hub {
	t.Helper()
	h := &hub{binary: binary, port: freePort(t), data: t.TempDir()}
	h.start(t)
	return h
}

// freePort returns a TCP port without a listener, below the range from which systems
// take ports for outgoing connections: while the hub is down, a client's connection
// must not take the hub's port and connect to itself.
func freePort(t *testing.T) string {
	t.Helper()
	var errs error
	for range 100 {
		port := strconv.Itoa(18000 + rand.N(14000))
		ln, err := net.Listen("tcp", net.JoinHostPort("localhost", port))
		if err == nil {
			_ = ln.Close()
			return port
		}
		errs = errors.Join(errs, err)
	}
	t.Fatalf("no free port: %v", errs)
	return ""
}

// start starts or restarts the hub, and waits until it is ready. Heartbeats are rare,
// so that they do not hide a position missing from the first block.
func (h *hub) start(t *testing.T) {
	t.Helper()
	h.process = start(t, exec.Command(h.binary, "serve", "--listen", "localhost:"+h.port, "--data", h.data,
		"--drain", "2s", "--heartbeat", "10m"))
	eventually(t, "a ready hub", func() bool {
		resp, err := http.Get(h.url("localhost", "/readyz"))
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// kill ends the hub with SIGKILL.
func (h *hub) kill(t *testing.T) { h.end(t, syscall.SIGKILL) }

// drain ends the hub with SIGTERM, upon which it drains its streams.
func (h *hub) drain(t *testing.T) { h.end(t, syscall.SIGTERM) }

func (h *hub) end(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := h.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	select {
	case <-h.exited:
	case <-time.After(patience):
		t.Fatalf("the hub still runs %s after %s", patience, s)
	}
}

// url returns the URL of a path of the hub, under one of this machine's names.
func (h *hub) url(host, path string) string {
	return "http://" + net.JoinHostPort(host, h.port) + path
}

// publish publishes number n to each listener's topic, in the form that its client
// needs.
func (h *hub) publish(t *testing.T, n int, audience []*listener) {
	t.Helper()
	var batch bytes.Buffer
	enc := json.NewEncoder(&batch)
	for _, l := range audience {
		typ, data := "", fmt.Sprint(n)
		if l.form != nil {
			typ, data = l.form(n)
		}
		item := map[string]any{"topic": l.topic, "data": data}
		if typ != "" {
			item["type"] = typ
		}
		if err := enc.Encode(item); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := http.Post(h.url("localhost", "/events"), "application/x-ndjson", &batch)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
		if !strings.HasPrefix(sc.Text(), `{"id":`) {
			t.Fatalf("publish: %s %s", resp.Status, sc.Text())
		}
	}
}

// open returns the topics that have a caught-up stream.
func (h *hub) open() map[string]bool {
	topics := map[string]bool{}
	resp, err := http.Get(h.url("localhost", "/subscriptions?limit=1000"))
	if err != nil {
		return topics
	}
	defer func() { _ = resp.Body.Close() }()
	var page struct {
		Subscriptions []struct {
			Selectors []string
			State     string
		}
	}
	_ = json.NewDecoder(resp.Body).Decode(&page) // an error: no topics; callers ask again
	for _, s := range page.Subscriptions {
		if s.State == "caught_up" {
			topics[s.Selectors[0]] = true
		}
	}
	return topics
}

// settle returns when the open streams have been sent their first block. It opens
// more streams, enough for each of the hub's shards to have some, and waits for
// their first blocks.
func (h *hub) settle(t *testing.T) {
	t.Helper()
	for range 16 {
		resp, err := http.Get(h.url("localhost", "/events/settle"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		for sc := bufio.NewScanner(resp.Body); sc.Scan() && sc.Text() != ""; {
		}
	}
}
