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
	maxLine    = 16 << 20  // the hub's own limit is lower
	batchLines = 256       // in one request
	batchBytes = 128 << 10 // about, likewise; JSON may make six of one
)

// publishLines publishes each line of standard input as it comes; lines that
// come faster than the hub answers go together.
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

// nextBatch waits for a line and takes those that are there already. It is
// empty at the end.
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

// publishBatch publishes lines, the first of which is the one after before.
func (c *pubCmd) publishBatch(ctx context.Context, out io.Writer, lines [][]byte, before int) error {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	for i, line := range lines {
		if !utf8.Valid(line) { // JSON would replace what is not
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
