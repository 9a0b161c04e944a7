package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/tidings-sse/tidings/hub"
)

// addBody reads a body of any type but NDJSON into the publication.
func (p *publication) addBody(mediaType string, params map[string]string, body []byte) error {
	if _, ok := p.values["data"]; ok && len(body) == 0 {
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
	return p.set("data", string(body))
}

// addForm reads a form. curl labels whatever it sends so: a body that is no
// form is the data.
func (p *publication) addForm(body []byte) error {
	if !bytes.ContainsRune(body, '=') {
		return p.set("data", string(body))
	}
	// In a form, ; is a character like others (WHATWG URL §5.1); to ParseQuery
	// it is an error.
	form, err := url.ParseQuery(strings.ReplaceAll(string(body), ";", "%3B"))
	if err != nil {
		return &hub.InvalidError{Reason: "the form is malformed (" + err.Error() + "): put your payload in data=, percent-encoded, or send it whole as text/plain"}
	}
	return p.addValues(form)
}

func (p *publication) addMultipart(boundary string, body []byte) error {
	if boundary == "" {
		return &hub.InvalidError{Reason: "multipart/form-data needs a boundary in its Content-Type"}
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) && bytes.Contains(body, []byte("--"+boundary+"--")) {
			return nil
		}
		if err != nil { // also an EOF before the closing boundary
			return &hub.InvalidError{Reason: "the multipart body is malformed: " + err.Error()}
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return &hub.InvalidError{Reason: "the multipart body is malformed: " + err.Error()}
		}
		if err := p.set(part.FormName(), string(value)); err != nil {
			return err
		}
	}
}

// addJSON reads one object, whose names are to the letter and stand once. Data
// that is not a string is published as the JSON it is.
func (p *publication) addJSON(body []byte) error {
	if !utf8.Valid(body) {
		return &hub.InvalidError{Reason: "the JSON is not valid UTF-8"}
	}
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\uFEFF"))))
	start, err := dec.Token()
	if err != nil {
		return invalidJSON(err)
	}
	if start != json.Delim('{') {
		return &hub.InvalidError{Reason: "the JSON is no object" + eventHint}
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return invalidJSON(err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return invalidJSON(err)
		}
		if err := p.setJSON(name.(string), value); err != nil { // names are strings
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return invalidJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &hub.InvalidError{Reason: "send one JSON object, or one a line as application/x-ndjson"}
	}
	return nil
}

// setJSON adds a field of an object.
func (p *publication) setJSON(name string, raw json.RawMessage) error {
	var text string
	isText := raw[0] == '"' && json.Unmarshal(raw, &text) == nil
	switch name {
	case "data":
		if !isText {
			var b bytes.Buffer
			_ = json.Compact(&b, raw) // it was decoded once already
			text = b.String()
		}
		return p.set(name, text)
	case "topic", "type", "id":
		if !isText {
			return &hub.InvalidError{Reason: fmt.Sprintf("%q is a string", name)}
		}
		return p.set(name, text)
	case "topics":
		var topics []string
		if err := json.Unmarshal(raw, &topics); err != nil || topics == nil {
			return &hub.InvalidError{Reason: `"topics" is a list of strings`}
		}
		for _, t := range topics {
			p.addTopic(t)
		}
		return nil
	case "retry":
		if isText {
			return &hub.InvalidError{Reason: `"retry" is a number of milliseconds`}
		}
		return p.set(name, string(raw))
	case "private":
		var private bool
		if err := json.Unmarshal(raw, &private); err != nil || raw[0] == 'n' {
			return &hub.InvalidError{Reason: `"private" is true or false`}
		}
		if private {
			return p.set(name, "true")
		}
		return nil
	}
	return &hub.InvalidError{Reason: fmt.Sprintf("there is no field %q: put your payload in \"data\"%s", clip(name, 64), eventHint)}
}

const eventHint = `; an event is {"topics":["news"],"data":<a string or any JSON>}, and type, id, retry and private if you like`

func invalidJSON(err error) error {
	msg := strings.TrimPrefix(err.Error(), "json: ")
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		msg = "it breaks off"
	}
	return &hub.InvalidError{Reason: "the JSON cannot be read: " + msg + eventHint}
}
