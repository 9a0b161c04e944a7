package load

import (
	"bytes"
	"time"

	"github.com/tidings-sse/tidings/internal/rig"
)

// body reads a piece of the response's content. raw, unless nil, is a whole chunk whose
// content is the piece.
func (s *stream) body(b, raw []byte, t *tally) {
	if len(s.partial) > 0 {
		raw = nil
		if b = s.complete(b, t); b == nil {
			return
		}
	}
	for len(b) > 0 {
		if e := s.feed.at(s.next); e != nil && bytes.HasPrefix(b, e.body) {
			s.accept(e, t)
			b = b[len(e.body):]
			raw = nil
			continue
		}
		end := blockEnd(b)
		if end < 0 {
			s.partial = append(s.partial, b...)
			return
		}
		if end < len(b) {
			raw = nil
		}
		s.block(b[:end], raw, t)
		b = b[end:]
	}
}

// complete completes the event that began in an earlier piece, and returns the rest of b,
// or nil if the event does not end in b.
func (s *stream) complete(b []byte, t *tally) []byte {
	if e := s.feed.at(s.next); e != nil && bytes.HasPrefix(e.body, s.partial) {
		if rest := e.body[len(s.partial):]; bytes.HasPrefix(b, rest) {
			s.partial = s.partial[:0]
			s.accept(e, t)
			return b[len(rest):]
		}
	}
	end := seamEnd(s.partial, b)
	if end < 0 {
		end = blockEnd(b)
	}
	if end < 0 {
		s.partial = append(s.partial, b...)
		return nil
	}
	s.partial = append(s.partial, b[:end]...)
	s.block(s.partial, nil, t)
	s.partial = s.partial[:0]
	return b[end:]
}

// blockEnd returns the end of the first block of b, including its empty line, or -1. Lines
// end with LF or CRLF; no server is known to use CR alone.
func blockEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		switch rest := b[at:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return at + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return at + 2
		}
	}
}

// seamEnd returns how many bytes of b belong to an empty line that ends the block in
// before, or -1.
func seamEnd(before, b []byte) int {
	switch {
	case bytes.HasSuffix(before, []byte("\n\r")) && b[0] == '\n':
		return 1
	case before[len(before)-1] != '\n':
		return -1
	case b[0] == '\n':
		return 1
	case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		return 2
	}
	return -1
}

// block parses one block of lines (WHATWG HTML §9.2.6), as far as the check needs it.
func (s *stream) block(b, raw []byte, t *tally) {
	var data, id []byte
	found := false
	for rest := b; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		line := bytes.TrimSuffix(rest[:end], []byte("\r"))
		rest = rest[end+1:]
		switch name, value, _ := bytes.Cut(line, []byte(":")); string(name) {
		case "data":
			if found { // data that we publish has one line
				t.faults.Torn++
				return
			}
			found, data = true, bytes.TrimPrefix(value, []byte(" "))
		case "id":
			id = bytes.TrimPrefix(value, []byte(" "))
		case "event":
			switch string(bytes.TrimPrefix(value, []byte(" "))) {
			case "gap":
				t.faults.Gaps++
				return
			case "position":
				return
			}
		}
	}
	if !found {
		return // a reconnection time, an id, a comment
	}
	e, ok := rig.ParseEvent(data)
	if !ok {
		t.faults.Torn++
		return
	}
	s.place(entry{Event: e, body: b, raw: raw, id: string(id)}, t)
}

// place finds the position in the feed of an event whose bytes were not the expected ones.
func (s *stream) place(e entry, t *tally) {
	if s.feed.streams == 1 { // there is no other stream to compare with
		if s.feed.follows(e.Event) {
			s.accept(&e, t)
		} else {
			t.faults.Doubled++
		}
		return
	}
	for {
		length := s.feed.length.Load()
		if known := s.feed.at(s.next); known != nil && known.Number == e.Number {
			s.accept(known, t)
			return
		}
		at, added := s.feed.add(e)
		if !added { // it is in the feed already, or follows a later event
			var found bool
			if at, found = s.feed.find(e.Number, s.next); found && at < s.next {
				t.faults.Doubled++
				return
			} else if found { // the events in between are missing, or arrive too late
				s.next = at
				continue
			}
			// If no other stream has added it meanwhile, it is new.
			if !s.feed.addAt(length, e) {
				continue
			}
			at = length
			t.faults.Reordered++
		}
		s.next = at
		s.accept(s.feed.at(at), t)
		return
	}
}

// accept counts an event at the expected position.
func (s *stream) accept(e *entry, t *tally) {
	s.next++
	s.got++
	t.delivered++
	if t.window.holds(e.At) {
		rig.Record(t.hist, time.Duration(t.now-e.At))
	}
	if s.next == s.until {
		rig.Record(t.catchUp, time.Duration(t.now-s.opened))
	}
}
