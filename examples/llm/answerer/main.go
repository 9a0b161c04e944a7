// Answerer connects an OpenAI-compatible API to a hub: it answers the questions that
// pages publish on the topic llm. Run it beside `tidings serve`:
//
//	go run ./examples/llm/answerer -hub http://localhost:3000 -url http://localhost:11434/v1 -model llama3.2
package main

import (
	"context"
	"errors"
	"flag"
	"iter"
	"log/slog"
	"os"
	"os/signal"

	"github.com/tidings-sse/tidings/examples/llm"
)

func main() {
	hub := llm.Remote{Token: os.Getenv("TIDINGS_TOKEN")}
	model := llm.Model{Key: os.Getenv("OPENAI_API_KEY")}
	flag.StringVar(&hub.URL, "hub", "http://localhost:3000", "the hub's address")
	flag.StringVar(&model.URL, "url", "http://localhost:11434/v1", "the model API's base URL")
	flag.StringVar(&model.Name, "model", "llama3.2", "the model to ask for")
	topic := flag.String("topic", "llm", "the topic on which questions come")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	worker := llm.Worker{
		Hub:    &hub,
		Topic:  *topic,
		Model:  model.Name,
		Logger: slog.Default(),
		Answer: func(ctx context.Context, prompt string) iter.Seq2[string, error] {
			return model.Answer(ctx, llm.Message{Role: "user", Content: prompt})
		},
	}
	slog.Info("answering", "hub", hub.URL, "topic", *topic, "model", model.Name)
	if err := worker.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}
