package hub

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unsafe"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/sse"
)

// WireID returns an event's id as subscribers see it: the publisher's if there is one,
// otherwise the hub's.
func WireID(e *eventlog.Event) string {
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
	envelopes
)

var envelopeNames = [envelopes]string{"", "json", "message"}

func (e Envelope) String() string { return envelopeNames[e] }

// appendWire appends e as it is sent, in one chunk if the form is chunked. A gap is never
// put in an envelope.
func appendWire(dst []byte, e *eventlog.Event, as form) []byte {
	if as.chunked {
		as.chunked = false
		return appendChunk(dst, func(dst []byte) []byte { return appendWire(dst, e, as) })
	}
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

// forms is the number of forms, see form.index.
const forms = 4 * int(envelopes)

func (as form) index() int {
	n := int(as.envelope)
	if as.chunked {
		n += int(envelopes)
	}
	if as.mercure {
		n += 2 * int(envelopes)
	}
	return n
}

// id returns an event's id in a form.
func (as form) id(e *eventlog.Event) string {
	if e.PublisherID == "" {
		return as.place(e.ID)
	}
	return e.PublisherID
}

func (as form) place(id eventlog.ID) string {
	if as.mercure {
		return id.URN()
	}
	return id.String()
}

// appendChunk appends what add appends, as a chunk (RFC 9112 §7.1). The size comes first
// but is known last, so appendChunk reserves room for the longest and moves the chunk to
// close what is left.
func appendChunk(dst []byte, add func(dst []byte) []byte) []byte {
	var size [len("7fffffffffffffff\r\n")]byte
	start := len(dst)
	dst = add(append(dst, size[:]...))
	chunk := dst[start+len(size):]
	n := copy(dst[start:], append(strconv.AppendInt(size[:0], int64(len(chunk)), 16), "\r\n"...))
	n += copy(dst[start+n:], chunk)
	return append(dst[:start+n], "\r\n"...)
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
		v.ID = WireID(e)
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
