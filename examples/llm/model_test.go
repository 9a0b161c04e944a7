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

// chunks returns a stream in the form that such APIs send.
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
		says   string // part of the error; "": no error
	}{
		{"a whole answer", 200, chunks("Hel", "lo,\n", "世界") + fmt.Sprintf(finish, "stop") + end, "Hello,\n世界", ""},
		{"text after [DONE] is not part of it", 200, chunks("a") + end + chunks("b"), "a", ""},
		{"figures without a choice, and a comment", 200, ": keep-alive\n\n" + chunks("a") + fmt.Sprintf(finish, "stop") + usage + end, "a", ""},
		{"cut by the model's limit", 200, chunks("a", "b") + fmt.Sprintf(finish, "length") + end, "ab", ErrLength.Error()},
		{"cut by the network", 200, chunks("a", "b"), "ab", "mid-answer"},
	} {
		got, failed := ask(t, tt.status, "text/event-stream", tt.body)
		if got != tt.want || (failed == nil) != (tt.says == "") || failed != nil && !strings.Contains(failed.Error(), tt.says) {
			t.Errorf("%s: %q, %v; want %q, %q", tt.why, got, failed, tt.want, tt.says)
		}
	}
}

// ask asks a model whose API answers with a body, and returns the model's answer and
// error.
func ask(t *testing.T, status int, contentType, body string) (answer string, failed error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer key" ||
			string(asked) != `{"messages":[{"role":"user","content":"why?"}],"model":"m","stream":true}` {
			t.Errorf("asked with %s %s %v %s", r.Method, r.URL, r.Header, asked)
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		whole, cut := strings.CutSuffix(body, broken)
		_, _ = io.WriteString(w, whole)
		if cut {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	model := Model{URL: server.URL + "/v1/", Name: "m", Key: "key"}
	var got strings.Builder
	for piece, err := range model.Answer(t.Context(), Message{"user", "why?"}) {
		got.WriteString(piece)
		failed = err
	}
	return got.String(), failed
}

// broken at the end of a body makes the connection break there.
const broken = "(cut)"

// Some APIs that call themselves compatible send what OpenAI's does not. Each of these
// must become an error that quotes it.
func TestAnswerTellsErrors(t *testing.T) {
	const stream, object = "text/event-stream", "application/json"
	stop := fmt.Sprintf(finish, "stop")
	for _, tt := range []struct {
		why         string
		status      int
		contentType string
		body        string
		want        string
		says        string // part of the error; "": no error
	}{
		{"an error that is a text", 200, stream, chunks("a") + `data: {"error":"Request failed during generation: Server error: CUDA out of memory","error_type":"generation"}` + "\n\n",
			"a", "the model's API reported an error: Request failed during generation: Server error: CUDA out of memory"},
		{"an error with its message inside", 200, stream, `data: {"error":{"message":"Rate limit reached","type":"tokens","param":null,"code":"rate_limit_exceeded"}}` + "\n\n",
			"", "the model's API reported an error: Rate limit reached"},
		{"an error beside choices", 200, stream, chunks("a") + `data: {"error":{"code":502,"message":"Provider disconnected"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}` + "\n\n",
			"a", "the model's API reported an error: Provider disconnected"},
		{"an error by its object", 200, stream, chunks("a") + `data: {"object":"error","message":"max_tokens must be at least 1","type":"BadRequestError","param":null,"code":400}` + "\n\n" + end,
			"a", "the model's API reported an error: max_tokens must be at least 1"},
		{"an event of type error, its message at the top", 200, stream, chunks("a") + "event: error\n" + `data: {"type":"error","code":"server_error","message":"The server had an error","param":null}` + "\n\n",
			"a", "the model's API reported an error: The server had an error"},
		{"no more than a message", 200, stream, "event: error\n" + `data: {"message":"overloaded"}` + "\n\n", "", "the model's API reported an error: overloaded"},
		{"nor a type", 200, stream, `data: {"code":429,"message":"overloaded"}` + "\n\n", "", "the model's API reported an error: overloaded"},
		{"an event of type error, as text", 200, stream, "event: error\ndata: worker died\n\n", "", "the model's API reported an error: worker died"},
		{"no error", 200, stream, strings.ReplaceAll(chunks("a")+stop, `{"id"`, `{"error":null,"id"`) + end, "a", ""},
		{"401 with a text", 401, object, `{"error":"Unauthorized"}`, "", "the model's API answered 401 Unauthorized: Unauthorized"},
		{"401 with nothing but one", 401, object, `"Invalid key"`, "", "the model's API answered 401 Unauthorized: Invalid key"},
		{"401 with a message inside", 401, object, `{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}`, "", "the model's API answered 401 Unauthorized: Incorrect API key provided"},
		{"404 of a framework", 404, object, `{"detail":"Not Found"}`, "", "the model's API answered 404 Not Found: Not Found"},
		{"404 with the message at the top", 404, object, `{"object":"error","message":"The model m does not exist.","code":404}`, "", "the model's API answered 404 Not Found: The model m does not exist."},
		{"502 of a proxy", 502, "text/html", "bad gateway\n", "", "the model's API answered 502 Bad Gateway: bad gateway"},
		{"503 without a word", 503, "text/html", "", "", "the model's API answered 503 Service Unavailable"},
		{"an error in a 200 that is not a stream", 200, object, `{"error":{"message":"model is loading"}}`, "", `the model's API answered with "application/json" in place of a stream: model is loading`},
		{"an answer that does not stream", 200, object, `{"choices":[{"message":{"content":"hi"}}]}`, "", `the model's API answered with "application/json" in place of a stream: {"choices":[{"message":{"content":"hi"}}]}`},
		{"figures after length", 200, stream, chunks("a") + fmt.Sprintf(finish, "length") + usage + end, "a", ErrLength.Error()},
		{"figures with a choice after length", 200, stream, chunks("a") + fmt.Sprintf(finish, "length") + `data: {"id":"c1","choices":[{"index":0,"delta":{"content":""},"finish_reason":null}],"usage":{"total_tokens":12}}` + "\n\n" + end,
			"a", ErrLength.Error()},
		{"figures with a choice after stop", 200, stream, chunks("a") + stop + `data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":null}],"usage":{}}` + "\n\n", "a", ""},
		{"a filter's cut", 200, stream, chunks("a") + fmt.Sprintf(finish, "content_filter") + end, "a", "the model's API withheld the rest of the answer (content_filter)"},
		{"stop without [DONE]", 200, stream, chunks("a") + stop, "a", ""},
		{"stop, and the connection breaks", 200, stream, chunks("a") + stop + broken, "a", ""},
		{"it breaks before", 200, stream, chunks("a") + broken, "a", "the connection to the model's API broke in mid-answer: unexpected EOF"},
		{"an error after stop", 200, stream, chunks("a") + stop + `data: {"error":"billing"}` + "\n\n", "a", "the model's API reported an error: billing"},
		{"bare data to keep it alive", 200, stream, "data:\n\n" + chunks("a") + "data: \n\ndata\n\n" + stop + "data:\n\n" + end, "a", ""},
		{"no chunk", 200, stream, "data: hello\n\n", "", "the model's API sent something that is not a chunk of an answer: hello"},
		{"no error, by a value that is empty", 200, stream, strings.ReplaceAll(chunks("a"), `{"id"`, `{"error":"","id"`) + strings.ReplaceAll(chunks("b")+stop, `{"id"`, `{"error":false,"id"`) + end, "ab", ""},
		{"no error, by an object that is empty", 200, stream, strings.ReplaceAll(chunks("a")+stop, `{"id"`, `{"error":{},"id"`) + end, "a", ""},
		{"an end mark among blanks", 200, stream, chunks("a") + stop + "data:  [DONE] \n\n", "a", ""},
		{"an error that only the finish reason tells", 200, stream, chunks("a") + fmt.Sprintf(finish, "error") + end, "a", "the model's API ended the answer early (error)"},
		{"an engine that gave up", 200, stream, chunks("a") + fmt.Sprintf(finish, "abort") + end, "a", "the model's API ended the answer early (abort)"},
		{"a service without resources", 200, stream, chunks("a") + fmt.Sprintf(finish, "insufficient_system_resource") + end, "a", "the model's API ended the answer early (insufficient_system_resource)"},
		{"the model's own limit", 200, stream, chunks("a") + fmt.Sprintf(finish, "model_length") + end, "a", ErrLength.Error()},
		{"another word for stop", 200, stream, chunks("a") + fmt.Sprintf(finish, "eos_token") + end, "a", ""},
		{"a status without a name", 529, object, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, "", "the model's API answered 529: Overloaded"},
		{"an error of any length", 500, "text/html", strings.Repeat("世", 1000), "", "the model's API answered 500 Internal Server Error: " + strings.Repeat("世", maxSaid/3) + "…"},
	} {
		got, failed := ask(t, tt.status, tt.contentType, tt.body)
		if says := fmt.Sprint(failed); got != tt.want || tt.says == "" && failed != nil || tt.says != "" && says != tt.says {
			t.Errorf("%s: %q, %v; want %q, %q", tt.why, got, failed, tt.want, tt.says)
		}
	}
}

// A caller that stops reading must not pay for the rest.
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
