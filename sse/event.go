package sse

import (
	"errors"
	"fmt"
)

// MediaType is the media type of an event stream (WHATWG HTML §9.2.7).
const MediaType = "text/event-stream"

// DefaultType is the type of an event without a type field (WHATWG HTML §9.2.6).
const DefaultType = "message"

// An Event is one dispatched event, like a MessageEvent in a browser. Its fields
// are UTF-8; a decoder replaces invalid bytes with U+FFFD.
type Event struct {
	// Type is the event's type. Empty and "message" are the same on the wire;
	// a decoded event without a type has [DefaultType].
	Type string

	// Data is the payload. It may be empty and may hold several lines. The
	// format does not distinguish line ends: CR and CRLF are read back as LF.
	Data string

	// ID is the last event ID. When encoding, an empty ID leaves the receiver's
	// unchanged (to reset it, see [AppendID]). When decoding, it is the stream's
	// last event ID at this event, whether or not the event has its own.
	ID string
}

// ErrInvalidField reports a value that the wire format cannot carry.
var ErrInvalidField = errors.New("sse: invalid field")

var (
	errInvalidType = fmt.Errorf("%w: an event type must not contain CR or LF", ErrInvalidField)
	errInvalidID   = fmt.Errorf("%w: an id must not contain CR, LF or NUL", ErrInvalidField)
)
