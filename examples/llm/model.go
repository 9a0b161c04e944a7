// Package llm publishes a language model's answers to a hub, token by token, as they are
// generated. A reader that reloads, loses the network or changes device continues where
// it was, and any number of readers can follow.
//
// [Model] is a client of an OpenAI-compatible API, which itself streams over Server-Sent
// Events. [Worker] reads questions from a topic of the hub and publishes each answer to a
// topic of its own. Copy what you need; answerer is the program that connects the two.
package llm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/tidings-sse/tidings/sse"
)

// ErrLength reports an answer that the model cut because it was too long.
var ErrLength = errors.New("the answer reached the model's limit")

// idle is how long a model may send nothing.
const idle = 2 * time.Minute

// A Model is a language model behind an OpenAI-compatible API.
type Model struct {
	URL        string       // the API's base URL, such as http://localhost:11434/v1
	Name       string       // the model's name in the API
	Key        string       // sent as a bearer token, unless empty
	HTTPClient *http.Client // nil: http.DefaultClient
}

// A Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// Answer returns the pieces of the answer as they arrive. An error is the last element;
// without one the answer is complete. Cancel ctx to stop the model.
func (m *Model) Answer(ctx context.Context, messages ...Message) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		req, err := m.request(ctx, messages)
		if err != nil {
			yield("", err)
			return
		}
		client := sse.Client{HTTPClient: m.HTTPClient, IdleTimeout: idle}
		var finished string
		for event, err := range client.Once(req) {
			if err != nil && finished != "" {
				break // the answer is complete; only its end mark is missing
			}
			if err != nil {
				yield("", explain(err))
				return
			}
			if strings.TrimSpace(event.Data) == "[DONE]" {
				finished = cmp.Or(finished, "stop")
				break
			}
			piece, reason, err := parseChunk(event)
			if err != nil {
				yield("", err)
				return
			}
			finished = cmp.Or(reason, finished) // a chunk with usage figures but no reason may follow
			if piece != "" && !yield(piece, nil) {
				return
			}
		}
		if err := ending(finished); err != nil {
			yield("", err)
		}
	}
}

// ending returns nil if a finish reason means that the answer is complete, and otherwise
// an error.
func ending(reason string) error {
	switch reason {
	case "":
		return errors.New("the model's API ended the stream in mid-answer")
	case "length", "model_length": // Mistral's
		return ErrLength
	case "error", "abort", "insufficient_system_resource": // OpenRouter's, vLLM's, DeepSeek's
		return fmt.Errorf("the model's API ended the answer early (%s)", reason)
	case "content_filter":
		return errors.New("the model's API withheld the rest of the answer (content_filter)")
	}
	return nil
}

func (m *Model) request(ctx context.Context, messages []Message) (*http.Request, error) {
	body, err := json.Marshal(map[string]any{"model": m.Name, "messages": messages, "stream": true})
	if err != nil {
		return nil, err
	}
	url := strings.TrimSuffix(m.URL, "/") + "/chat/completions"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if m.Key != "" {
		req.Header.Set("Authorization", "Bearer "+m.Key)
	}
	return req, nil
}
