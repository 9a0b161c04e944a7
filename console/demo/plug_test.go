package demo

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A stream of the hub that has been killed is told to come back, and ends as a
// broken one does: some clients take a regular end for the last word.
func TestKilledHubAsksToComeBack(t *testing.T) {
	server := httptest.NewServer(NewPlug("", "", slog.New(slog.DiscardHandler)).Events(nil))
	defer server.Close()
	ask := func(method, accept string) (*http.Response, string, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp, string(body), err
	}
	resp, body, err := ask(http.MethodGet, "text/event-stream")
	if want := "retry: 500\nevent: position\ndata: {}\n\n"; body != want || resp.StatusCode != http.StatusOK {
		t.Errorf("got %d %q, want %q", resp.StatusCode, body, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream ends with %v", err)
	}
	if _, _, err := ask(http.MethodHead, "text/event-stream"); err != nil {
		t.Errorf("HEAD: %v", err)
	}
	if resp, _, err := ask(http.MethodGet, "application/json"); err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("without a stream: %d, Retry-After %q, %v", resp.StatusCode, resp.Header.Get("Retry-After"), err)
	}
}
