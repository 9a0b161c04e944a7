package demo

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"strings"
	"time"
	"unicode"

	"github.com/tidings-sse/tidings/examples/llm"
)

// answer answers the questions on the topic llm.
func answer(ctx context.Context, hub Hub, o Options) {
	worker := llm.Worker{Hub: hub, Topic: "llm", Logger: o.Logger}
	if o.LLM.URL == "" {
		worker.Model, worker.Local = "a text generator, built in", true
		worker.Answer = compose
	} else {
		worker.Model = o.LLM.Name
		worker.Answer = func(ctx context.Context, prompt string) iter.Seq2[string, error] {
			return o.LLM.Answer(ctx, llm.Message{Role: "user", Content: prompt})
		}
	}
	if err := worker.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		o.Logger.Warn("demo: questions are no longer answered", "error", err)
	}
}

// compose is the text generator that replaces a model. At the pace of a model, it says
// that it is none, and then what it knows about the words in the question.
func compose(ctx context.Context, prompt string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, piece := range pieces(script(prompt)) {
			pause := time.Duration(20+rand.ExpFloat64()*25) * time.Millisecond
			if strings.ContainsAny(piece, ".:。：\n") {
				pause += 150 * time.Millisecond
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				yield("", ctx.Err())
				return
			}
			if !yield(piece, nil) {
				return
			}
		}
	}
}

// A passage is a text about some words.
type passage struct {
	words  []string // lower case; the passage is used if the question has any of them
	en, zh string
}

func script(prompt string) string {
	chinese := strings.ContainsFunc(prompt, func(r rune) bool { return unicode.Is(unicode.Han, r) })
	var text []string
	add := func(p passage) {
		if chinese {
			text = append(text, p.zh)
		} else {
			text = append(text, p.en)
		}
	}
	add(opening)
	asked := strings.ToLower(prompt)
	for _, p := range passages {
		for _, word := range p.words {
			if strings.Contains(asked, word) {
				add(p)
				break
			}
		}
	}
	if len(text) == 1 {
		add(passages[0])
		add(passages[1])
	}
	add(closing)
	return strings.Join(text, "\n\n")
}

// pieces cuts a text like a model does: about one word at a time, with its space first.
// The pieces add up to the text.
func pieces(text string) []string {
	var all []string
	start := 0
	for i, r := range text {
		if i > start && (unicode.IsSpace(r) || unicode.Is(unicode.Han, r) && i-start >= len("字字")) {
			all = append(all, text[start:i])
			start = i
		}
	}
	return append(all, text[start:])
}
