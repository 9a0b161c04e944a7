package httpapi

import (
	"bufio"
	"errors"
	"net/http"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"

	"github.com/tidings-sse/tidings/edge"
)

// read answers with the retained events, one JSON object a line, and ends. Its
// Last-Event-ID header is the position to subscribe from for what comes after.
func (a *api) read(w http.ResponseWriter, r *http.Request, s hub.Subscription) {
	if s.From == (hub.From{}) {
		s.From.LastEventID = hub.Earliest // the default, new events only, would read nothing
	}
	lists := a.Budget.Share(budget.Lists)
	held := readBytes + s.Weight()
	if !lists.Take(held) {
		a.Problem(hub.ErrOverBudget).Write(w)
		return
	}
	defer lists.Give(held)
	events, end, err := a.hub.Retained(r.Context(), s)
	if err != nil {
		a.Problem(err).Write(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", edge.NDJSON)
	h.Set("Cache-Control", "no-store")
	h.Set("Last-Event-ID", end.String())
	if r.Method == http.MethodHead {
		return
	}
	edge.ForgetHead(w, r)
	_ = http.NewResponseController(w).Flush() // so that the client has the headers while the log is searched
	out := bufio.NewWriterSize(w, 64<<10)
	for e, err := range events {
		if err == nil {
			err = writeLine(out, e, lists)
		}
		if errors.Is(err, errGone) {
			return
		}
		if err != nil {
			// The status has been sent; only a broken body can signal the error.
			panic(http.ErrAbortHandler)
		}
	}
	_ = out.Flush() // the client may be gone
}

// readBytes is about how many bytes an answer of events holds: the events at hand, and
// a buffer of lines.
const readBytes = 128 << 10

var errGone = errors.New("the client is gone")

// writeLine writes an event's line. It takes memory for a large one from lists until
// the line is written.
func writeLine(out *bufio.Writer, e *eventlog.Event, lists *budget.Share) error {
	if n := 2 * e.Footprint(); n > readBytes/2 {
		if !lists.Take(n) {
			return hub.ErrOverBudget
		}
		defer lists.Give(n)
	}
	if _, err := out.Write(append(hub.AppendEnvelope(nil, e, true), '\n')); err != nil {
		return errGone
	}
	return nil
}
