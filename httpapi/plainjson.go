package httpapi

import (
	"bytes"
	"encoding/binary"
)

// addPlain adds an object of the form that nearly all publishers send, in a fraction of
// a JSON decoder's time: strings without escapes, data that is a string, and no retry.
// For any other object it adds nothing and reports false; addJSON then decodes it and
// reports what is wrong. The body must be valid UTF-8.
func (p *publication) addPlain(body []byte) bool {
	q, s := p.clone(), scanner{body}
	var seen members
	for more := s.take('{'); more; more = s.take(',') {
		name, ok := s.text()
		if !ok || seen.again(name) || !s.take(':') || !q.addPlainMember(string(name), &s) {
			return false
		}
		if s.take('}') {
			if !s.end() {
				return false
			}
			*p = q
			return true
		}
	}
	return false
}

// addPlainMember adds the field name. s is at its value.
func (p *publication) addPlainMember(name string, s *scanner) bool {
	switch name {
	case "topics":
		return p.addPlainList(s)
	case "private":
		if s.word("true") {
			return p.give(fieldPrivate, []byte("true")) == nil
		}
		return s.word("false")
	}
	value, ok := s.text()
	if !ok {
		return false
	}
	switch name {
	case "topic":
		if len(p.topics) == 0 && len(p.like) == 1 && p.like[0] == string(value) {
			p.topics = p.like[:1:1]
			return true
		}
		p.addTopic(string(value))
		return true
	case "data":
		return p.give(fieldData, bytes.Clone(value)) == nil // the event keeps this copy instead of the whole batch
	case "type":
		return p.give(fieldType, value) == nil
	case "id":
		return p.give(fieldID, value) == nil
	}
	return false
}

// addPlainList adds the topics of a non-empty list.
func (p *publication) addPlainList(s *scanner) bool {
	for more := s.take('['); more; more = s.take(',') {
		topic, ok := s.text()
		if !ok {
			return false
		}
		p.addTopic(string(topic))
		if s.take(']') {
			return true
		}
	}
	return false
}

// A scanner reads JSON from the front of rest. Each method skips white space, then
// consumes what it looks for if that comes next.
type scanner struct{ rest []byte }

func (s *scanner) skip() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\t' || s.rest[0] == '\n' || s.rest[0] == '\r') { // RFC 8259 §2
		s.rest = s.rest[1:]
	}
}

func (s *scanner) end() bool {
	s.skip()
	return len(s.rest) == 0
}

func (s *scanner) take(c byte) bool {
	s.skip()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) word(w string) (ok bool) {
	s.skip()
	s.rest, ok = bytes.CutPrefix(s.rest, []byte(w))
	return ok
}

// text takes a string without escapes. The result shares the scanner's memory.
func (s *scanner) text() (text []byte, ok bool) {
	if !s.take('"') {
		return nil, false
	}
	n := plainLen(s.rest)
	if n == len(s.rest) || s.rest[n] != '"' {
		return nil, false
	}
	text, s.rest = s.rest[:n:n], s.rest[n+1:]
	return text, true
}

// plainLen returns how many bytes at the front of s need no escape in a JSON string
// (RFC 8259 §7). It checks 32 bytes at a time while it can.
func plainLen(s []byte) int {
	n := 0
	for ; n+32 <= len(s); n += 32 {
		b := s[n : n+32]
		if special(b)|special(b[8:])|special(b[16:])|special(b[24:]) != 0 {
			break
		}
	}
	for n < len(s) && s[n] >= 0x20 && s[n] != '"' && s[n] != '\\' {
		n++
	}
	return n
}

// special returns nonzero if the first eight bytes of b include a quote, a backslash or
// a control character. Subtracting k from a byte sets its high bit if the byte is less
// than k; bytes whose high bit was set already are masked out. XOR with 2 turns a quote
// into 0x20 and moves the space and ! above it, so that only quotes and control
// characters are less than 0x21.
func special(b []byte) uint64 {
	const each = 0x0101010101010101
	w := binary.NativeEndian.Uint64(b)
	quotes := (w ^ 0x02*each) - 0x21*each
	backslashes := (w ^ '\\'*each) - each
	return (quotes | backslashes) &^ w & (0x80 * each)
}
