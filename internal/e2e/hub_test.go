package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A hub is a running `tidings serve`. A test can restart it at the same address.
type hub struct {
	*process
	t     *testing.T
	addr  string
	token string // with which publish publishes; empty: none
	fails bool   // the test makes it fail, so it may log errors
}

// startHub runs a hub with short times, which args may override. Heartbeats also
// send the stream's position; they are rare, so that they do not hide a position
// missing from the first block or an event.
func startHub(t *testing.T, args ...string) *hub {
	t.Helper()
	h := &hub{t: t, addr: address(freePort(t))}
	h.start(args...)
	return h
}

// start starts or restarts the hub, and waits until it is ready.
func (h *hub) start(args ...string) {
	h.t.Helper()
	args = append([]string{"serve", "--listen", h.addr, "--retry", "300ms", "--heartbeat", "10m", "--drain", "1s", "--store", "memory"}, args...)
	dir, err := os.MkdirTemp("", "tidings-e2e-hub-") // a killed hub leaves temporary files behind
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	p := start(h.t, cmd)
	h.process = p
	fails := h.fails
	h.t.Cleanup(func() {
		for _, bad := range []string{"panic", "DATA RACE", "level=ERROR"} {
			if bad == "level=ERROR" && fails {
				continue
			}
			if strings.Contains(p.output.String(), bad) {
				h.t.Errorf("the hub has printed %q", bad)
			}
		}
	})
	h.isReady()
}

// isReady waits until the hub is ready.
func (h *hub) isReady() {
	h.t.Helper()
	eventually(h.t, "a ready hub", func() (bool, string) {
		select {
		case <-h.exited:
			h.t.Fatalf("the hub exited:\n%s", h.output.String())
		default:
		}
		resp, err := client.Get(h.url("/readyz"))
		if err != nil {
			return false, err.Error()
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
}

func (h *hub) url(path string) string { return "http://" + h.addr + path }

// hasLogged waits until the hub has printed a text.
func (h *hub) hasLogged(text string) {
	h.t.Helper()
	eventually(h.t, "the hub to log "+text, func() (bool, string) {
		seen := h.output.String()
		return strings.Contains(seen, text), seen
	})
}

// publish publishes an event and returns its id. fields are names and values of
// further fields, in turn: "type", "price", "id", "7".
func (h *hub) publish(topic, data string, fields ...string) string {
	h.t.Helper()
	q := url.Values{"topic": {topic}}
	for i := 0; i < len(fields); i += 2 {
		q.Set(fields[i], fields[i+1])
	}
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url("/events?"+q.Encode()), strings.NewReader(data))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	if h.token != "" {
		req.Header.Set("Authorization", "Bearer "+h.token)
	}
	resp, err := client.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		h.t.Fatalf("publish: %s %s %v", resp.Status, body, err)
	}
	var result struct{ ID string }
	if err := json.Unmarshal(body, &result); err != nil || result.ID == "" {
		h.t.Fatalf("publish: answer %q has no id (%v)", body, err)
	}
	return result.ID
}

// publishNumbers publishes the numbers from first to last, and returns their
// events' ids in that order.
func (h *hub) publishNumbers(topic string, first, last int) []string {
	h.t.Helper()
	var ids []string
	for n := first; n <= last; n++ {
		ids = append(ids, h.publish(topic, fmt.Sprint(n)))
	}
	return ids
}

// mintToken makes a token with `tidings token`.
func mintToken(t *testing.T, key string, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, append([]string{"token", "--key", key}, args...)...).Output()
	if err != nil {
		t.Fatalf("tidings token: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// hasStreams waits until the given number of streams is open.
func (h *hub) hasStreams(want int) {
	h.t.Helper()
	eventually(h.t, fmt.Sprint(want, " streams"), func() (bool, string) {
		resp, err := client.Get(h.url("/subscriptions"))
		if err != nil {
			return false, err.Error()
		}
		defer func() { _ = resp.Body.Close() }()
		var open struct{ Total int }
		err = json.NewDecoder(resp.Body).Decode(&open)
		return open.Total == want, fmt.Sprint(open.Total, err)
	})
}
