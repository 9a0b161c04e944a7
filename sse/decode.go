package sse

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
	"time"
)

// DefaultReadLimit is how many bytes a [Decoder] holds for one event by default:
// 16 MiB.
const DefaultReadLimit = 16 << 20

// ErrEventTooLarge reports an event, or a line of any kind, that is larger
// than the read limit. The error that wraps it names the limit in bytes.
var ErrEventTooLarge = errors.New("sse: event too large")

const (
	readSize = 4 << 10  // the buffer's first size
	busySize = 16 << 10 // its size once a read has filled it
	maxKept  = 64 << 10 // the largest buffer kept after a large event, each

	maxTypes    = 64 // event types kept, so that a repeated one costs nothing
	maxTypeSize = 64

	// An ID shares its allocation with the data of its event, so the last event ID
	// keeps that data alive. Up to this size that is cheaper than a second allocation.
	maxShared = 4 << 10

	// Medium-sized events that arrive in a burst share allocations of slabSize
	// bytes. Half of what a 1 KB string costs is the runtime's work on the span that
	// holds it, and this size class needs few spans: six slabs fit one of 56 KiB.
	slabSize = 9472
	minSlab  = 512 // so a kept event holds less than 20 times its size
	maxSlab  = slabSize / 3
)

// A Decoder reads events from a byte stream as WHATWG HTML §9.2.5–9.2.6 requires.
// It reads ahead, holds at most one unfinished event, and makes at most one
// allocation per event. It is not safe for concurrent use.
//
// Events of 0.5 to 3 KiB that arrive together may share an allocation of
// 9.25 KiB. If a program keeps a few of many events for long and memory matters, it
// should keep a [strings.Clone] of their data.
type Decoder struct {
	// OnComment, unless nil, is called with each comment as soon as its line
	// has ended, without the colon and the one space that may follow it. Set
	// it before the first read.
	OnComment func(string)

	// onID is called when a block without data has changed the last event ID.
	onID func(string)

	r     io.Reader
	err   error // of r, or wrapping ErrEventTooLarge; returned once buf is used up
	limit int64

	buf        []byte
	start, end int // buf[start:end] is unread
	lf, cr     int // the first LF and CR in it, or end; kept so that each byte is searched once
	skipLF     bool
	begun      bool

	// The block being read. Its data is either a single line in view, which points
	// into buf and is valid until the next read, or any number of lines in data.
	view    []byte
	data    []byte
	hasData bool
	id      []byte
	hasID   bool
	typ     string

	slab strings.Builder // shared by medium-sized events until it is full

	lastID   string
	retry    time.Duration
	hasRetry bool
	types    map[string]string
}

// NewDecoder returns a Decoder that reads from r.
func NewDecoder(r io.Reader) *Decoder {
	return &Decoder{r: r, limit: DefaultReadLimit}
}

// Read returns the events of one stream. It is NewDecoder(r).Events().
func Read(r io.Reader) iter.Seq2[Event, error] {
	return NewDecoder(r).Events()
}

// SetReadLimit sets how many bytes the decoder holds for one event: its fields
// so far and the line being read. Zero means [DefaultReadLimit], a negative n
// no limit. Beyond it, reading ends with an error that wraps
// [ErrEventTooLarge].
func (d *Decoder) SetReadLimit(n int64) {
	switch {
	case n == 0:
		n = DefaultReadLimit
	case n < 0:
		n = math.MaxInt64 / 2 // room to add to
	}
	d.limit = n
}

// LastEventID returns the last event ID. Blocks without data change it too.
func (d *Decoder) LastEventID() string { return d.lastID }

// ReconnectionTime returns the value of the stream's latest valid retry field, and
// false if there was none. A field takes effect at the end of its line.
func (d *Decoder) ReconnectionTime() (time.Duration, bool) { return d.retry, d.hasRetry }

// Events returns an iterator over the remaining events. At a clean end of the
// stream it stops without an error; any other error is its last element.
func (d *Decoder) Events() iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			e, err := d.Next()
			if err == io.EOF || !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Next returns the next event. At the end of the stream it drops an unfinished
// event and returns [io.EOF]. Other errors are the reader's, or wrap
// [ErrEventTooLarge]. After an error, Next returns the same error again.
func (d *Decoder) Next() (Event, error) {
	for {
		if e, ok := d.whole(); ok {
			return e, nil
		}
		if d.lf == d.end && d.cr == d.end { // no line has ended; after a read, whole may apply
			if err := d.fill(); err != nil {
				return Event{}, err
			}
			continue
		}
		line, err := d.line()
		if err != nil {
			return Event{}, err
		}
		if len(line) > 0 {
			d.field(line)
		} else if e, ok := d.dispatch(); ok {
			return e, nil
		}
	}
}

// whole decodes an event that is a single data line and complete in the buffer, as
// most events are, in one step. It leaves everything else to line and field.
func (d *Decoder) whole() (Event, bool) {
	end := d.lf
	if end+1 >= d.end || d.buf[end+1] != '\n' || d.cr < end || d.hasData || d.hasID || d.typ != "" || d.skipLF || !d.begun {
		return Event{}, false
	}
	value, ok := bytes.CutPrefix(d.buf[d.start:end], []byte("data:"))
	if !ok || int64(len(value)) > d.limit-5 || !valid(value) {
		return Event{}, false
	}
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	text := d.text(value, end+2)
	d.consume(end + 2)
	return Event{DefaultType, text, d.lastID}, true
}

// text returns b as a string. It takes the string from the slab if b is of medium
// size and there is more to decode; the unread bytes begin at buf[next].
func (d *Decoder) text(b []byte, next int) string {
	if len(b) < minSlab || len(b) > maxSlab {
		return string(b)
	}
	if d.slab.Cap()-d.slab.Len() < len(b) {
		if d.end-next < slabSize/2 {
			return string(b) // on a quiet stream, sharing would only hold memory
		}
		d.slab = strings.Builder{}
		d.slab.Grow(slabSize)
	}
	start := d.slab.Len()
	d.slab.Write(b)
	return d.slab.String()[start:]
}

// line returns the next line without its end. The line is valid until the next call.
func (d *Decoder) line() ([]byte, error) {
	for {
		if d.skipLF && d.start < d.end {
			d.skipLF = false
			if d.buf[d.start] == '\n' {
				d.consume(d.start + 1)
			}
		}
		if end := min(d.lf, d.cr); end < d.end {
			return d.take(end)
		}
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
}

// take consumes the line that ends at buf[end]. After a CR it does not wait to
// see whether an LF follows: the line has ended either way.
func (d *Decoder) take(end int) ([]byte, error) {
	line := d.buf[d.start:end]
	if d.held()+int64(len(line)) > d.limit {
		return nil, d.tooLarge()
	}
	d.skipLF = d.buf[end] == '\r'
	d.consume(end + 1)
	if !d.begun {
		d.begun = true
		line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	}
	return line, nil
}

func (d *Decoder) consume(to int) {
	d.start = to
	if d.lf < to {
		d.lf = d.seek('\n', to)
	}
	if d.cr < to {
		d.cr = d.seek('\r', to)
	}
}

// seek returns the index of the first c at or after from, or d.end. The next byte is
// often a hit, because every other line is blank.
func (d *Decoder) seek(c byte, from int) int {
	if from < d.end && d.buf[from] == c {
		return from
	}
	if i := bytes.IndexByte(d.buf[from:d.end], c); i >= 0 {
		return from + i
	}
	return d.end
}

func (d *Decoder) held() int64 {
	return int64(len(d.view) + len(d.data) + len(d.id) + len(d.typ))
}

func (d *Decoder) tooLarge() error {
	if !errors.Is(d.err, ErrEventTooLarge) {
		d.err = fmt.Errorf("%w: more than %d bytes; a higher ReadLimit or SetReadLimit allows it", ErrEventTooLarge, d.limit)
	}
	d.end = d.start
	d.lf, d.cr = d.end, d.end
	return d.err
}

// fill reads more bytes behind the unread ones, none of which ends a line.
func (d *Decoder) fill() error {
	unread := d.end - d.start
	if d.held()+int64(unread) > d.limit {
		return d.tooLarge()
	}
	if d.err != nil {
		return d.err
	}
	d.data, d.view = append(d.data, d.view...), nil
	d.makeRoom(unread)
	for range 100 {
		var n int
		n, d.err = d.r.Read(d.buf[unread:])
		if n > 0 {
			d.end += n
			d.lf, d.cr = d.seek('\n', unread), d.seek('\r', unread)
			return nil
		}
		if d.err != nil {
			return d.err
		}
	}
	d.err = io.ErrNoProgress
	return d.err
}

// makeRoom moves the unread bytes to the start of a buffer that has room for
// more. It doubles the buffer for a line that does not fit, and drops the large
// buffer once that line has been read.
func (d *Decoder) makeRoom(unread int) {
	size := len(d.buf)
	switch {
	case size == 0, size > maxKept && unread < readSize:
		size = readSize
	case size < busySize && d.end == size:
		size = busySize
	case unread == size:
		size = int(min(2*int64(size), d.limit+readSize))
	}
	old := d.buf[d.start:d.end]
	switch {
	case size != len(d.buf):
		d.buf = make([]byte, size)
	case d.start == 0:
		return
	}
	copy(d.buf, old)
	d.start, d.end = 0, unread
}

// field processes a line that is not empty (§9.2.6, "process the field").
func (d *Decoder) field(line []byte) {
	name, value := line, line[len(line):]
	colon := bytes.IndexByte(line, ':')
	if colon >= 0 {
		name, value = line[:colon], line[colon+1:]
	}
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		d.addData(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			d.id, d.hasID = appendUTF8(d.id[:0], value), true
		}
	case "event":
		d.typ = d.intern(value)
	case "retry":
		if t, ok := parseRetry(value); ok {
			d.retry, d.hasRetry = t, true
		}
	case "":
		if d.OnComment != nil { // the line is not empty, so it begins with a colon
			d.OnComment(toUTF8(value))
		}
	}
}

func (d *Decoder) addData(line []byte) {
	switch {
	case d.hasData:
		d.data, d.view = append(d.data, d.view...), nil
		d.data = appendUTF8(append(d.data, '\n'), line)
	case valid(line):
		d.view = line
	default:
		d.data = appendUTF8(d.data, line)
	}
	d.hasData = true
}

// intern returns the event type b as a string. It shares strings that are short
// and among the first that the stream uses.
func (d *Decoder) intern(b []byte) string {
	if t, ok := d.types[string(b)]; ok {
		return t
	}
	t := toUTF8(b)
	if len(b) <= maxTypeSize && len(d.types) < maxTypes && len(t) == len(b) {
		if d.types == nil {
			d.types = make(map[string]string)
		}
		d.types[t] = t
	}
	return t
}

// parseRetry parses a retry value, which must consist of ASCII digits. A value too
// large for a Duration becomes the longest one. An empty value is invalid.
func parseRetry(value []byte) (time.Duration, bool) {
	const longest = math.MaxInt64 / int64(time.Millisecond)
	var ms int64
	for _, c := range value {
		if c < '0' || '9' < c {
			return 0, false
		}
		ms = min(ms*10+int64(c-'0'), longest)
	}
	return time.Duration(ms) * time.Millisecond, len(value) > 0
}

// dispatch ends the block (§9.2.6, "dispatch the event"). A block without data is
// not an event.
func (d *Decoder) dispatch() (e Event, ok bool) {
	payload := d.data
	if d.view != nil {
		payload = d.view
	}
	moved := d.hasID && string(d.id) != d.lastID
	dispatched := d.hasData
	var text string
	switch {
	case !moved:
		text = string(payload)
	case len(payload) <= maxShared:
		d.lastID, text = join(d.id, payload)
	default:
		d.lastID, text = string(d.id), string(payload)
	}
	if dispatched {
		e = Event{cmp.Or(d.typ, DefaultType), text, d.lastID}
	}
	d.view, d.data, d.hasData = nil, emptied(d.data), false
	d.id, d.hasID, d.typ = emptied(d.id), false, ""
	if moved && !dispatched && d.onID != nil {
		d.onID(d.lastID)
	}
	return e, dispatched
}

// join returns a and b as strings that share one allocation.
func join(a, b []byte) (string, string) {
	var s strings.Builder
	s.Grow(len(a) + len(b))
	s.Write(a)
	s.Write(b)
	return s.String()[:len(a)], s.String()[len(a):]
}

// emptied returns b for reuse, or nil if it is too large to keep.
func emptied(b []byte) []byte {
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}
