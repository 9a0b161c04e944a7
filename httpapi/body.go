package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tidings-sse/tidings/internal/form"
	"github.com/tidings-sse/tidings/topic"

	"github.com/tidings-sse/tidings/edge"
)

// addBody reads a body of any type but NDJSON into the publication.
func (p *publication) addBody(mediaType string, params map[string]string, body []byte) error {
	if p.values[fieldData] != nil && len(body) == 0 {
		return nil // all in the query
	}
	switch mediaType {
	case "application/json":
		return p.addJSON(body)
	case "application/x-www-form-urlencoded":
		return p.addForm(body)
	case "multipart/form-data":
		return p.addMultipart(params["boundary"], body)
	}
	return p.give(fieldData, body)
}

// addForm reads a form. curl labels every body as one by default, so a body without an
// equals sign is the data itself.
func (p *publication) addForm(body []byte) error {
	if !bytes.ContainsRune(body, '=') {
		return p.give(fieldData, body)
	}
	values, err := form.Parse(string(body))
	if err != nil {
		return &topic.InvalidError{Reason: "the form is malformed (" + err.Error() + "): put your payload in data=, percent-encoded, or send it whole as text/plain"}
	}
	return p.addValues(values)
}

func (p *publication) addMultipart(boundary string, body []byte) error {
	if boundary == "" {
		return &topic.InvalidError{Reason: "multipart/form-data needs a boundary in its Content-Type"}
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) && bytes.Contains(body, []byte("--"+boundary+"--")) {
			return nil
		}
		if err != nil { // also an EOF before the closing boundary
			return &topic.InvalidError{Reason: "the multipart body is malformed: " + err.Error()}
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return &topic.InvalidError{Reason: "the multipart body is malformed: " + err.Error()}
		}
		if err := p.set(part.FormName(), string(value)); err != nil {
			return err
		}
	}
}

// addJSON reads one object. Its member names are case-sensitive, and each may occur
// once. Data that is not a string is published as compact JSON.
func (p *publication) addJSON(body []byte) error {
	if !utf8.Valid(body) {
		return &topic.InvalidError{Reason: "the JSON is not valid UTF-8"}
	}
	if p.addPlain(body) {
		return nil
	}
	return p.decodeJSON(body)
}

// members is the set of an object's member names read so far, one bit each. Readers of
// JSON disagree on which value of a repeated name counts, so a gateway might check one
// value and the hub publish another.
type members uint

var memberNames = [...]string{"topics", "topic", "data", "type", "id", "retry", "private"}

// again adds a known name and reports whether it was there before.
func (m *members) again(name []byte) bool {
	for i, known := range memberNames {
		if string(name) == known {
			was := *m
			*m |= 1 << i
			return was == *m
		}
	}
	return false
}

// decoders are reused, because making one for each line of a batch costs as much as
// reading the line.
var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// decodeJSON is addJSON for any object. Its errors say what is wrong with the JSON.
func (p *publication) decodeJSON(body []byte) error {
	dec := decoders.Get().(*jsontext.Decoder)
	defer func() {
		dec.Reset(new(bytes.Buffer)) // drops the reference to the body
		decoders.Put(dec)
	}()
	// Names may repeat within data; again reports repeats among an event's own. Half a
	// surrogate pair becomes U+FFFD, as in encoding/json.
	dec.Reset(bytes.NewBuffer(bytes.TrimPrefix(body, []byte("\uFEFF"))), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	start, err := dec.ReadToken()
	if err != nil {
		return invalidJSON(err)
	}
	if start.Kind() != '{' {
		return &topic.InvalidError{Reason: "the JSON is no object" + eventHint}
	}
	var seen members
	for dec.PeekKind() == '"' {
		quoted, err := dec.ReadValue()
		if err != nil {
			return invalidJSON(err)
		}
		var room [32]byte
		name := unquote(room[:0], quoted)
		if seen.again(name) {
			return &topic.InvalidError{Reason: fmt.Sprintf("%q is given twice", name)}
		}
		if err := p.addMember(name, dec); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return invalidJSON(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return &topic.InvalidError{Reason: "send one JSON object, or one a line as " + edge.NDJSON}
	}
	return nil
}

// addMember adds the field name. dec is at its value.
func (p *publication) addMember(name []byte, dec *jsontext.Decoder) error {
	if string(name) == "topics" && dec.PeekKind() == '[' {
		return p.addList(dec)
	}
	value, err := dec.ReadValue()
	if err != nil {
		return invalidJSON(err)
	}
	isText := value.Kind() == '"'
	switch string(name) {
	case "data":
		if isText {
			return p.give(fieldData, textOf(value))
		}
		compact := value.Clone()
		_ = compact.Compact() // it is valid
		return p.give(fieldData, compact)
	case "topic", "type", "id":
		switch {
		case !isText:
			return &topic.InvalidError{Reason: fmt.Sprintf("%q is a string", name)}
		case string(name) == "topic":
			p.addTopic(string(textOf(value)))
			return nil
		case string(name) == "type":
			return p.give(fieldType, textOf(value))
		}
		return p.give(fieldID, textOf(value))
	case "topics":
		return errTopics
	case "retry":
		if isText {
			return &topic.InvalidError{Reason: `"retry" is a number of milliseconds`}
		}
		return p.give(fieldRetry, value.Clone())
	case "private":
		switch value.Kind() {
		case 't':
			return p.give(fieldPrivate, []byte("true"))
		case 'f':
			return nil
		}
		return &topic.InvalidError{Reason: `"private" is true or false`}
	}
	return &topic.InvalidError{Reason: fmt.Sprintf("there is no field %q: put your payload in \"data\"%s", edge.Clip(string(name), 64), eventHint)}
}

var errTopics = &topic.InvalidError{Reason: `"topics" is a list of strings`}

// addList adds the topics of a list.
func (p *publication) addList(dec *jsontext.Decoder) error {
	for _, _ = dec.ReadToken(); ; { // the bracket
		t, err := dec.ReadToken()
		switch {
		case err != nil:
			return invalidJSON(err)
		case t.Kind() == ']':
			return nil
		case t.Kind() != '"':
			return errTopics
		}
		p.addTopic(t.String())
	}
}

// textOf returns the text of a JSON string.
func textOf(text jsontext.Value) []byte { return unquote(make([]byte, 0, len(text)), text) }

// unquote appends the text of a JSON string to dst.
func unquote(dst []byte, text jsontext.Value) []byte {
	dst, _ = jsontext.AppendUnquote(dst, text) // the only error is half a surrogate pair, which becomes U+FFFD
	return dst
}

const eventHint = `; an event is {"topics":["news"],"data":<a string or any JSON>}, and type, id, retry and private if you like`

func invalidJSON(err error) error {
	msg := strings.TrimPrefix(err.Error(), "jsontext: ")
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		msg = "it breaks off"
	}
	return &topic.InvalidError{Reason: "the JSON cannot be read: " + msg + eventHint}
}
