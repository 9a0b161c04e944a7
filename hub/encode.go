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

// WireID is an event's id for its subscribers: the publisher's, or the hub's.
func WireID(e *eventlog.Event) string {
	if e.PublisherID != "" {
		return e.PublisherID
	}
	return e.ID.String()
}

// An Envelope is how a stream gives events.
type Envelope uint8

const (
	Bare        Envelope = iota // as they were published
	InJSON                      // data is a JSON object with the event's topics, type, time and data
	JSONMessage                 // the same, and events are unnamed: one listener hears all types
	envelopes
)

var envelopeNames = [envelopes]string{"", "json", "message"}

func (e Envelope) String() string { return envelopeNames[e] }

// appendWire appends e as subscribers get it: in one chunk, or bare. Only a gap is
// never enveloped.
func appendWire(dst []byte, e *eventlog.Event, as form) []byte {
	if as.chunked {
		as.chunked = false
		return appendChunk(dst, func(dst []byte) []byte { return appendWire(dst, e, as) })
	}
	if e.Retry > 0 {
		dst = appendRetry(dst, e.Retry)
	}
	typ, data := e.Type, unsafe.String(unsafe.SliceData(e.Data), len(e.Data)) // it is copied below
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

// forms is how many forms there are.
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

// id is an event's id in a form.
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

// appendChunk appends what add does, as a chunk (RFC 9112 §7.1). Its size comes
// first: room is left for the longest, and what it does not need is closed up.
func appendChunk(dst []byte, add func(dst []byte) []byte) []byte {
	var size [len("7fffffffffffffff\r\n")]byte
	start := len(dst)
	dst = add(append(dst, size[:]...))
	chunk := dst[start+len(size):]
	n := copy(dst[start:], append(strconv.AppendInt(size[:0], int64(len(chunk)), 16), "\r\n"...))
	n += copy(dst[start+n:], chunk)
	return append(dst[:start+n], "\r\n"...)
}

// AppendEnvelope appends e as a JSON object with topics, type, time, data and,
// if wanted, id. Data is a string always, whatever it holds.
func AppendEnvelope(dst []byte, e *eventlog.Event, withID bool) []byte {
	v := struct {
		ID     string    `json:"id,omitempty"`
		Topics []string  `json:"topics"`
		Type   string    `json:"type"`
		Time   time.Time `json:"time"`
		Data   string    `json:"data"`
	}{Topics: e.Topics, Type: typeName(e.Type), Time: e.Time.UTC(), Data: string(e.Data)}
	if v.Topics == nil {
		v.Topics = []string{} // a gap has none
	}
	if withID {
		v.ID = WireID(e)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and a time of this era
	}
	return append(dst, b...)
}

func typeName(t string) string {
	if t == "" {
		return sse.DefaultType
	}
	return t
}
