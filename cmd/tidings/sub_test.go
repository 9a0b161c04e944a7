package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidings-sse/tidings/sse"
)

// sub runs `tidings sub` against a server that answers the first request with a body and
// the next with 204.
func sub(t *testing.T, contentType, body string, args ...string) (code int, stdout, stderr string, requests int) {
	t.Helper()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) > 1 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	var out, errOut bytes.Buffer
	code = run(append([]string{"sub", server.URL}, args...), strings.NewReader(""), &out, &errOut)
	return code, out.String(), errOut.String(), int(asked.Load())
}

func TestSubEndsAtAnEventThatIsTooLarge(t *testing.T) {
	large := strings.Repeat("x", 3<<10)
	body := "retry: 0\ndata: a\n\ndata: " + large + "\n\n"
	code, stdout, stderr, requests := sub(t, sse.MediaType, body, "--max-event", "1KiB")
	if code != exitFailure || stdout != "a\n" || requests != 1 {
		t.Errorf("exit code %d after %d requests, printed %q", code, requests, stdout)
	}
	if want := "tidings: an event is larger than 1.0 KiB: allow more, as in --max-event 2.0KiB\n"; stderr != want {
		t.Errorf("it says %q, want %q", stderr, want)
	}
	code, stdout, stderr, _ = sub(t, sse.MediaType, body, "--max-event", "4KiB")
	if want := "a\n" + large + "\n"; code != 0 || stdout != want {
		t.Errorf("allowed, it ends with %d, prints %d bytes and says %q", code, len(stdout), stderr)
	}
	if code, _, stderr, _ := sub(t, sse.MediaType, body, "--max-event", "0"); code != exitUsage || !strings.Contains(stderr, "--max-event") {
		t.Errorf("--max-event 0 ends with %d: %q", code, stderr)
	}
}

func TestSubPrintsAnAnswerThatIsNoStream(t *testing.T) {
	for _, tt := range []struct{ why, contentType, body, says string }{
		{"a model's API", "application/json", `{"error":{"message":"model not loaded"}}`,
			`the response is not an event stream (Content-Type "application/json"): {"error":{"message":"model not loaded"}}`},
		{"a problem", "application/problem+json", `{"detail":"come back tomorrow"}`, "come back tomorrow"},
		{"a page", "text/html", strings.Repeat("<p>", 2<<10), strings.Repeat("<p>", 1365) + "<\n"},
		{"nothing", "text/html", "", `(Content-Type "text/html")`},
		{"characters that would control a terminal", "text/plain", "a\x1b[2Jb\u009bc\r\n\td\xff", "a\uFFFD[2Jb\uFFFDc\uFFFD\n\td\uFFFD"},
	} {
		code, stdout, stderr, requests := sub(t, tt.contentType, tt.body)
		if code != exitFailure || stdout != "" || requests != 1 || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: exit code %d, %d requests, %q; want 1, 1 and %q", tt.why, code, requests, stderr, tt.says)
		}
	}
}

// Position events are not events of a topic: they are neither printed nor counted.
func TestSubShowsNoPositions(t *testing.T) {
	position := func(id string) string { return "event: position\ndata: {}\nid: " + id + "\n\n" }
	body := "retry: 0\n" + position("_1") + "id: _2\ndata: a\n\n" + position("_3") + "event: price\ndata: {}\n\n" + position("_4")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "a\n[price] {}\n"},
		{[]string{"--count", "1"}, "a\n"},
		{[]string{"--count", "2", "--json"}, fmt.Sprintln(`{"id":"_2","type":"message","data":"a"}`) + fmt.Sprintln(`{"id":"_3","type":"price","data":"{}"}`)},
	} {
		code, stdout, stderr, _ := sub(t, sse.MediaType, body, tt.args...)
		if code != 0 || stdout != tt.want {
			t.Errorf("sub %v: exit code %d, printed %q and said %q; want %q", tt.args, code, stdout, stderr, tt.want)
		}
	}
}

func TestSubSaysAStatusWithoutAName(t *testing.T) {
	err := &sse.StatusError{Code: 529, Body: []byte("overloaded")}
	if got := failure(err); got != "the server answered 529: overloaded" || err.Error() != "sse: unexpected status 529" {
		t.Errorf("it says %q, of %q", got, err)
	}
}
