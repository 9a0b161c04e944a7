package sse

import (
	"math"
	"math/big"
	"strings"
	"time"
)

// standardResult is the content of a stream, as the standard defines it.
type standardResult struct {
	Events   []Event
	Comments []string
	LastID   string
	Retry    time.Duration
	HasRetry bool
}

// standard follows WHATWG HTML §9.2.5–9.2.6 in the order and words of the text, for
// whole streams and without regard to speed. It is the oracle for the decoder.
func standard(stream []byte) (res standardResult) {
	// "Streams must be decoded using the UTF-8 decode algorithm", which
	// strips one leading BOM.
	if len(stream) >= 3 && stream[0] == 0xEF && stream[1] == 0xBB && stream[2] == 0xBF {
		stream = stream[3:]
	}
	text := standardUTF8(stream)

	var data, eventType, lastEventIDBuffer string
	for {
		line, rest, ended := standardLine(text)
		if !ended {
			// "Once the end of the file is reached, any pending data must be
			// discarded."
			return res
		}
		text = rest

		// "If the line is empty (a blank line): dispatch the event".
		if line == "" {
			res.LastID = lastEventIDBuffer
			if data == "" {
				eventType = ""
				continue
			}
			data = strings.TrimSuffix(data, "\n")
			event := Event{Type: "message", Data: data, ID: res.LastID}
			if eventType != "" {
				event.Type = eventType
			}
			data, eventType = "", ""
			res.Events = append(res.Events, event)
			continue
		}

		// "If the line starts with a U+003A COLON character (:): ignore the
		// line." Its text is kept for OnComment.
		if strings.HasPrefix(line, ":") {
			res.Comments = append(res.Comments, strings.TrimPrefix(line[1:], " "))
			continue
		}

		// "If the line contains a U+003A COLON character (:): collect the
		// characters before the first colon, and let field be that string;
		// collect the characters after, and let value be that string. If value
		// starts with a U+0020 SPACE character, remove it from value."
		// "Otherwise: […] the whole line as the field name, and the empty
		// string as the field value."
		field, value := line, ""
		if i := strings.IndexRune(line, ':'); i >= 0 {
			field, value = line[:i], line[i+1:]
			value = strings.TrimPrefix(value, " ")
		}

		switch field {
		case "event":
			eventType = value
		case "data":
			data += value + "\n"
		case "id":
			if !strings.Contains(value, "\x00") {
				lastEventIDBuffer = value
			}
		case "retry":
			if d, ok := standardRetry(value); ok {
				res.Retry, res.HasRetry = d, true
			}
		}
	}
}

// standardLine splits off a line: "lines must be separated by either a
// U+000D U+000A (CRLF) pair, a single LF, or a single CR".
func standardLine(text string) (line, rest string, ended bool) {
	i := strings.IndexAny(text, "\r\n")
	switch {
	case i < 0:
		return "", "", false
	case strings.HasPrefix(text[i:], "\r\n"):
		return text[:i], text[i+2:], true
	default:
		return text[:i], text[i+1:], true
	}
}

// standardRetry: "If the field value consists of only ASCII digits, then
// interpret the field value as an integer in base ten". The standard sets no
// bound; a Duration does.
func standardRetry(value string) (time.Duration, bool) {
	if value == "" || strings.Trim(value, "0123456789") != "" {
		return 0, false
	}
	ms, _ := new(big.Int).SetString(value, 10)
	longest := big.NewInt(math.MaxInt64 / int64(time.Millisecond))
	if ms.Cmp(longest) > 0 {
		ms = longest
	}
	return time.Duration(ms.Int64()) * time.Millisecond, true
}

// standardUTF8 is WHATWG Encoding §8.1.1, the UTF-8 decoder, with the error
// mode "replacement".
func standardUTF8(in []byte) string {
	var out strings.Builder
	var codePoint rune
	seen, needed := 0, 0
	lower, upper := byte(0x80), byte(0xBF)
	for i := 0; i < len(in); i++ {
		b := in[i]
		if needed == 0 {
			switch {
			case b <= 0x7F:
				out.WriteByte(b)
			case 0xC2 <= b && b <= 0xDF:
				needed, codePoint = 1, rune(b&0x1F)
			case 0xE0 <= b && b <= 0xEF:
				if b == 0xE0 {
					lower = 0xA0
				}
				if b == 0xED {
					upper = 0x9F
				}
				needed, codePoint = 2, rune(b&0xF)
			case 0xF0 <= b && b <= 0xF4:
				if b == 0xF0 {
					lower = 0x90
				}
				if b == 0xF4 {
					upper = 0x8F
				}
				needed, codePoint = 3, rune(b&0x7)
			default:
				out.WriteRune('\uFFFD')
			}
			continue
		}
		if b < lower || upper < b {
			codePoint, needed, seen, lower, upper = 0, 0, 0, 0x80, 0xBF
			i-- // "restore byte to ioQueue"
			out.WriteRune('\uFFFD')
			continue
		}
		lower, upper = 0x80, 0xBF
		codePoint = codePoint<<6 | rune(b&0x3F)
		if seen++; seen == needed {
			out.WriteRune(codePoint)
			codePoint, needed, seen = 0, 0, 0
		}
	}
	if needed != 0 {
		out.WriteRune('\uFFFD')
	}
	return out.String()
}
