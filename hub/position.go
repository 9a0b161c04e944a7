package hub

import (
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/sse"
)

// PositionType is the type of the hub's own event that names a stream's
// position. Its data is {} and its id is the position: an EventSource keeps the
// id, and calls no onmessage. Nobody else may publish the type.
const PositionType = "position"

// Positions says how a stream names its position while no event does, so that
// its client resumes there. The blocks that set a reconnection time follow it,
// too: many clients hand out a block without data as an empty event.
type Positions uint8

const (
	// PositionEvents is an event of [PositionType].
	PositionEvents Positions = iota
	// PositionFields is the field id without a blank line after it, which
	// clients keep from the next event on at the latest.
	PositionFields
	// NoPositions names none. Heartbeats are comments.
	NoPositions
)

// append appends a reconnection time, unless that is zero, and a position, unless
// that is zero, as one block or as fields that belong to the next one.
func (p Positions) append(dst []byte, retry time.Duration, as form, place eventlog.ID) []byte {
	if retry > 0 {
		dst = appendRetry(dst, retry)
	}
	id := "" // a block without one leaves the client where it is
	if !place.IsZero() {
		id = as.place(place)
	}
	switch {
	case p == PositionEvents:
		dst, _ = sse.AppendEvent(dst, sse.Event{Type: PositionType, Data: "{}", ID: id}) // an ID's text is always valid
	case p == PositionFields && id != "":
		dst, _ = sse.AppendID(dst, id)
		dst = dst[:len(dst)-1]
	}
	return dst
}

// appendRetry appends the field retry, which belongs to the block that follows.
func appendRetry(dst []byte, retry time.Duration) []byte {
	dst = sse.AppendRetry(dst, retry)
	return dst[:len(dst)-1]
}

// Again returns the body of a stream that cannot be served now: it asks the
// client to come back after a time and, unless place is zero, to ask for what
// follows place.
func (o StreamOptions) Again(retry time.Duration, place eventlog.ID) []byte {
	return o.Positions.append(nil, retry, form{mercure: o.Mercure}, place)
}

// place is the position up to which the client has all that it asked for, once
// it has what has been returned to be written.
func (st *Stream) place() eventlog.ID {
	if len(st.pending) > 0 {
		return st.reached
	}
	return st.cursor.place
}

// namePosition writes a reconnection time, unless that is zero, and the
// stream's position before all else.
func (st *Stream) namePosition(retry time.Duration) {
	place := st.place()
	st.says(st.positions.append(nil, retry, st.feed.key.form, place), place)
}

// Beat makes a stream that has been silent, and has nothing to give, send a sign
// of life: its position if that has moved on, else a comment. So the position of
// a quiet topic does not age past retention, and a client that is cut while the
// stream looks through history that gives it nothing does not begin anew.
func (st *Stream) Beat() {
	head := st.hub.headNow()
	if b, err := st.Peek(); err != nil || len(b) > 0 || st.cursor.part > 0 {
		return
	}
	// All up to the head is in the window. If there was nothing to take after
	// the head was read, the client has all up to there.
	if st.cursor.attached && head.Compare(st.cursor.place) > 0 {
		st.cursor.place = head
	}
	place := st.place()
	switch {
	case place.Compare(st.reached) <= 0:
		st.says(sse.AppendComment(nil, ""), eventlog.ID{})
	case st.positions == NoPositions:
		st.says(sse.AppendComment(nil, ""), place)
	default:
		st.namePosition(0)
	}
}

// says writes blocks before all else. They bring the client up to a place,
// unless that is zero.
func (st *Stream) says(blocks []byte, place eventlog.ID) {
	if len(blocks) > 0 && st.Chunked() { // an empty chunk would be the last
		blocks = appendChunk(nil, func(dst []byte) []byte { return append(dst, blocks...) })
	}
	st.own, st.ownPlace = append(st.own, blocks...), place
}
