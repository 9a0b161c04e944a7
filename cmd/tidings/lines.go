package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"unicode/utf8"
)

const (
	maxLine    = 16 << 20  // bytes; the hub's own limit is lower
	batchLines = 256       // lines in one request
	batchBytes = 128 << 10 // about how many bytes of lines in one request; JSON may take six bytes for one
)

// publishLines publishes each line of standard input as it arrives. Lines that arrive
// faster than the hub answers are sent together.
func (c *pubCmd) publishLines(ctx context.Context, s streams) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan []byte, batchLines)
	read := make(chan error, 1)
	go func() {
		defer close(lines)
		read <- scanLines(ctx, s.in, lines)
	}()
	for n := 0; ; {
		batch := nextBatch(ctx, lines)
		if len(batch) == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			return <-read
		}
		if err := c.publishBatch(ctx, s.out, batch, n); err != nil {
			return err
		}
		n += len(batch)
	}
}

func scanLines(ctx context.Context, in io.Reader, lines chan<- []byte) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	for scanner.Scan() {
		select {
		case lines <- bytes.Clone(scanner.Bytes()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return scanner.Err()
}

// nextBatch waits for a line and returns it with the lines that have arrived by then. It
// returns none at the end.
func nextBatch(ctx context.Context, lines <-chan []byte) (batch [][]byte) {
	select {
	case line, ok := <-lines:
		if !ok {
			return nil
		}
		batch = append(batch, line)
	case <-ctx.Done():
		return nil
	}
	for size := len(batch[0]); len(batch) < batchLines && size < batchBytes; {
		select {
		case line, ok := <-lines:
			if !ok {
				return batch
			}
			batch = append(batch, line)
			size += len(line)
		default:
			return batch
		}
	}
	return batch
}

// publishBatch publishes lines, which follow the first before lines of the input.
func (c *pubCmd) publishBatch(ctx context.Context, out io.Writer, lines [][]byte, before int) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	for i, line := range lines {
		if !utf8.Valid(line) { // JSON would replace invalid bytes
			return fmt.Errorf("line %d is not valid UTF-8, which is all that an event stream can carry", before+i+1)
		}
		err := enc.Encode(struct {
			Topic   string `json:"topic"`
			Data    string `json:"data"`
			Type    string `json:"type,omitempty"`
			Private bool   `json:"private,omitempty"`
		}{c.Topic, string(line), c.Type, c.Private})
		if err != nil {
			return err
		}
	}
	answers, err := c.post(ctx, url.Values{}, "application/x-ndjson", body.Bytes())
	if err != nil {
		return err
	}
	i := before
	for answer := range bytes.Lines(answers) {
		i++
		if _, err := printID(out, answer); err != nil {
			return fmt.Errorf("line %d: %w", i, err)
		}
	}
	return nil
}
