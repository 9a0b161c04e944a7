package eventlog

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"
	"time"
	"unsafe"
)

// oneTopic is an event with space for one topic, because most events have just one.
type oneTopic struct {
	Event
	topic [1]string
}

// NewEvent returns the event for a record. It copies the record's strings and data,
// because these are often parts of something much larger, such as a request's body, which
// an engine that keeps the event must not keep alive.
func NewEvent(r Record, id ID, at time.Time) *Event {
	e := &oneTopic{Event: Event{Record: r, ID: id, Time: at}}
	e.Data = bytes.Clone(r.Data)
	var b strings.Builder // one allocation for all texts
	b.Grow(textBytes(&r))
	for _, t := range r.Topics {
		b.WriteString(t)
	}
	b.WriteString(r.Type)
	b.WriteString(r.PublisherID)
	b.WriteString(r.Key)
	texts := b.String()
	cut := func(n int) (text string) {
		text, texts = texts[:n], texts[n:]
		return text
	}
	switch len(r.Topics) {
	case 0:
		e.Topics = nil
	case 1:
		e.Topics = e.topic[:]
	default:
		e.Topics = slices.Clone(r.Topics)
	}
	for i := range e.Topics {
		e.Topics[i] = cut(len(r.Topics[i]))
	}
	e.Type, e.PublisherID, e.Key = cut(len(r.Type)), cut(len(r.PublisherID)), cut(len(r.Key))
	return &e.Event
}

func textBytes(r *Record) int {
	n := len(r.Type) + len(r.PublisherID) + len(r.Key)
	for _, t := range r.Topics {
		n += len(t)
	}
	return n
}

// Footprint returns how many bytes of memory an event from [NewEvent] takes.
func (e *Event) Footprint() int64 {
	n := allocated(int(unsafe.Sizeof(oneTopic{}))) + allocated(textBytes(&e.Record)) + allocated(len(e.Data))
	if len(e.Topics) > 1 {
		n += allocated(len(e.Topics) * int(unsafe.Sizeof("")))
	}
	return int64(n)
}

// allocated estimates how many bytes the runtime allocates for n bytes. Small objects have
// size classes, about eight per power of two; large ones take whole pages.
func allocated(n int) int {
	const largestClass, page = 32 << 10, 8 << 10
	step := 8
	switch {
	case n > largestClass:
		step = page
	case n > 128:
		step = 1 << (bits.Len(uint(n-1)) - 4)
	}
	return (n + step - 1) / step * step
}

// What [Memory]'s indexes cost per event, in bytes. Slices and maps have spare capacity: a
// position in a slice takes about 10 bytes, and a map entry one and a half times its key
// and value.
const (
	placeBytes = 10
	entryBytes = 40 // of a map from a string to a word or a pointer
)

// size is what an event counts against the byte limit of [Memory]: its footprint and its
// positions in the indexes.
func (e *Event) size() int64 {
	n := e.Footprint() + placeBytes + int64(len(e.Topics))*placeBytes
	if e.PublisherID != "" {
		n += placeBytes
	}
	if e.Key != "" {
		n += entryBytes
	}
	return n
}

// topicSize is what the index of a topic takes, without the positions in it.
func topicSize(topic string) int64 {
	return int64(allocated(len(topic))+allocated(int(unsafe.Sizeof(topicIndex{})))+int(unsafe.Sizeof(numberedTopic{}))) + entryBytes
}

// publisherIDSize is what the index of a publisher's id takes, without its positions.
func publisherIDSize(id string) int64 { return int64(allocated(len(id))) + entryBytes + 24 }
