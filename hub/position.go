package hub

import (
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/sse"
)

// Positions says how a stream reports its position while no event does, so that its
// client resumes there. Blocks that set a reconnection time are written in the same way,
// because many clients deliver a block without data as an empty event.
type Positions uint8

const (
	// PositionEvents sends an event of [PositionType]. It is the zero value.
	PositionEvents Positions = iota
	// PositionFields sends the field id without a blank line after it. Clients store it
	// with the next event at the latest.
	PositionFields
	// NoPositions sends no positions. Heartbeats are then comments.
	NoPositions
)

// append appends a reconnection time and a position, each unless zero, as one block or as
// fields that belong to the next block.
func (p Positions) append(dst []byte, retry time.Duration, as form, place eventlog.ID) []byte {
	if retry > 0 {
		dst = appendRetry(dst, retry)
	}
	id := "" // a block without an id does not change the client's position
	if !place.IsZero() {
		id = as.place(place)
	}
	switch {
	case p == PositionEvents:
		dst, _ = sse.AppendEvent(dst, sse.Event{Type: PositionType, Data: "{}", ID: id}) // no error: an ID's text is always valid
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

// Again returns the body of a response to a client that cannot be served now: it sets the
// time to wait before reconnecting and, unless place is zero, the position to resume
// after. It uses only o.Positions and o.IDs.
func (o StreamOptions) Again(retry time.Duration, place eventlog.ID) []byte {
	return o.Positions.append(nil, retry, form{ids: o.IDs}, place)
}

// namePosition queues a reconnection time, unless that is zero, and the stream's
// position, to be sent first.
func (st *Stream) namePosition(retry time.Duration) {
	place := st.cursor.Place()
	st.says(st.positions.append(nil, retry, st.form(), place), place)
}

// Beat queues a heartbeat if the stream has nothing else to send: its position if that
// has moved, otherwise a comment. So the position of a quiet topic does not fall behind
// retention, and a client that is cut off while the stream searches history for matching
// events does not start that search again. Call it when the stream has been silent for
// the heartbeat interval.
func (st *Stream) Beat() {
	head := st.hub.feeds.Head()
	if b, err := st.Peek(); err != nil || len(b) > 0 || st.cursor.Within() {
		return
	}
	// All events up to head were routed before Peek looked at the window. Since it found
	// nothing, the client has everything up to head.
	st.cursor.PassTo(head)
	place := st.cursor.Place()
	switch {
	case place.Compare(st.cursor.Reached()) <= 0:
		st.says(sse.AppendComment(nil, ""), eventlog.ID{})
	case st.positions == NoPositions:
		st.says(sse.AppendComment(nil, ""), place)
	default:
		st.namePosition(0)
	}
}

// says queues blocks to be sent first. With them the client has everything up to place,
// unless that is zero.
func (st *Stream) says(blocks []byte, place eventlog.ID) {
	if len(blocks) > 0 { // an empty chunk would end the response
		as := st.form()
		blocks = as.close(append(as.open(nil), blocks...), 0)
	}
	st.own, st.ownPlace = append(st.own, blocks...), place
}
