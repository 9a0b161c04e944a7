package e2e

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A rawStream is an open stream as its bytes come, line by line.
type rawStream struct {
	header http.Header
	lines  <-chan string
}

// openRaw opens a stream without EventSource's ways.
func openRaw(t *testing.T, target string) *rawStream {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return openRawRequest(t, req)
}

func openRawRequest(t *testing.T, req *http.Request) *rawStream {
	t.Helper()
	ctx, cancel := context.WithCancel(req.Context())
	late := time.AfterFunc(patience, cancel)
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if !late.Stop() || err != nil {
		t.Fatalf("GET %s: no headers within %s: %v", req.URL, patience, err)
	}
	if resp.StatusCode != http.StatusOK {
		cancel()
		t.Fatalf("GET %s: %s", req.URL, resp.Status)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		defer cancel()
		defer func() { _ = resp.Body.Close() }()
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-t.Context().Done():
				return
			}
		}
	}()
	return &rawStream{resp.Header, lines}
}

// A block is what stands between two blank lines: its fields, by name.
type block map[string]string

// next waits for the next block that has such a field.
func (s *rawStream) next(t *testing.T, field string) block {
	t.Helper()
	deadline := time.After(patience)
	b := block{}
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				t.Fatalf("the stream ended before a block with %q", field)
			}
			if name, value, ok := strings.Cut(line, ":"); ok && name != "" {
				b[name] = strings.TrimPrefix(value, " ")
			}
			if _, has := b[field]; line == "" && has {
				return b
			} else if line == "" {
				b = block{}
			}
		case <-deadline:
			t.Fatalf("no block with %q within %s", field, patience)
		}
	}
}
