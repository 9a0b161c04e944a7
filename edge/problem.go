package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"
)

// A Problem is an error as RFC 9457 §3 defines it. Status is the HTTP status, and
// Detail says what the caller can do.
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail,omitempty"`
}

// Error returns the title and the detail.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// NewProblem returns a problem whose title is the status's standard text, as in
// [http.StatusText].
func NewProblem(status int, detail string) *Problem {
	return &Problem{Status: status, Title: http.StatusText(status), Detail: detail}
}

// Write sends the problem as application/problem+json. A 503 or 429 gets a Retry-After
// of 3 s unless w has one already.
func (p *Problem) Write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if (p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests) && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "3")
	}
	body := AppendLine(nil, p)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client may be gone
}

// Answer sends v as one JSON document. Its Content-Length lets linger drop what is left
// of the request's body.
func Answer(w http.ResponseWriter, status int, v any) {
	body := AppendLine(nil, v)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// Encode writes v as one line of JSON, without HTML escapes so that people can read it
// as well. It ignores errors: the client may be gone, and the server notices that
// itself.
func Encode(w io.Writer, v any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// Problem translates an error of this package, hub, auth or eventlog into the answer for
// the client. It is the only place that does. An unknown error is logged, and answered
// with 503.
func (e *Edge) Problem(err error) *Problem {
	var (
		p        *Problem
		invalid  *topic.InvalidError
		tooLarge *http.MaxBytesError
		denied   *auth.Error
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &denied):
		return NewProblem(denied.Status, denied.Detail)
	case errors.As(err, &invalid):
		return NewProblem(http.StatusBadRequest, Sentence(invalid.Reason))
	case errors.As(err, &tooLarge):
		return tooLargeProblem(tooLarge.Limit)
	case errors.Is(err, hub.ErrOverBudget):
		return noMemoryProblem()
	case errors.Is(err, hub.ErrTooManyBans):
		return NewProblem(http.StatusTooManyRequests, "No more topics can be banned at a time: wait until a ban is over, or ban a URI Template that selects many.")
	case errors.Is(err, eventlog.ErrKeyReused):
		return NewProblem(http.StatusConflict, "This id or Idempotency-Key was used for other content; use a new one for a new event.")
	case errors.Is(err, eventlog.ErrNoSpace):
		return NewProblem(http.StatusInsufficientStorage, "The hub's disk is nearly full. What is published is kept and delivered; publish again when there is space.")
	case errors.Is(err, eventlog.ErrUncertain):
		return NewProblem(http.StatusServiceUnavailable, "The outcome is unknown. Publish again with the same id or Idempotency-Key, and it will be there once.")
	}
	if isBusy(err) {
		e.logBusy(err)
		return NewProblem(http.StatusServiceUnavailable, "The hub serves too many subscriptions of this kind now; try again later.")
	}
	if !errors.Is(err, context.Canceled) { // else the client is gone
		e.Logger.Error("request failed", "err", err)
	}
	return NewProblem(http.StatusServiceUnavailable, "The hub cannot do this now; try again later. Its log has the cause.")
}

// AppendLine appends v as one line of JSON.
func AppendLine(dst []byte, v any) []byte {
	line := new(bytes.Buffer)
	Encode(line, v)
	return append(dst, line.Bytes()...)
}

// Sentence gives an error's text a capital and a full stop.
func Sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// Clip cuts a caller's text to n bytes of valid UTF-8, for a message.
func Clip(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }
