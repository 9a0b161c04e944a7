package sse

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestAppendEvent(t *testing.T) {
	for _, tt := range []struct {
		why  string
		in   Event
		want string
	}{
		{"unnamed", Event{Data: "hello"}, "data: hello\n\n"},
		{"all fields", Event{Type: "price", Data: "1", ID: "7"}, "event: price\nid: 7\ndata: 1\n\n"},
		{"message is the default type", Event{Type: "message", Data: "x"}, "data: x\n\n"},
		{"empty data is an event, which needs a data line", Event{}, "data: \n\n"},
		{"the parser strips one space, so a value keeps its own", Event{Data: " x"}, "data:  x\n\n"},
		{"LF", Event{Data: "a\nb"}, "data: a\ndata: b\n\n"},
		{"CR ends a line too and would split it unescaped", Event{Data: "a\rb"}, "data: a\ndata: b\n\n"},
		{"CRLF is one line end", Event{Data: "a\r\nb"}, "data: a\ndata: b\n\n"},
		{"LF CR is two", Event{Data: "a\n\rb"}, "data: a\ndata: \ndata: b\n\n"},
		{"CR CRLF is two", Event{Data: "a\r\r\nb"}, "data: a\ndata: \ndata: b\n\n"},
		{"a trailing LF is an empty last line", Event{Data: "a\n"}, "data: a\ndata: \n\n"},
		{"a trailing CRLF as well", Event{Data: "a\r\n"}, "data: a\ndata: \n\n"},
		{"only line ends", Event{Data: "\n\n"}, "data: \ndata: \ndata: \n\n"},
		{"U+2028 is not a line end here", Event{Data: "a\u2028b"}, "data: a\u2028b\n\n"},
		{"NUL is fine in data and type", Event{Type: "\x00", Data: "\x00"}, "event: \x00\ndata: \x00\n\n"},
		{"a blank line in data cannot dispatch early", Event{Data: "a\n\ndata: b"}, "data: a\ndata: \ndata: data: b\n\n"},
	} {
		got, err := AppendEvent([]byte("<"), tt.in)
		if err != nil || string(got) != "<"+tt.want {
			t.Errorf("%s: AppendEvent(%+v) = %q, %v; want %q", tt.why, tt.in, got, err, "<"+tt.want)
		}
	}
}

func TestAppendRefusesWhatTheFormatCannotCarry(t *testing.T) {
	for _, e := range []Event{
		{Type: "a\nb"}, {Type: "a\r"}, {Type: "\r\ndata: x"},
		{ID: "a\nb"}, {ID: "\r"}, {ID: "1\x00"},
	} {
		got, err := AppendEvent([]byte("kept"), e)
		if !errors.Is(err, ErrInvalidField) || string(got) != "kept" {
			t.Errorf("AppendEvent(%+q) = %q, %v; want ErrInvalidField and dst unchanged", e, got, err)
		}
	}
	for _, id := range []string{"\n", "a\rb", "\x00"} {
		got, err := AppendID([]byte("kept"), id)
		if !errors.Is(err, ErrInvalidField) || string(got) != "kept" {
			t.Errorf("AppendID(%q) = %q, %v; want ErrInvalidField and dst unchanged", id, got, err)
		}
	}
}

func TestAppendControlBlocks(t *testing.T) {
	id := func(s string) string { b, _ := AppendID(nil, s); return string(b) }
	for _, tt := range []struct{ why, got, want string }{
		{"heartbeat", string(AppendComment(nil, "")), ":\n"},
		{"comment", string(AppendComment(nil, "hi")), ": hi\n"},
		{"a comment cannot break out", string(AppendComment(nil, "a\ndata: x\r\n\rb")), ": a\n: data: x\n: \n: b\n"},
		{"id", id("7"), "id: 7\n\n"},
		{"the empty id resets", id(""), "id\n\n"},
		{"retry in milliseconds", string(AppendRetry(nil, 3*time.Second)), "retry: 3000\n\n"},
		{"rounded up, so that a short wait does not become none", string(AppendRetry(nil, time.Microsecond)), "retry: 1\n\n"},
		{"negative is at once", string(AppendRetry(nil, -time.Hour)), "retry: 0\n\n"},
		{"the longest", string(AppendRetry(nil, math.MaxInt64)), "retry: 9223372036855\n\n"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.why, tt.got, tt.want)
		}
	}
}

// A text of nothing but CRs would take a quadratic encoder minutes.
func TestAppendEventIsLinear(t *testing.T) {
	const n = 1 << 20
	for _, end := range []string{"\r", "\n", "\r\n"} {
		got, err := AppendEvent(nil, Event{Data: strings.Repeat(end, n) + "\n"})
		if err != nil || bytes.Count(got, []byte("data: \n")) < n {
			t.Fatalf("%q: %d lines, %v", end, bytes.Count(got, []byte("data: \n")), err)
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 4096)
	e := Event{Type: "price", Data: strings.Repeat("x", 1000) + "\nmore", ID: "_1-42"}
	if n := testing.AllocsPerRun(100, func() {
		b, _ := AppendEvent(buf, e)
		b, _ = AppendID(b, e.ID)
		b = AppendComment(b, "c")
		AppendRetry(b, time.Second)
	}); n != 0 {
		t.Errorf("%v allocations; want 0", n)
	}
}
