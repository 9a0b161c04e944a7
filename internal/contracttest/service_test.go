package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/sse"
)

// callbacks is the harness's side. It receives messages in their order.
type callbacks chan string

func (c callbacks) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c <- r.URL.Path + " " + string(body)
}

func post(t *testing.T, url, body string) *http.Response {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// remove sends a DELETE and returns the response's status.
func remove(t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestService(t *testing.T) {
	quit := make(chan bool, 1)
	s := newService(t.Context(), func() { quit <- true })
	service := httptest.NewServer(s)
	defer service.Close()
	seen := make(callbacks, 10)
	harness := httptest.NewServer(seen)
	defer harness.Close()
	texts := make(chan string, 10)
	requests := make(chan *http.Request, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		requests <- r
		w.Header().Set("Content-Type", sse.MediaType)
		flush := http.NewResponseController(w).Flush
		for flush() == nil {
			select {
			case text := <-texts:
				io.WriteString(w, text)
			case <-r.Context().Done():
				return
			}
		}
	}))
	defer server.Close()

	resp := post(t, service.URL, fmt.Sprintf(`{"tag": "x", "streamUrl": %q, "callbackUrl": %q, "initialDelayMs": 0,
		"readTimeoutMs": null, "lastEventId": "7", "method": "REPORT", "body": "hello", "headers": {"x-own": "1"}}`,
		server.URL, harness.URL))
	stream := service.URL + resp.Header.Get("Location")
	if resp.StatusCode != http.StatusCreated || stream == service.URL {
		t.Fatalf("create: %s, Location %q", resp.Status, resp.Header.Get("Location"))
	}
	r := <-requests
	body, _ := io.ReadAll(r.Body)
	if r.Method != "REPORT" || string(body) != "hello" || r.Header.Get("X-Own") != "1" || r.Header.Get("Last-Event-ID") != "7" {
		t.Errorf("%s %q %v", r.Method, body, r.Header)
	}

	want := func(message string) {
		t.Helper()
		if got := <-seen; got != message {
			t.Errorf("got %s, want %s", got, message)
		}
	}
	texts <- ": hi\nevent: a\ndata: not listened to\n\ndata: 1\n\n"
	want(`/1 {"kind":"comment","comment":"hi"}`)
	want(`/2 {"kind":"event","event":{"type":"message","data":"1","id":"7"}}`)
	if resp := post(t, stream, `{"command": "listen", "listen": {"type": "a"}}`); resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
	texts <- "event: a\nid: 8\ndata: 2\n\n"
	want(`/3 {"kind":"event","event":{"type":"a","data":"2","id":"8"}}`)
	post(t, stream, `{"command": "restart"}`)
	if r := <-requests; r.Header.Get("Last-Event-ID") != "8" {
		t.Errorf("restarted with %v", r.Header)
	}

	if resp := post(t, stream, `{"command": "dance"}`); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown command: %s", resp.Status)
	}
	if resp := post(t, service.URL, `{"streamUrl": "http://[", "callbackUrl": "http://x"}`); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a bad URL: %s", resp.Status)
	}
	if code := remove(t, stream); code != http.StatusOK {
		t.Errorf("close: %d", code)
	}
	if code := remove(t, stream); code != http.StatusNotFound {
		t.Errorf("close again: %d", code)
	}
	if resp := post(t, stream, `{"command": "restart"}`); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a command for a closed stream: %s", resp.Status)
	}
	remove(t, service.URL)
	<-quit
	s.wait()
}

func TestServiceDeclaresAllCapabilities(t *testing.T) {
	w := httptest.NewRecorder()
	newService(t.Context(), nil).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	var got struct {
		Name         string
		Capabilities []string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Name == "" || len(got.Capabilities) != 10 {
		t.Errorf("%s, %v", w.Body, err)
	}
}
