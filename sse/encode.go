package sse

import (
	"strconv"
	"strings"
	"time"
)

// AppendEvent appends e as one block: its type unless that is the default, its
// id unless empty, one data line per line of Data, and the blank line that
// dispatches it. Empty Data is an event with empty data. On an error, which
// wraps [ErrInvalidField], dst is returned as it was.
func AppendEvent(dst []byte, e Event) ([]byte, error) {
	if strings.ContainsAny(e.Type, "\r\n") {
		return dst, errInvalidType
	}
	if strings.ContainsAny(e.ID, "\x00\r\n") {
		return dst, errInvalidID
	}
	if e.Type != "" && e.Type != DefaultType {
		dst = appendField(dst, "event: ", e.Type)
	}
	if e.ID != "" {
		dst = appendField(dst, "id: ", e.ID)
	}
	dst = appendLines(dst, "data: ", e.Data)
	return append(dst, '\n'), nil
}

// AppendComment appends text as comment lines, one for each of its lines. A
// receiver ignores them, which makes the empty comment a heartbeat.
func AppendComment(dst []byte, text string) []byte {
	if text == "" {
		return append(dst, ":\n"...)
	}
	return appendLines(dst, ": ", text)
}

// AppendRetry appends a block that sets the receiver's reconnection time to d,
// in whole milliseconds, rounded up; a negative d counts as zero. A receiver
// dispatches nothing.
func AppendRetry(dst []byte, d time.Duration) []byte {
	ms := max(int64(d), 0) / int64(time.Millisecond)
	if d > 0 && d%time.Millisecond != 0 {
		ms++
	}
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, ms, 10)
	return append(dst, "\n\n"...)
}

// AppendID appends a block that sets the receiver's last event ID and
// dispatches nothing; the empty id resets it, so that a reconnecting client
// sends none. WHATWG HTML §9.2.6 asks for that, but Firefox and many libraries
// keep an id only from a block that has data, and others dispatch this one as
// an empty event. An event of a type that no page listens to, with an ID, moves
// the id of them all. On an error, which wraps [ErrInvalidField], dst is returned as
// it was.
func AppendID(dst []byte, id string) ([]byte, error) {
	if strings.ContainsAny(id, "\x00\r\n") {
		return dst, errInvalidID
	}
	if id == "" {
		return append(dst, "id\n\n"...), nil
	}
	return append(appendField(dst, "id: ", id), '\n'), nil
}

// appendField appends one line. The name brings its own space: a parser strips
// exactly one, so that values keep theirs.
func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

// appendLines appends text with every line of it behind name. LF, CR and CRLF
// end a line alike; a text that ends with one has an empty last line, which
// the parser's own trimming of one LF gives back.
//
// Two vectorised searches beat one loop over the bytes; the next LF is looked
// for once, not once a CR, so that a text of CRs stays linear.
func appendLines(dst []byte, name, text string) []byte {
	start, lf := 0, nextLF(text, 0)
	for {
		end := lf
		if cr := strings.IndexByte(text[start:lf], '\r'); cr >= 0 {
			end = start + cr
		}
		dst = appendField(dst, name, text[start:end])
		if end == len(text) {
			return dst
		}
		start = end + 1
		if end < lf && start == lf && lf < len(text) { // CRLF
			start++
		}
		if start > lf {
			lf = nextLF(text, start)
		}
	}
}

// nextLF returns the place of the first LF at or after start, or len(s).
func nextLF(s string, start int) int {
	if i := strings.IndexByte(s[start:], '\n'); i >= 0 {
		return start + i
	}
	return len(s)
}
