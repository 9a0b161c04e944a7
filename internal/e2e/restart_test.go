package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A hub that keeps events in memory loses them when it is killed. Browsers must get
// a gap, and then every event published since the restart.
func TestKilledHubSendsGap(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	p := startProxy(t, h.addr)
	page := openRecorder(t)
	s := page.connect(p.url("/events/news"), connection{types: []string{"gap"}})
	s.expect("onopen", open)
	old := h.publishNumbers("news", 1, 3)
	s.expectNumbers(1, old)

	p.refuse() // until the next events are published
	h.kill()
	s.expect("onerror", connecting)
	h.start()
	fresh := h.publishNumbers("news", 4, 8)
	p.accept()
	gap := s.nextEvent()
	var reported struct {
		Requested    string `json:"requested"`
		ResumedAfter string `json:"resumed_after"`
		Reason       string `json:"reason"`
	}
	if err := json.Unmarshal([]byte(gap.Data), &reported); err != nil || gap.Type != "gap" {
		t.Fatalf("want a gap first, got %+v (%v)", gap, err)
	}
	if reported.Reason != "epoch" || reported.Requested != old[2] || reported.ResumedAfter != gap.ID {
		t.Errorf("gap %+v with id %s; the browser asked for %s", reported, gap.ID, old[2])
	}
	s.expectNumbers(4, fresh)

	p.cut(false)
	s.expect("onerror", connecting)
	s.expectNumbers(9, h.publishNumbers("news", 9, 10)) // a second gap would come first
}

// A gap sets the last event ID, so a stream cut right after it does not get the gap
// again.
func TestGapIsSentOnce(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	p := startProxy(t, h.addr)
	page := openRecorder(t)
	s := page.connect(p.url("/events/news?last_event_id=never-published"), connection{types: []string{"gap"}})
	s.expect("onopen", open)
	gap := s.expect("addEventListener", open)
	if gap.Type != "gap" || gap.ID == "" || !strings.Contains(gap.Data, `"reason":"unknown"`) {
		t.Fatalf("want a gap for an unknown id, got %+v", gap)
	}
	p.refuse()
	p.cut(false)
	s.expect("onerror", connecting)
	ids := h.publishNumbers("news", 1, 2)
	p.accept()
	s.expectNumbers(1, ids)
	requests := p.seen()
	if got := requests[len(requests)-1].Header.Get("Last-Event-ID"); got != gap.ID {
		t.Errorf("the browser resumes after %q, want the gap's %q", got, gap.ID)
	}
}

func TestDrainedHubLetsBrowsersThrough(t *testing.T) {
	t.Parallel()
	const drain, retry = 2 * time.Second, 200 * time.Millisecond
	h := startHub(t, "--drain", drain.String(), "--retry", retry.String())
	p := startProxy(t, h.addr)
	page := openRecorder(t)
	s := page.connect(p.url("/events/news?of=old"), connection{types: []string{"gap"}})
	s.expect("onopen", open)
	s.expectNumbers(1, h.publishNumbers("news", 1, 1))
	for range 30 { // the drain spreads their ends, so it takes its full time
		openRaw(t, h.url("/events/news"))
	}

	asked := time.Now()
	h.signal(t, syscall.SIGTERM)
	eventually(t, "readiness to end", func() (bool, string) {
		resp, err := client.Get(h.url("/readyz"))
		if err != nil {
			return false, err.Error()
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable, resp.Status
	})
	late := page.connect(p.url("/events/news?of=late"), connection{})
	late.expect("onopen", open) // any status but 200 would end it for good
	late.expect("onerror", connecting)
	s.expect("onerror", connecting)
	if code := h.wait(t); code != 0 {
		t.Errorf("a drained hub exits with %d", code)
	}
	if d := time.Since(asked); d > drain+3*time.Second {
		t.Errorf("the drain took %s, want %s", d, drain)
	}

	const newRetry = 1200 * time.Millisecond
	h.start("--retry", newRetry.String())
	if r := s.nextEvent(); r.Type != "gap" || !strings.Contains(r.Data, `"reason":"epoch"`) {
		t.Fatalf("want the restarted hub's gap, got %+v", r)
	}
	for late.next().Handler != "onopen" { // skip the errors from while the hub was down
	}
	ids := h.publishNumbers("news", 2, 3)
	s.expectNumbers(2, ids)
	late.expectNumbers(2, ids)

	first := map[string]bool{}
	for _, r := range p.seen() {
		of := r.URL.Query().Get("of")
		if d := r.at.Sub(asked); first[of] && d < drain {
			t.Errorf("%s reconnected %s after the drain began, before its end", of, d)
		}
		first[of] = true
	}
	cut := time.Now()
	before := len(p.seen())
	p.cut(false)
	s.expect("onerror", connecting)
	s.expect("onopen", open)
	if d := p.seen()[before].at.Sub(cut); d < newRetry-50*time.Millisecond || d > newRetry+patience {
		t.Errorf("the browser reconnected %s after the cut; the new hub's retry is %s", d, newRetry)
	}
}
