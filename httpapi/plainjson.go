package httpapi

import (
	"bytes"
	"encoding/binary"
)

// addPlain adds an object as nearly every publisher writes it, in a fraction of
// the time that a JSON decoder takes: its strings have no escapes, and neither
// its data is JSON nor its retry given. Of any other it adds nothing and reports
// false, for addJSON to read it and to say what is wrong. The body is valid
// UTF-8.
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

// addPlainMember adds a field whose value s is at.
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
		return p.give(fieldData, bytes.Clone(value)) == nil // the event keeps it, and not all of a batch
	case "type":
		return p.give(fieldType, value) == nil
	case "id":
		return p.give(fieldID, value) == nil
	}
	return false
}

// addPlainList adds the topics of a list that is not empty.
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

// A scanner reads JSON from the front of rest. Each of its methods passes over
// white space, and takes what it is for if that is what comes next.
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

// text takes a string without escapes, which stays part of what is read.
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

// plainLen returns how many bytes s begins with that stand for themselves in a
// string (RFC 8259 §7). It looks at 32 at a time while it can.
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

// special returns bits if a quote, a backslash or a control character is among
// the first eight bytes of b. To subtract from each byte sets its highest bit,
// if it was not set, where the byte is less than that. Less than 0x21, and no
// others, are a quote and control characters, once XOR has moved the space and !
// out of their way.
func special(b []byte) uint64 {
	const each = 0x0101010101010101
	w := binary.NativeEndian.Uint64(b)
	quotes := (w ^ 0x02*each) - 0x21*each
	backslashes := (w ^ '\\'*each) - each
	return (quotes | backslashes) &^ w & (0x80 * each)
}
