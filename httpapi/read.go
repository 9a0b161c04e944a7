package httpapi

import (
	"bufio"
	"net/http"
	"time"

	"github.com/tidings-sse/tidings/hub"
)

// read answers with what is retained, one JSON object a line, and ends. Its
// Last-Event-ID header is the place to subscribe from for what comes after.
func (a *api) read(w http.ResponseWriter, r *http.Request, s hub.Subscription) {
	if s.From == (hub.From{}) {
		s.From.LastEventID = hub.Earliest // from now on, there is nothing to read
	}
	events, end, err := a.hub.Retained(r.Context(), s)
	if err != nil {
		a.problem(err).Write(w)
		return
	}
	h := w.Header()
	h.Set("Content-Type", ndjson)
	h.Set("Cache-Control", "no-store")
	h.Set("Last-Event-ID", end.String())
	if r.Method == http.MethodHead {
		return
	}
	rc := http.NewResponseController(w)
	out := bufio.NewWriterSize(deadlineWriter{w, rc, a.WriteTimeout}, 64<<10)
	var line []byte
	for e, err := range events {
		if err != nil {
			// The status is out; only a broken body can still say so.
			panic(http.ErrAbortHandler)
		}
		line = append(hub.AppendEnvelope(line[:0], e, true), '\n')
		if _, err := out.Write(line); err != nil {
			return
		}
	}
	_ = out.Flush() // the client may be gone
}

// A deadlineWriter gives each write a deadline of its own.
type deadlineWriter struct {
	http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
}

func (w deadlineWriter) Write(p []byte) (int, error) {
	_ = w.rc.SetWriteDeadline(time.Now().Add(w.timeout)) // a writer without deadlines has none to pass
	return w.ResponseWriter.Write(p)
}
