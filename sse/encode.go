package sse

import (
	"strconv"
	"strings"
	"time"
)

// AppendEvent appends e as one block: its type unless that is the default, its
// id unless empty, one data line per line of Data, and the blank line that
// dispatches it. Empty Data makes an event with empty data. On an error, which
// wraps [ErrInvalidField], it returns dst unchanged.
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

// AppendComment appends text as comment lines, one for each of its lines. Receivers
// ignore comments, so an empty one serves as a heartbeat.
func AppendComment(dst []byte, text string) []byte {
	if text == "" {
		return append(dst, ":\n"...)
	}
	return appendLines(dst, ": ", text)
}

// AppendRetry appends a block that sets the receiver's reconnection time to d, in
// whole milliseconds, rounded up. A negative d counts as zero. Receivers dispatch
// no event for it.
func AppendRetry(dst []byte, d time.Duration) []byte {
	ms := max(int64(d), 0) / int64(time.Millisecond)
	if d > 0 && d%time.Millisecond != 0 {
		ms++
	}
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, ms, 10)
	return append(dst, "\n\n"...)
}

// AppendID appends a block that sets the receiver's last event ID and dispatches
// no event. The empty id resets it, so that a reconnecting client sends none.
// WHATWG HTML §9.2.6 requires this of receivers, but Firefox and many libraries
// take an id only from a block with data, and others dispatch this block as an
// empty event. An event with an ID, of a type that no page listens to, moves the ID
// in all of them. On an error, which wraps [ErrInvalidField], it returns dst
// unchanged.
func AppendID(dst []byte, id string) ([]byte, error) {
	if strings.ContainsAny(id, "\x00\r\n") {
		return dst, errInvalidID
	}
	if id == "" {
		return append(dst, "id\n\n"...), nil
	}
	return append(appendField(dst, "id: ", id), '\n'), nil
}

// appendField appends one line. name includes the colon and a space: a parser
// strips exactly one space, so values keep theirs.
func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

// appendLines appends each line of text behind name. LF, CR and CRLF all end a
// line. A text that ends with one has an empty last line, which the parser's own
// trimming of one LF gives back.
//
// Two vectorised searches are faster than one loop over the bytes. The next LF is
// searched once, not once per CR, so that a text of CRs takes linear time.
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

// nextLF returns the index of the first LF at or after start, or len(s).
func nextLF(s string, start int) int {
	if i := strings.IndexByte(s[start:], '\n'); i >= 0 {
		return start + i
	}
	return len(s)
}
