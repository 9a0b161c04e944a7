package load

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tidings-sse/tidings/internal/rig"
)

// A stream is one subscriber's response, read in pieces of any size.
type stream struct {
	feed    *feed
	next    int64 // position in the feed of the next event
	until   int64 // position at which a resuming stream has caught up
	got     int64 // events, each counted once
	left    int   // bytes still to come of the chunk, including its line end
	state   streamState
	chunked bool
	partial []byte // the beginning of an event
	rest    []byte // bytes that cannot be used yet
	fd      int    // -1 unless a reader with epoll uses it
	opened  int64  // when connecting began
}

type streamState uint8

const (
	connecting streamState = iota
	waiting                // for the response's head
	open
	closed
)

// A tally holds the counts of one reader of streams. Only that reader uses it.
type tally struct {
	window  *window
	now     int64 // when the current bytes were read
	hist    *hdrhistogram.Histogram
	opening *hdrhistogram.Histogram
	catchUp *hdrhistogram.Histogram
	faults  Faults

	delivered int64
}

func newTally(w *window) *tally {
	return &tally{window: w, hist: rig.NewHistogram(), opening: rig.NewHistogram(), catchUp: rig.NewHistogram()}
}

// Faults counts what was wrong with the events of all streams.
type Faults struct {
	Missed    int64 `json:"missed"`    // events that did not arrive
	Doubled   int64 `json:"doubled"`   // events that arrived again, or too late
	Reordered int64 `json:"reordered"` // events that arrived before an earlier one of their publisher
	Torn      int64 `json:"torn"`      // events with data that nobody sent
	Gaps      int64 `json:"gaps"`      // gaps reported by the server
	Ended     int64 `json:"ended"`     // streams that the server ended
}

func (f *Faults) add(o Faults) {
	f.Missed += o.Missed
	f.Doubled += o.Doubled
	f.Reordered += o.Reordered
	f.Torn += o.Torn
	f.Gaps += o.Gaps
	f.Ended += o.Ended
}

var errEnded = errors.New("the server ended the stream")

// consume reads as much of b as it can, and returns how much that was. The caller must
// pass the rest again, with the bytes that follow it.
func (s *stream) consume(b []byte, t *tally) (n int, err error) {
	start := len(b)
	if s.state == waiting {
		n, err := s.head(b)
		if n == 0 || err != nil {
			return 0, err
		}
		s.state = open
		rig.Record(t.opening, time.Duration(t.now-s.opened))
		b = b[n:]
	}
	if !s.chunked {
		s.body(b, nil, t)
		return start, nil
	}
	for len(b) > 0 {
		n, err := s.chunk(b, t)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	return start - len(b), nil
}

// chunk reads a chunk of b, or the part that is there, and returns its length. It returns 0
// if it needs more bytes.
func (s *stream) chunk(b []byte, t *tally) (n int, err error) {
	if s.left > 0 {
		n = min(len(b), s.left)
		if content := min(n, s.left-2); content > 0 {
			s.body(b[:content], nil, t)
		}
		s.left -= n
		return n, nil
	}
	if len(s.partial) == 0 {
		if e := s.feed.at(s.next); e != nil && e.raw != nil && bytes.HasPrefix(b, e.raw) {
			s.accept(e, t)
			return len(e.raw), nil
		}
	}
	size, head, err := chunkHead(b)
	if err == nil && head > 0 && size == 0 {
		err = errEnded
	}
	if err != nil || head == 0 {
		return 0, err
	}
	if whole := head + size + 2; whole <= len(b) {
		s.body(b[head:head+size], b[:whole], t)
		return whole, nil
	}
	s.left = size + 2
	return head, nil
}

// head reads the response's head. It returns 0 until the head is complete.
func (s *stream) head(b []byte) (n int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > 64<<10 {
			return 0, errors.New("the response's head does not end")
		}
		return 0, nil
	}
	head := strings.ToLower(string(b[:end+2]))
	if len(head) < 12 || head[9:12] != "200" {
		first, _, _ := strings.Cut(head, "\r\n")
		body := strings.TrimSpace(string(b[end+4:]))
		return 0, fmt.Errorf("the server answered a subscriber with %s: %.200s", first, body)
	}
	if !strings.Contains(head, "\r\ncontent-type: text/event-stream") {
		return 0, errors.New("the server's answer to a subscriber is not an event stream")
	}
	s.chunked = strings.Contains(head, "\r\ntransfer-encoding: chunked\r\n")
	return end + 4, nil
}

// chunkHead returns a chunk's size (RFC 9112 §7.1) and the length of the line that holds
// it. n is 0 until the line is complete.
func chunkHead(b []byte) (size, n int, err error) {
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9':
			size = size<<4 | int(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			size = size<<4 | int(c|0x20-'a'+10)
		default:
			end := bytes.IndexByte(b[i:], '\n') // past extensions
			if i == 0 || c != '\r' && c != ';' && c != ' ' {
				return 0, 0, fmt.Errorf("no chunk begins with %q", b[:min(len(b), 20)])
			}
			if end < 0 {
				return 0, 0, nil
			}
			return size, i + end + 1, nil
		}
		if i > 7 {
			return 0, 0, errors.New("a chunk's size has more than 8 digits")
		}
	}
	return 0, 0, nil
}
