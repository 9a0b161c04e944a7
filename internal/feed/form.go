package feed

import (
	"slices"

	"github.com/tidings-sse/tidings/eventlog"
)

// A Form is how the events of a feed are written. Feeds are told apart by their forms, so
// a Form is comparable.
type Form interface {
	// Append appends an event as it is sent: at least one byte.
	Append(dst []byte, e *eventlog.Event) []byte
}

// wires holds one event as it is sent, encoded once for each form that feeds have.
type wires []wire

type wire struct {
	as    Form
	bytes []byte // empty: not encoded yet
}

// next forgets the event. It keeps the buffers for the next one, except large ones, which
// windows refer to.
func (ws wires) next() {
	for i := range ws {
		if w := &ws[i]; cap(w.bytes) > PageBytes {
			w.bytes = nil
		} else {
			w.bytes = w.bytes[:0]
		}
	}
}

// of returns e as it is sent in a form.
func (ws *wires) of(e *eventlog.Event, as Form) []byte {
	i := slices.IndexFunc(*ws, func(w wire) bool { return w.as == as })
	if i < 0 {
		i = len(*ws)
		*ws = append(*ws, wire{as: as})
	}
	w := &(*ws)[i]
	if len(w.bytes) == 0 {
		w.bytes = as.Append(w.bytes, e)
	}
	return w.bytes
}
