package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// chunks is a stream as such APIs send it, ended as they do.
func chunks(pieces ...string) string {
	var b strings.Builder
	b.WriteString(`data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n")
	for _, piece := range pieces {
		text, _ := json.Marshal(piece)
		fmt.Fprintf(&b, `data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":%s},"finish_reason":null}]}`+"\n\n", text)
	}
	return b.String()
}

const (
	finish = `data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"%s"}]}` + "\n\n"
	usage  = `data: {"id":"c1","choices":[],"usage":{"total_tokens":12}}` + "\n\n"
	end    = "data: [DONE]\n\n"
)

func TestAnswer(t *testing.T) {
	for _, tt := range []struct {
		why    string
		status int
		body   string
		want   string
		says   string // in the error; "" is none
	}{
		{"a whole answer", 200, chunks("Hel", "lo,\n", "世界") + fmt.Sprintf(finish, "stop") + end, "Hello,\n世界", ""},
		{"what follows [DONE] is none of it", 200, chunks("a") + end + chunks("b"), "a", ""},
		{"figures without a choice, and a comment", 200, ": keep-alive\n\n" + chunks("a") + fmt.Sprintf(finish, "stop") + usage + end, "a", ""},
		{"an API that leaves [DONE] out", 200, chunks("a") + fmt.Sprintf(finish, "stop"), "a", ""},
		{"cut by the model's limit", 200, chunks("a", "b") + fmt.Sprintf(finish, "length") + end, "ab", ErrLength.Error()},
		{"cut by the network", 200, chunks("a", "b"), "ab", "mid-answer"},
		{"an error in the stream", 200, chunks("a") + `data: {"error":{"message":"out of memory"}}` + "\n\n", "a", "out of memory"},
		{"no JSON", 200, "data: hello\n\n", "", "no JSON"},
		{"refused, with a reason", 401, `{"error":{"message":"Incorrect API key"}}`, "", "Incorrect API key"},
		{"refused, without", 502, `bad gateway`, "", "502 Bad Gateway"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Method != "POST" || r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer key" ||
				string(body) != `{"messages":[{"role":"user","content":"why?"}],"model":"m","stream":true}` {
				t.Errorf("%s: asked with %s %s %v %s", tt.why, r.Method, r.URL, r.Header, body)
			}
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.body)
		}))
		model := Model{URL: server.URL + "/v1/", Name: "m", Key: "key"}
		var got strings.Builder
		var failed error
		for piece, err := range model.Answer(t.Context(), Message{"user", "why?"}) {
			got.WriteString(piece)
			failed = err
		}
		if got.String() != tt.want || (failed == nil) != (tt.says == "") || failed != nil && !strings.Contains(failed.Error(), tt.says) {
			t.Errorf("%s: %q, %v; want %q, %q", tt.why, got.String(), failed, tt.want, tt.says)
		}
		server.Close()
	}
}

// Whoever stops listening must not pay for the rest.
func TestAnswerStopsTheModel(t *testing.T) {
	stopped := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, chunks("a"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(stopped)
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	model := Model{URL: server.URL}
	var failed error
	for piece, err := range model.Answer(ctx) {
		if piece == "a" {
			cancel()
		}
		failed = err
	}
	if !errors.Is(failed, context.Canceled) {
		t.Errorf("cancelled, the answer ended with %v", failed)
	}
	<-stopped
}
