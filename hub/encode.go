package hub

import (
	"encoding/json"
	"fmt"
	"time"
	"unsafe"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/sse"
)

// wireID returns an event's id as subscribers see it: the publisher's if there is one,
// otherwise the hub's.
func wireID(e *eventlog.Event) string {
	if e.PublisherID != "" {
		return e.PublisherID
	}
	return e.ID.String()
}

// An Envelope says how a stream delivers events. The zero value is Bare.
type Envelope uint8

const (
	Bare        Envelope = iota // as they were published
	InJSON                      // data is a JSON object with the event's topics, type, time and data
	JSONMessage                 // the same, and events have no type, so that one listener receives all
	envelopes                   // their number
)

var envelopeNames = [envelopes]string{"", "json", "message"}

func (e Envelope) String() string { return envelopeNames[e] }

// A Framing puts what a stream sends into the frames of its transport, such as the chunks
// of HTTP/1.1. Streams with the same Framing share encoded events. Its fields do not
// change.
type Framing struct {
	// Open appends room for the beginning of a frame.
	Open func(dst []byte) []byte

	// Close completes the frame that begins at dst[start:], where Open was called. Between
	// the two, at least one byte was appended.
	Close func(dst []byte, start int) []byte

	// End ends a response of which there will be no more.
	End string
}

// A Spelling is how a dialect writes positions as ids. Streams with the same Spelling
// share encoded events. Its field does not change.
type Spelling struct {
	Of       func(eventlog.ID) string
	Earliest bool // a response to a client that asks for [Earliest] says that it begins there, and not at a position
}

// A form is how events are written on a stream. It is a [feed.Form].
type form struct {
	envelope Envelope
	framing  *Framing  // nil: none
	ids      *Spelling // nil: as the log writes them
}

// open begins a frame, if the form has a framing.
func (as form) open(dst []byte) []byte {
	if as.framing == nil {
		return dst
	}
	return as.framing.Open(dst)
}

// close completes the frame that begins at dst[start:].
func (as form) close(dst []byte, start int) []byte {
	if as.framing == nil {
		return dst
	}
	return as.framing.Close(dst, start)
}

// Append appends e as it is sent. A gap is never put in an envelope.
func (as form) Append(dst []byte, e *eventlog.Event) []byte {
	start := len(dst)
	return as.close(as.appendEvent(as.open(dst), e), start)
}

func (as form) appendEvent(dst []byte, e *eventlog.Event) []byte {
	if e.Retry > 0 {
		dst = appendRetry(dst, e.Retry)
	}
	typ, data := e.Type, unsafe.String(unsafe.SliceData(e.Data), len(e.Data)) // no copy: AppendEvent copies the data into dst
	if as.envelope != Bare && e.Type != GapType {
		data = string(AppendEnvelope(nil, e, false))
		if as.envelope == JSONMessage {
			typ = ""
		}
	}
	dst, err := sse.AppendEvent(dst, sse.Event{Type: typ, Data: data, ID: as.id(e)})
	if err != nil {
		panic(fmt.Sprintf("event %s was published against Check: %v", e.ID, err))
	}
	return dst
}

// id returns an event's id in a form.
func (as form) id(e *eventlog.Event) string {
	if e.PublisherID == "" {
		return as.place(e.ID)
	}
	return e.PublisherID
}

// place returns a position as an id in a form.
func (as form) place(id eventlog.ID) string {
	if as.ids == nil {
		return id.String()
	}
	return as.ids.Of(id)
}

// AppendEnvelope appends e as a JSON object with topics, type, time (UTC, RFC 3339), data
// and, if withID, id. The data is always a JSON string. A type of "" is written as
// "message".
func AppendEnvelope(dst []byte, e *eventlog.Event, withID bool) []byte {
	v := struct {
		ID     string    `json:"id,omitempty"`
		Topics []string  `json:"topics"`
		Type   string    `json:"type"`
		Time   time.Time `json:"time"`
		Data   string    `json:"data"`
	}{Topics: e.Topics, Type: typeName(e.Type), Time: e.Time.UTC(), Data: string(e.Data)}
	if v.Topics == nil {
		v.Topics = []string{} // encode no topics as [], not null
	}
	if withID {
		v.ID = wireID(e)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // cannot fail: strings, and a time with a year of four digits
	}
	return append(dst, b...)
}

func typeName(t string) string {
	if t == "" {
		return sse.DefaultType
	}
	return t
}
