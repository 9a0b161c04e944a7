package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var decodeTests = []struct {
	why  string
	in   string
	want []Event
}{
	{"the standard's first example", "data: YHOO\ndata: +2\ndata: 10\n\n", events("YHOO\n+2\n10")},
	{"its second: comment, id, empty id, a second space",
		": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
		[]Event{{"message", "first event", "1"}, {"message", "second event", ""}}},
	{"its third: empty data, an empty second line, an unfinished block",
		"data\n\ndata\ndata\n\ndata:", events("", "\n")},
	{"its fourth: one space after the colon is optional", "data:test\n\ndata: test\n\n", events("test", "test")},

	{"LF", "data: a\ndata: b\n\ndata: c\n\n", events("a\nb", "c")},
	{"CR", "data: a\rdata: b\r\rdata: c\r\r", events("a\nb", "c")},
	{"CRLF", "data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", events("a\nb", "c")},
	{"mixed", "data: a\rdata: b\n\r\ndata: c\r\n\rdata: d\n\n", events("a\nb", "c", "d")},
	{"LF CR are two ends", "data: a\n\rdata: b\n\r", events("a", "b")},
	{"CR CR LF are two ends", "data: a\r\r\ndata: b\r\r\n", events("a", "b")},
	{"an LF that only completes a CRLF is not a blank line", "data: a\r\ndata: b\r\n\n", events("a\nb")},
	{"other line separators are text", "data: a\u2028b\u0085c\vd\fe\n\n", events("a\u2028b\u0085c\vd\fe")},

	{"a BOM at the start", "\uFEFFdata: a\n\n", events("a")},
	{"only one", "\uFEFF\uFEFFdata: a\n\ndata: b\n\n", events("b")},
	{"a BOM later is text", "data: a\n\n\uFEFFdata: b\n\ndata: \uFEFFc\n\n", events("a", "\uFEFFc")},
	{"a BOM before a blank line", "\uFEFF\ndata: a\n\n", events("a")},
	{"a BOM before a comment", "\uFEFF: hi\ndata: a\n\n", events("a")},
	{"part of a BOM is not a BOM", "\xEF\xBBdata: a\n\ndata: b\n\n", events("b")},
	{"a stream of a BOM alone", "\uFEFF", nil},

	{"one leading space goes", "data:  a \n\n", events(" a ")},
	{"a tab stays", "data:\ta\n\n", events("\ta")},
	{"later colons are the value's", "data: a: b\n\n", events("a: b")},
	{"data that begins with a colon", "data::a\n\n", events(":a")},
	{"names are case-sensitive", "Data: a\nDATA: b\ndata: c\n\n", events("c")},
	{"a space before the name or colon makes another name", " data: a\ndata : b\n\n", nil},
	{"unknown fields", "color: blue\ndata: a\nshape\n\n", events("a")},
	{"a field without a colon", "foo\ndata\n\n", events("")},
	{"NUL is text in data", "data: a\x00b\n\n", events("a\x00b")},
	{"an empty value", "data:\n\ndata: \n\n", events("", "")},
	{"JSON is not interpreted", "data: 2.0\n\ndata: 12345678901234567890\n\n", events("2.0", "12345678901234567890")},

	{"a type", "event: add\ndata: 1\n\n", []Event{{"add", "1", ""}}},
	{"a type lasts one block", "event: add\ndata: 1\n\ndata: 2\n\n", []Event{{"add", "1", ""}, {"message", "2", ""}}},
	{"also when the block was no event", "event: add\n\ndata: 2\n\n", events("2")},
	{"the last type counts", "event: a\nevent: b\ndata: 1\n\n", []Event{{"b", "1", ""}}},
	{"an empty type is the default", "event: a\nevent:\ndata: 1\n\n", events("1")},
	{"the order of fields is free", "data: 1\nid: 7\nevent: a\n\n", []Event{{"a", "1", "7"}}},

	{"an id lasts", "id: 1\ndata: a\n\ndata: b\n\n", []Event{{"message", "a", "1"}, {"message", "b", "1"}}},
	{"an empty id resets", "id: 1\ndata: a\n\nid\ndata: b\n\nid: 2\n\nid:\ndata: c\n\n",
		[]Event{{"message", "a", "1"}, {"message", "b", ""}, {"message", "c", ""}}},
	{"an id alone dispatches nothing but counts", "id: 1\n\ndata: a\n\n", []Event{{"message", "a", "1"}}},
	{"an id with NUL is ignored", "id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n",
		[]Event{{"message", "a", "1"}, {"message", "b", "1"}}},
	{"an ignored id leaves the block's earlier one", "id: 1\nid: \x00\ndata: a\n\n", []Event{{"message", "a", "1"}}},
	{"the last id counts", "id: 1\nid: 2\ndata: a\n\n", []Event{{"message", "a", "2"}}},
	{"an id may have spaces and colons", "id:  a: \ndata: a\n\n", []Event{{"message", "a", " a: "}}},

	{"blocks without data", "\n\n\nevent: x\n\nid: 1\n\nretry: 1\n\n: c\n\n", nil},
	{"comments within a block", ": a\ndata: 1\n:\n: b\ndata: 2\n\n", events("1\n2")},
	{"an unfinished event is dropped", "data: a\n\ndata: b\n", events("a")},
	{"an unfinished line as well", "data: a\n\ndata: b", events("a")},
	{"with its id", "data: a\n\nid: 1\ndata: b\n", events("a")},
	{"an empty stream", "", nil},

	{"UTF-8", "data: €豆腐😀\nevent: é\nid: …\n\n", []Event{{"é", "€豆腐😀", "…"}}},
	{"a stray byte", "data: a\x80b\xFFc\n\n", events("a\uFFFDb\uFFFDc")},
	{"one U+FFFD for a truncated sequence", "data: \xE2\x82z\xF0\x9F\x98\n\n", events("\uFFFDz\uFFFD")},
	{"a maximal subpart is not the whole run", "data: \xF0\x80\x80\x41\n\n", events("\uFFFD\uFFFD\uFFFDA")},
	{"overlong", "data: \xC0\xAF\xE0\x80\xBF\n\n", events("\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD")},
	{"a surrogate", "data: \xED\xA0\x80\n\n", events("\uFFFD\uFFFD\uFFFD")},
	{"beyond U+10FFFF", "data: \xF4\x90\x80\x80\xF5\n\n", events("\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD")},
	{"a line end cuts a sequence short", "data: \xE2\x82\ndata: \xAC\n\n", events("\uFFFD\n\uFFFD")},
	{"U+FFFD in type and id", "event: \xFFa\nid: \xFEb\ndata: \xE2\x82\n\n", []Event{{"\uFFFDa", "\uFFFD", "\uFFFDb"}}},
	{"U+FFFD in a name makes another name", "data\xFF: a\ndata: b\n\n", events("b")},
	{"good lines before and after a bad one", "data: a\ndata: \xFF\ndata: b\n\n", events("a\n\uFFFD\nb")},
}

func events(data ...string) (list []Event) {
	for _, s := range data {
		list = append(list, Event{Type: DefaultType, Data: s})
	}
	return list
}

// decode runs a Decoder over a stream and returns the result in the oracle's terms.
func decode(r io.Reader) (res standardResult, err error) {
	d := NewDecoder(r)
	d.OnComment = func(s string) { res.Comments = append(res.Comments, s) }
	for e, err := range d.Events() {
		if err != nil {
			return res, err
		}
		res.Events = append(res.Events, e)
	}
	res.LastID = d.LastEventID()
	res.Retry, res.HasRetry = d.ReconnectionTime()
	return res, nil
}

// Events must not depend on how the bytes are split into reads.
func TestDecode(t *testing.T) {
	for _, tt := range decodeTests {
		want := standard([]byte(tt.in))
		if !reflect.DeepEqual(want.Events, tt.want) {
			t.Errorf("%s: the standard reads %q as %q, the table says %q", tt.why, tt.in, want.Events, tt.want)
		}
		check := func(how string, r io.Reader) {
			t.Helper()
			if got, err := decode(r); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s:\n got %#v, %v\nwant %#v", tt.why, how, got, err, want)
			}
		}
		check("whole", strings.NewReader(tt.in))
		check("with EOF beside the last bytes", iotest.DataErrReader(strings.NewReader(tt.in)))
		check("byte by byte", iotest.OneByteReader(strings.NewReader(tt.in)))
		for i := range tt.in {
			check(fmt.Sprint("split at ", i), io.MultiReader(strings.NewReader(tt.in[:i]), strings.NewReader(tt.in[i:])))
		}
	}
}

func TestDecodeRetry(t *testing.T) {
	const longest = 9223372036854 * time.Millisecond
	for _, tt := range []struct {
		why, in string
		want    time.Duration
		ok      bool
	}{
		{"milliseconds", "retry: 3000\n", 3 * time.Second, true},
		{"counts at the end of its line, in any block", "data: x\nretry: 5\nfoo", 5 * time.Millisecond, true},
		{"an unfinished line says nothing", "retry: 5", 0, false},
		{"zero", "retry: 0\n", 0, true},
		{"decimal", "retry: 03000\n", 3 * time.Second, true},
		{"a sign is not a digit", "retry: 7\nretry: +5\nretry: -5\n", 7 * time.Millisecond, true},
		{"nor is a space", "retry:  5\nretry: 5 \nretry: 1 000\n", 0, false},
		{"nor a digit of another script", "retry: ٣\n", 0, false},
		{"nor a point", "retry: 1.5\n", 0, false},
		{"hexadecimal", "retry: 0x10\n", 0, false},
		{"empty", "retry: 7\nretry\nretry:\n", 7 * time.Millisecond, true},
		{"the longest a Duration holds", "retry: 9223372036854\n", longest, true},
		{"more saturates", "retry: 9223372036855\n", longest, true},
		{"more than an int64 too", "retry: 99999999999999999999999999\n", longest, true},
	} {
		got, err := decode(strings.NewReader(tt.in))
		if err != nil || got.Retry != tt.want || got.HasRetry != tt.ok {
			t.Errorf("%s: %q: %v, %v, %v; want %v, %v", tt.why, tt.in, got.Retry, got.HasRetry, err, tt.want, tt.ok)
		}
	}
}

func TestDecodeComments(t *testing.T) {
	got, _ := decode(strings.NewReader(":a\n: b\n:  c\n:\n:\xFF\n: dropped"))
	if want := []string{"a", "b", " c", "", "\uFFFD"}; !reflect.DeepEqual(got.Comments, want) {
		t.Errorf("got %q, want %q", got.Comments, want)
	}
}

// A client behind a proxy must get an event when the byte that ends it arrives, not
// when the next one does. Here the reader would block for ever.
func TestDecodeDoesNotWait(t *testing.T) {
	for _, end := range []string{"\n\n", "\r\r", "\r\n\r", "\r\n\r\n", "\n\r"} {
		r, w := io.Pipe()
		go w.Write([]byte(":hi" + end[:len(end)/2] + "data: x" + end))
		comments := 0
		d := NewDecoder(r)
		d.OnComment = func(string) { comments++ }
		if e, err := d.Next(); err != nil || e.Data != "x" || comments != 1 {
			t.Errorf("%q: %+v, %v, %d comments", end, e, err, comments)
		}
		r.Close()
	}
}

func TestDecodeLastEventID(t *testing.T) {
	d := NewDecoder(strings.NewReader("id: 1\n\nid: 2\ndata: x\n\nid: 3\n\nid: 4\n"))
	var alone []string
	d.onID = func(id string) { alone = append(alone, id) }
	e, err := d.Next()
	if e.ID != "2" || d.LastEventID() != "2" || err != nil {
		t.Errorf("event %+v, last event ID %q, %v; want 2", e, d.LastEventID(), err)
	}
	if _, err := d.Next(); err != io.EOF || d.LastEventID() != "3" {
		t.Errorf("at the end: last event ID %q, %v; want 3, which a block without data set, and not 4", d.LastEventID(), err)
	}
	if !reflect.DeepEqual(alone, []string{"1", "3"}) {
		t.Errorf("blocks without data moved the ID to %q; want 1 and 3", alone)
	}
}

func TestDecodeErrorsStick(t *testing.T) {
	broken := errors.New("broken")
	for _, want := range []error{io.EOF, io.ErrUnexpectedEOF, broken} {
		d := NewDecoder(io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(want)))
		if e, err := d.Next(); err != nil || e.Data != "a" {
			t.Errorf("%v: first %+v, %v", want, e, err)
		}
		for range 3 {
			if _, err := d.Next(); !errors.Is(err, want) {
				t.Errorf("got %v, want %v each time", err, want)
			}
		}
	}
	var last error
	for _, err := range Read(iotest.ErrReader(broken)) {
		last = err
	}
	if last != broken {
		t.Errorf("Read ends with %v, want %v", last, broken)
	}
	if _, err := NewDecoder(stuck{}).Next(); err != io.ErrNoProgress {
		t.Errorf("a reader that never gives anything: %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestReadLimit(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, tt := range []struct {
		why, in string
		tooLong bool
	}{
		{"a line that fits", "data: " + long[:94] + "\n\n", false},
		{"a line that does not", "data: " + long[:95] + "\n\n", true},
		{"a line without end", "data: " + long, true},
		{"many data lines", strings.Repeat("data: 1234\n", 20), true},
		{"earlier events no longer count", strings.Repeat("data: "+long[:90]+"\n\n", 20), false},
		{"finished comments neither", "data: 1\n" + strings.Repeat(": "+long[:80]+"\n", 20) + "\n", false},
		{"nor unknown fields", strings.Repeat("x: "+long[:80]+"\n", 20) + "\n", false},
		{"nor ids that others replaced", strings.Repeat("id: "+long[:40]+"\n", 20) + "\n", false},
		{"a comment that is too long", ": " + long + "\ndata: 1\n\n", true},
		{"a comment without end", ": " + long, true},
		{"an id that is too long", "id: " + long + "\n\n", true},
		{"type, id and data together", "event: " + long[:40] + "\nid: " + long[:40] + "\ndata: " + long[:40] + "\n\n", true},
		{"U+FFFD is three bytes", "data: " + strings.Repeat("\xFF", 60) + "\n\n", true},
	} {
		for how, r := range map[string]io.Reader{
			"whole": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
		} {
			d := NewDecoder(r)
			d.SetReadLimit(100)
			var err error
			for err == nil {
				_, err = d.Next()
			}
			if got := errors.Is(err, ErrEventTooLarge); got != tt.tooLong {
				t.Errorf("%s, %s: %v", tt.why, how, err)
			}
			if _, again := d.Next(); again != err {
				t.Errorf("%s, %s: then %v", tt.why, how, again)
			}
		}
	}
}

func TestReadLimitDefaults(t *testing.T) {
	in := "data: " + strings.Repeat("x", DefaultReadLimit) + "\n\n"
	for limit, want := range map[int64]error{0: ErrEventTooLarge, -1: nil, DefaultReadLimit + 6: nil} {
		d := NewDecoder(strings.NewReader(in))
		d.SetReadLimit(limit)
		if _, err := d.Next(); !errors.Is(err, want) {
			t.Errorf("limit %d: %v, want %v", limit, err, want)
		}
	}
}

// endless is a reader that repeats a text.
type endless string

func (s endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], s)
	}
	return n, nil
}

func TestEndlessLineIsTooLarge(t *testing.T) {
	for _, in := range []string{"data", ": comment ", "x", "\xFF"} {
		if _, err := NewDecoder(endless(in)).Next(); !errors.Is(err, ErrEventTooLarge) {
			t.Errorf("%q for ever: %v", in, err)
		}
	}
}

// A decoder that searched from the line's start at each read, or for an LF at each
// CR, would take minutes.
func TestDecodeIsLinear(t *testing.T) {
	const size = 4 << 20
	for why, r := range map[string]io.Reader{
		"a long line in short reads": iotest.HalfReader(iotest.OneByteReader(strings.NewReader("data: " + strings.Repeat("x", size) + "\n\n"))),
		"nothing but CR":             strings.NewReader(strings.Repeat("\r", size) + "data:x\r\r"),
		"nothing but LF":             strings.NewReader(strings.Repeat("\n", size) + "data:x\n\n"),
		"CR, and one LF at the end":  strings.NewReader(strings.Repeat("\r", size) + "data:x\n\n"),
		"many data lines":            strings.NewReader(strings.Repeat("data\n", size/5) + "\n"),
	} {
		if got, err := decode(r); err != nil || len(got.Events) != 1 {
			t.Errorf("%s: %d events, %v", why, len(got.Events), err)
		}
	}
}

func TestDecodeAllocatesOncePerEvent(t *testing.T) {
	var in []byte
	const n = 1000
	for i := range n {
		e := Event{Type: []string{"", "add", "remove"}[i%3], Data: strings.Repeat("x", i), ID: fmt.Sprint(i)}
		if i%2 == 0 {
			e.Data += "\nmore"
		}
		in, _ = AppendEvent(in, e)
	}
	d := NewDecoder(endless(in))
	read := func() {
		for range n {
			if _, err := d.Next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	read() // allocates buffers and types
	if got := testing.AllocsPerRun(10, read) / n; got > 1 {
		t.Errorf("%v allocations an event; want 1", got)
	}
}

func TestLargeEventLeavesNoBufferBehind(t *testing.T) {
	const size = 13 << 20
	line := "data: " + strings.Repeat("x", size) + "\n"
	r, w := io.Pipe()
	defer r.Close()
	go func() {
		io.WriteString(w, line+"\n"+line+"data: more\n\nid: "+line[6:]+"\n")
		io.WriteString(w, "data: a\n\ndata: b\n\n")
	}()
	d := NewDecoder(r)
	for i, want := range []int{size, size + 5, 1} {
		if e, err := d.Next(); err != nil || len(e.Data) != want {
			t.Fatalf("event %d: %d bytes, %v", i, len(e.Data), err)
		}
	}
	d.lastID = ""
	if e, err := d.Next(); err != nil || e.Data != "b" {
		t.Fatal(e, err)
	}
	if got := cap(d.buf) + cap(d.data) + cap(d.id); got > 3*maxKept {
		t.Errorf("%d bytes are still held", got)
	}
}

func TestSmallEventsDoNotPinLargeData(t *testing.T) {
	d := NewDecoder(strings.NewReader("id: 1\ndata: " + strings.Repeat("x", 8<<20) + "\n\nid: 1\ndata: y\n\n"))
	d.Next()
	e, err := d.Next()
	if err != nil {
		t.Fatal(err)
	}
	d = nil
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 8<<20 {
		t.Errorf("%d bytes live with only %+v held", m.HeapAlloc, e)
	}
}

func TestEventsCanBeLeftAndTakenUp(t *testing.T) {
	d := NewDecoder(strings.NewReader("data: a\n\ndata: b\n\n"))
	var got bytes.Buffer
	for range 3 {
		for e := range d.Events() {
			got.WriteString(e.Data)
			break
		}
	}
	if got.String() != "ab" {
		t.Errorf("got %q", got.String())
	}
}
