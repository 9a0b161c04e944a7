package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
)

// startHub serves a hub's API.
func startHub(t *testing.T) *Remote {
	t.Helper()
	h, err := hub.New(eventlog.NewMemory(eventlog.Retention{}), hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(httpapi.New(edge.New(h, edge.Options{}), httpapi.Options{}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		_ = h.Close()
	})
	return &Remote{URL: server.URL}
}

// A script is a model whose answer to each prompt comes from a channel of the test.
type script map[string]chan string

func (s script) answer(ctx context.Context, prompt string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			select {
			case piece, ok := <-s[prompt]:
				if !ok {
					return
				}
				if strings.HasPrefix(piece, "error: ") {
					yield("", errors.New(piece))
					return
				}
				if !yield(piece, nil) {
					return
				}
			case <-ctx.Done():
				yield("", ctx.Err())
				return
			}
		}
	}
}

// startWorker runs a worker; stop ends it and waits until it has ended.
func startWorker(t *testing.T, hub Hub, s script) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	w := Worker{Hub: hub, Topic: "llm", Model: "script", Answer: s.answer, Logger: slog.New(slog.DiscardHandler)}
	go func() { ended <- w.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the worker ended with %v", err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	return stop
}

func publish(t *testing.T, hub Hub, topic, typ string, v any) {
	t.Helper()
	data, _ := json.Marshal(v)
	if err := hub.Publish(t.Context(), Event{Topics: []string{topic}, Type: typ, Data: data}); err != nil {
		t.Fatal(err)
	}
}

// read returns an answer's events, up to the first for which until returns true.
func read(t *testing.T, hub *Remote, id string, until func(Event) bool) (events []Event) {
	t.Helper()
	for e, err := range hub.Follow(t.Context(), "llm/"+id, "earliest") {
		if err != nil {
			t.Fatal(err)
		}
		if events = append(events, e); until(e) {
			break
		}
	}
	return events
}

func isType(typ string) func(Event) bool { return func(e Event) bool { return e.Type == typ } }

func done(t *testing.T, events []Event) (d Done) {
	t.Helper()
	if err := json.Unmarshal(events[len(events)-1].Data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWorkerPublishesAnAnswer(t *testing.T) {
	hub := startHub(t)
	s := script{"why?": make(chan string)}
	startWorker(t, hub, s)
	publish(t, hub, "llm", "ask", "no question")
	publish(t, hub, "llm", "ask", Ask{ID: "no good id", Prompt: "why?"})
	publish(t, hub, "llm", "ask", Ask{ID: "a1", Prompt: "why?"})
	publish(t, hub, "llm", "ask", Ask{ID: "a1", Prompt: "why?"}) // a repetition
	const want = "Because of the log. 因为有日志。"
	for _, word := range strings.SplitAfter(want, " ") {
		s["why?"] <- word
	}
	close(s["why?"])
	events := read(t, hub, "a1", isType("done"))
	var start Start
	if err := json.Unmarshal(events[0].Data, &start); err != nil || events[0].Type != "answer" || start.Model != "script" || start.Prompt != "why?" {
		t.Errorf("it begins with %s %s (%v)", events[0].Type, events[0].Data, err)
	}
	var got strings.Builder
	for i, e := range events[1 : len(events)-1] {
		var token Token
		if err := json.Unmarshal(e.Data, &token); err != nil || e.Type != "token" || token.I != i {
			t.Errorf("token %d is %s %s (%v)", i, e.Type, e.Data, err)
		}
		got.WriteString(token.Text)
	}
	if got.String() != want {
		t.Errorf("the answer is %q, want %q", got.String(), want)
	}
	if d := done(t, events); d.Reason != "stop" || d.ID != "a1" || d.Tokens != len(events)-2 {
		t.Errorf("it ends with %+v", d)
	}
	// The topic of the questions has the end too.
	past, _, err := hub.Retained(t.Context(), "llm", 100)
	if err != nil || past[len(past)-1].Type != "done" {
		t.Errorf("questions: %v, %v", past, err)
	}
}

func TestWorkerEndsAnswers(t *testing.T) {
	hub := startHub(t)
	s := script{"long": make(chan string), "broken": make(chan string, 1)}
	stop := startWorker(t, hub, s)

	publish(t, hub, "llm", "ask", Ask{ID: "stopped", Prompt: "long"})
	s["long"] <- "once "
	read(t, hub, "stopped", isType("token"))
	publish(t, hub, "llm", "stop", Stop{ID: "stopped"})
	if d := done(t, read(t, hub, "stopped", isType("done"))); d.Reason != "stopped" || d.Tokens != 1 {
		t.Errorf("stopped: %+v", d)
	}

	s["broken"] <- "error: no memory"
	publish(t, hub, "llm", "ask", Ask{ID: "broken", Prompt: "broken"})
	if d := done(t, read(t, hub, "broken", isType("done"))); d.Reason != "error" || d.Error != "error: no memory" {
		t.Errorf("broken: %+v", d)
	}

	publish(t, hub, "llm", "ask", Ask{ID: "huge", Prompt: strings.Repeat("?", maxPrompt+1)})
	if d := done(t, read(t, hub, "huge", isType("done"))); d.Reason != "error" || !strings.Contains(d.Error, "longer") {
		t.Errorf("too long a question: %+v", d)
	}

	for i := range maxAnswers {
		id := fmt.Sprint("n", i)
		publish(t, hub, "llm", "ask", Ask{ID: id, Prompt: "long"})
		read(t, hub, id, isType("answer"))
	}
	publish(t, hub, "llm", "ask", Ask{ID: "more", Prompt: "long"})
	if d := done(t, read(t, hub, "more", isType("done"))); d.Reason != "busy" {
		t.Errorf("beyond the limit: %+v", d)
	}

	// A worker that ends leaves its answers open; the next one reports them.
	stop()
	startWorker(t, hub, s)
	for i := range maxAnswers {
		if d := done(t, read(t, hub, fmt.Sprint("n", i), isType("done"))); d.Reason != "interrupted" {
			t.Errorf("after a restart: %+v", d)
		}
	}
}
