package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/sse"
)

// flushSize is how many bytes gather before they are written. What is pending
// leaves in as few writes as that allows.
const flushSize = 64 << 10

// stream serves one subscriber until it goes or the hub ends it.
func (a *api) stream(w http.ResponseWriter, r *http.Request, s hub.Subscription, envelope bool) {
	if retry, draining := a.hub.Draining(); draining {
		a.comeBack(w, r, retry, unavailable(hub.ErrDrained))
		return
	}
	sub, err := a.hub.Open(r.Context(), s)
	var invalid *hub.InvalidError
	if errors.As(err, &invalid) {
		a.problem(err).Write(w)
		return
	} else if err != nil {
		a.Logger.Error("cannot open a stream", "err", err)
		a.comeBack(w, r, a.Retry+rand.N(a.Retry), unavailable(err))
		return
	}
	defer sub.Close()
	// The heartbeat is the hub's own, since it carries the place.
	out, err := sse.Accept(w, r, &sse.AcceptOptions{Heartbeat: -1, WriteTimeout: a.WriteTimeout})
	if err != nil || r.Method == http.MethodHead {
		return
	}
	defer func() { _ = out.Close() }()
	sw := streamWriter{out: out, envelope: envelope, buf: make([]byte, 0, 1024)}
	sw.begin(sub, a.Retry)
	for sw.flush() {
		batch, err := sub.Next(out.Context(), a.Heartbeat)
		sw.batch(batch, err == nil)
		if err != nil {
			sw.flush()
			if !errors.Is(err, hub.ErrDrained) && !errors.Is(err, hub.ErrClosed) && out.Context().Err() == nil {
				a.Logger.Error("stream ended", "err", err)
			}
			return
		}
	}
}

// A streamWriter turns batches into bytes.
type streamWriter struct {
	out      *sse.Stream
	envelope bool
	buf      []byte
	told     eventlog.ID // the place that the client has as its last event ID
	failed   bool
}

// begin gives the client its reconnection time and its place. A gap brings its
// own: told beforehand, a stream cut between the two would never hear of it.
func (w *streamWriter) begin(sub *hub.Subscriber, retry time.Duration) {
	w.buf = sse.AppendRetry(w.buf, retry)
	if place, gap := sub.Start(); !gap {
		w.tell(place)
	}
}

// batch writes what is next; a batch of nothing is a heartbeat.
func (w *streamWriter) batch(b hub.Batch, heartbeat bool) {
	if b.Retry > 0 {
		w.buf = sse.AppendRetry(w.buf, b.Retry)
		return
	}
	for _, e := range b.Events {
		w.event(e)
		if len(w.buf) >= flushSize && !w.flush() {
			return
		}
	}
	if len(b.Events) > 0 || !heartbeat {
		return
	}
	if b.Place != w.told {
		w.tell(b.Place)
	} else {
		w.buf = sse.AppendComment(w.buf, "")
	}
}

func (w *streamWriter) tell(place eventlog.ID) {
	w.buf, _ = sse.AppendID(w.buf, place.String()) // an ID's text is always valid
	w.told = place
}

func (w *streamWriter) event(e *eventlog.Event) {
	if e.Retry > 0 {
		w.buf = sse.AppendRetry(w.buf, e.Retry)
	}
	data := string(e.Data)
	if w.envelope && e.Type != hub.GapType {
		data = string(appendEnvelope(nil, e, false))
	}
	buf, err := sse.AppendEvent(w.buf, sse.Event{Type: e.Type, Data: data, ID: wireID(e)})
	if err != nil {
		panic(fmt.Sprintf("event %s was published against hub.Check: %v", e.ID, err))
	}
	w.buf = buf
	w.told = e.ID
}

func (w *streamWriter) flush() bool {
	if len(w.buf) > 0 && !w.failed {
		_, err := w.out.Write(w.buf)
		w.failed = err != nil
		w.buf = w.buf[:0]
	}
	if cap(w.buf) > 2*flushSize { // one large event must not stay for the stream's life
		w.buf = nil
	}
	return !w.failed
}

// wireID is an event's id for its subscribers: the publisher's, or the hub's.
func wireID(e *eventlog.Event) string {
	if e.PublisherID != "" {
		return e.PublisherID
	}
	return e.ID.String()
}

// envelope is an event as JSON. Data is a string always, whatever it holds.
type envelope struct {
	ID     string    `json:"id,omitempty"`
	Topics []string  `json:"topics"`
	Type   string    `json:"type"`
	Time   time.Time `json:"time"`
	Data   string    `json:"data"`
}

func appendEnvelope(dst []byte, e *eventlog.Event, withID bool) []byte {
	v := envelope{Topics: e.Topics, Type: e.Type, Time: e.Time.UTC(), Data: string(e.Data)}
	if v.Topics == nil {
		v.Topics = []string{}
	}
	if v.Type == "" {
		v.Type = sse.DefaultType
	}
	if withID {
		v.ID = wireID(e)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and a time of this era
	}
	return append(dst, b...)
}
