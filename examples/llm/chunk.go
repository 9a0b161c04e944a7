package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tidings-sse/tidings/sse"
)

// maxSaid is how many bytes of an API's text an error quotes.
const maxSaid = 300

// A chunk is one event of the answer, limited to the fields used here:
// https://platform.openai.com/docs/api-reference/chat-streaming.
type chunk struct {
	Choices []struct {
		Delta        struct{ Content string }
		FinishReason string `json:"finish_reason"`
	}
	apiError
}

// An apiError is an error as APIs report it, in place of a chunk or of a stream:
//
//	{"error":{"message":"…"}}            most
//	{"error":"…"}                        Ollama, text-generation-inference, vLLM's 401
//	{"object":"error","message":"…"}     vLLM
//	{"type":"error","message":"…"}       OpenAI's events of type error
//	{"message":"…"}, {"detail":"…"}      gateways and frameworks
type apiError struct {
	Error           json.RawMessage
	Message, Detail json.RawMessage
	Object, Type    string
}

// parseChunk returns an event's piece of the answer and its finish reason; both may be
// empty. If the event reports an error or is not a chunk, it returns an error.
func parseChunk(event sse.Event) (piece, reason string, err error) {
	data := strings.TrimSpace(event.Data)
	if data == "" { // a keep-alive
		return "", "", nil
	}
	var c chunk
	invalid := json.Unmarshal([]byte(data), &c)
	if event.Type == "error" || invalid == nil && (c.isError() || len(c.Choices) == 0 && c.hasText()) {
		return "", "", fmt.Errorf("the model's API reported an error: %s", said([]byte(data)))
	}
	if invalid != nil {
		return "", "", fmt.Errorf("the model's API sent something that is not a chunk of an answer: %s", shortened(data))
	}
	if len(c.Choices) == 0 {
		return "", "", nil
	}
	return c.Choices[0].Delta.Content, c.Choices[0].FinishReason, nil
}

func (e *apiError) isError() bool {
	if e.Object == "error" || e.Type == "error" {
		return true
	}
	switch string(e.Error) {
	case "", "null", "false", `""`, "{}": // as some send with each chunk
		return false
	}
	return true
}

// hasText reports whether a field that only errors use holds a string. Ollama's own API
// has an object there, with the answer.
func (e *apiError) hasText() bool {
	return bytes.HasPrefix(e.Message, []byte(`"`)) || bytes.HasPrefix(e.Detail, []byte(`"`))
}

// said returns the message in an API's error, or the whole body if it finds none.
func said(body []byte) string {
	var e apiError
	if json.Unmarshal(body, &e) == nil {
		var inner apiError
		_ = json.Unmarshal(e.Error, &inner) // if it is not an object, it has no message
		for _, value := range []json.RawMessage{inner.Message, e.Error, e.Message, e.Detail} {
			var text string
			if json.Unmarshal(value, &text) == nil && text != "" {
				return shortened(text)
			}
		}
	}
	var text string
	if json.Unmarshal(body, &text) == nil {
		return shortened(text)
	}
	return shortened(string(body))
}

func shortened(text string) string {
	text = strings.TrimSpace(text)
	if len(text) <= maxSaid {
		return text
	}
	return strings.ToValidUTF8(text[:maxSaid], "") + "…"
}

// explain describes a failed request, in the API's words if possible.
func explain(err error) error {
	var status *sse.StatusError
	var content *sse.ContentTypeError
	switch {
	case errors.As(err, &status):
		name := strings.TrimSpace(fmt.Sprint(status.Code, " ", http.StatusText(status.Code))) // 529 has none
		return withSaid(fmt.Errorf("the model's API answered %s", name), status.Body)
	case errors.As(err, &content):
		answered := fmt.Errorf("the model's API answered with %q in place of a stream", content.Header.Get("Content-Type"))
		return withSaid(answered, content.Body)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the connection to the model's API broke in mid-answer: %w", err)
	case errors.Is(err, sse.ErrIdleTimeout):
		return fmt.Errorf("the model's API was silent for %s: %w", idle, err)
	}
	return err
}

func withSaid(answered error, body []byte) error {
	if text := said(body); text != "" {
		return fmt.Errorf("%w: %s", answered, text)
	}
	return answered
}
