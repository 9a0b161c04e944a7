package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"regexp"
	"sync"
	"time"
)

// Limits on what readers can make the model do.
const (
	maxAnswers = 4        // at the same time
	maxPrompt  = 8 << 10  // bytes
	maxAnswer  = 64 << 10 // bytes
	maxPast    = 1000     // how many past events of the topic a new worker reads
)

// A Hub is the part of a hub that a [Worker] needs; see [Remote].
type Hub interface {
	Publish(ctx context.Context, e Event) error

	// Retained returns the newest retained events of each topic that a selector
	// matches, at most last per topic, oldest first, and the position to follow
	// from.
	Retained(ctx context.Context, topic string, last int) (events []Event, place string, err error)

	// Follow yields the events of a topic after a position, until ctx ends.
	Follow(ctx context.Context, topic, place string) iter.Seq2[Event, error]
}

// An Event is an event of a hub.
type Event struct {
	Topics []string
	Type   string
	ID     string // the publisher's own id, or ""
	Data   []byte
}

// A Worker answers the questions that are published to a topic.
//
// On Topic it receives `ask` ([Ask]) and `stop` ([Stop]). It answers on Topic/ID:
// `answer` ([Start]), any number of `token` ([Token]), and `done` ([Done]). It also
// publishes `done` to Topic, so that a list of questions shows which are answered.
type Worker struct {
	Hub    Hub
	Topic  string
	Model  string // the name shown to readers
	Local  bool   // Answer is a program, not a language model
	Answer func(ctx context.Context, prompt string) iter.Seq2[string, error]
	Logger *slog.Logger

	mu      sync.Mutex
	running map[string]context.CancelFunc
}

// Ask is a question. The asker chooses its id: 1 to 64 letters, digits, - or _.
type Ask struct {
	ID     string `json:"id"`
	Prompt string `json:"prompt"`
	T      int64  `json:"t"` // Unix milliseconds, as in all these types
}

// Stop ends an answer. Every client may send it.
type Stop struct {
	ID string `json:"id"`
}

// Start begins an answer.
type Start struct {
	Ask
	Model string `json:"model"`
	Local bool   `json:"local"` // written by a program, not by a language model
}

// Token is a piece of an answer. I counts the pieces from 0, so that a reader can check
// that none is missing.
type Token struct {
	I    int    `json:"i"`
	Text string `json:"text"`
	T    int64  `json:"t"`
}

// Done ends an answer.
type Done struct {
	ID     string `json:"id"`
	Reason string `json:"reason"` // stop, length, stopped, busy, interrupted or error
	Error  string `json:"error,omitempty"`
	Tokens int    `json:"tokens"`
	T      int64  `json:"t"`
}

var validID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Run answers questions until ctx ends, and returns when all goroutines that it started
// have ended.
func (w *Worker) Run(ctx context.Context) error {
	w.running = map[string]context.CancelFunc{}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	past, place, err := w.Hub.Retained(ctx, w.Topic, maxPast)
	if err != nil {
		return err
	}
	known := map[string]bool{} // ids of questions
	open := map[string]Ask{}
	for _, event := range past {
		ask, ok := parse(event)
		switch {
		case !ok:
		case event.Type == "ask" && !known[ask.ID]:
			known[ask.ID], open[ask.ID] = true, ask
		case event.Type == "done":
			delete(open, ask.ID)
		}
	}
	for _, ask := range open {
		if err := w.takeOver(ctx, &wg, ask); err != nil {
			return err
		}
	}
	for event, err := range w.Hub.Follow(ctx, w.Topic, place) {
		if err != nil {
			return err
		}
		ask, ok := parse(event)
		switch {
		case !ok:
		case event.Type == "stop":
			w.stop(ask.ID)
		case event.Type == "ask" && !known[ask.ID]:
			known[ask.ID] = true
			w.start(ctx, &wg, ask)
		}
	}
	return ctx.Err()
}

// takeOver answers a question that was asked while there was no worker. If another worker
// has begun the answer, it cannot continue, because that model's run is gone.
func (w *Worker) takeOver(ctx context.Context, wg *sync.WaitGroup, ask Ask) error {
	begun, _, err := w.Hub.Retained(ctx, w.Topic+"/"+ask.ID, 1)
	if err != nil {
		return err
	}
	if len(begun) > 0 {
		w.done(ctx, Done{ID: ask.ID, Reason: "interrupted"})
	} else {
		w.start(ctx, wg, ask)
	}
	return nil
}

// parse reads the fields that `ask`, `stop` and `done` share. It ignores everything else,
// because any client may publish to the topic.
func parse(event Event) (Ask, bool) {
	var ask Ask
	ours := event.Type == "ask" || event.Type == "stop" || event.Type == "done"
	return ask, ours && json.Unmarshal(event.Data, &ask) == nil && validID.MatchString(ask.ID)
}

func (w *Worker) start(ctx context.Context, wg *sync.WaitGroup, ask Ask) {
	if len(ask.Prompt) > maxPrompt {
		w.done(ctx, Done{ID: ask.ID, Reason: "error", Error: fmt.Sprintf("the question is longer than %d bytes", maxPrompt)})
		return
	}
	answering, cancel := context.WithCancel(ctx)
	if !w.register(ask.ID, cancel) {
		cancel()
		w.done(ctx, Done{ID: ask.ID, Reason: "busy"})
		return
	}
	wg.Go(func() {
		defer w.stop(ask.ID)
		tokens, err := w.relay(answering, ask)
		d := Done{ID: ask.ID, Tokens: tokens, Reason: "stop"}
		switch {
		case ctx.Err() != nil:
			return // the next worker reports that the answer was interrupted
		case answering.Err() != nil:
			d.Reason = "stopped"
		case errors.Is(err, ErrLength):
			d.Reason = "length"
		case err != nil:
			d.Reason, d.Error = "error", err.Error()
			w.Logger.Warn("a question was not answered", "id", ask.ID, "error", err)
		}
		w.done(ctx, d)
	})
}

// register allows an answer to be stopped. It reports false if there are too many.
func (w *Worker) register(id string, cancel context.CancelFunc) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.running) >= maxAnswers {
		return false
	}
	w.running[id] = cancel
	return true
}

func (w *Worker) stop(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cancel, ok := w.running[id]; ok {
		cancel()
		delete(w.running, id)
	}
}

func (w *Worker) done(ctx context.Context, d Done) {
	d.T = time.Now().UnixMilli()
	if err := w.publish(ctx, "done", d, w.Topic+"/"+d.ID, w.Topic); err != nil && ctx.Err() == nil {
		w.Logger.Warn("an answer's end was not published", "id", d.ID, "error", err)
	}
}

func (w *Worker) publish(ctx context.Context, typ string, v any, topics ...string) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.Hub.Publish(ctx, Event{Topics: topics, Type: typ, Data: data})
}

// relay publishes an answer as it is generated. Pieces that arrive during a publish are
// sent together with the next one, so that a slow hub means larger pieces, not delay.
func (w *Worker) relay(ctx context.Context, ask Ask) (tokens int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // stops the model if the hub fails
	topic := w.Topic + "/" + ask.ID
	if err := w.publish(ctx, "answer", Start{Ask: ask, Model: w.Model, Local: w.Local}, topic); err != nil {
		return 0, err
	}
	pieces := make(chan string, 256)
	var failed error // read after pieces is closed
	go func() {
		defer close(pieces)
		size := 0
		for piece, err := range w.Answer(ctx, ask.Prompt) {
			if size += len(piece); size > maxAnswer {
				err = ErrLength
			}
			if failed = err; err != nil {
				return
			}
			select {
			case pieces <- piece:
			case <-ctx.Done():
				return
			}
		}
	}()
	for piece := range pieces {
		for len(pieces) > 0 {
			piece += <-pieces
		}
		if err := w.publish(ctx, "token", Token{I: tokens, Text: piece, T: time.Now().UnixMilli()}, topic); err != nil {
			return tokens, err
		}
		tokens++
	}
	return tokens, failed
}
