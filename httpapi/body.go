package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/tidings-sse/tidings/hub"
)

// addBody reads a body of any type but NDJSON into the publication.
func (p *publication) addBody(mediaType string, params map[string]string, body []byte) error {
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
		if len(body) == 0 && p.values["data"] != "" {
			return nil // all in the query
		}
		return p.set("data", string(body))
	}
	form, err := url.ParseQuery(string(body))
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

// addJSON reads one object. Data that is not a string is published as the JSON
// it is.
func (p *publication) addJSON(body []byte) error {
	if !utf8.Valid(body) {
		return &hub.InvalidError{Reason: "the JSON is not valid UTF-8"}
	}
	var in struct {
		Topic   *string         `json:"topic"`
		Topics  []string        `json:"topics"`
		Data    json.RawMessage `json:"data"`
		Type    *string         `json:"type"`
		ID      *string         `json:"id"`
		Retry   *json.Number    `json:"retry"`
		Private *bool           `json:"private"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return invalidJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &hub.InvalidError{Reason: "send one JSON object, or one a line as application/x-ndjson"}
	}
	if in.Topic != nil {
		p.addTopic(*in.Topic)
	}
	for _, t := range in.Topics {
		p.addTopic(t)
	}
	var err error
	set := func(name, value string) {
		if err == nil {
			err = p.set(name, value)
		}
	}
	if in.Type != nil {
		set("type", *in.Type)
	}
	if in.ID != nil {
		set("id", *in.ID)
	}
	if in.Retry != nil {
		set("retry", in.Retry.String())
	}
	if in.Private != nil && *in.Private {
		set("private", "true")
	}
	if in.Data != nil {
		set("data", jsonData(in.Data))
	}
	return err
}

// jsonData is a string's content, or other JSON on one line.
func jsonData(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil && raw[0] == '"' {
		return s
	}
	var b bytes.Buffer
	_ = json.Compact(&b, raw) // raw was decoded once already
	return b.String()
}

func invalidJSON(err error) error {
	const hint = `; an event is {"topics":["news"],"data":<a string or any JSON>}, and type, id, retry and private if you like`
	msg := strings.TrimPrefix(err.Error(), "json: ")
	if field, ok := strings.CutPrefix(msg, "unknown field "); ok {
		return &hub.InvalidError{Reason: "there is no field " + field + `: put your payload in "data"` + hint}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		msg = "it breaks off"
	}
	return &hub.InvalidError{Reason: "the JSON cannot be read: " + msg + hint}
}
