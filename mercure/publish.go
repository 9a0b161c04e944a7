package mercure

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/httpapi"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/internal/form"
)

// publish appends an update to the log and answers with its id.
func (m *Handler) publish(w http.ResponseWriter, r *http.Request) {
	g, err := m.o.Auth.Publisher(r)
	if err != nil {
		m.api.Refuse(w, r, err)
		return
	}
	id, err := m.add(w, r, g)
	if err != nil {
		m.api.Refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, id) // the client may be gone
}

func (m *Handler) add(w http.ResponseWriter, r *http.Request, g *auth.Grant) (id string, err error) {
	body, mediaType, done, err := m.api.Body(w, r)
	defer done()
	if err != nil {
		return "", err
	}
	if mediaType != "application/x-www-form-urlencoded" {
		return "", httpapi.NewProblem(http.StatusUnsupportedMediaType, "Send an update as a form: application/x-www-form-urlencoded.")
	}
	fields, err := form.Parse(string(body))
	if err != nil {
		return "", &hub.InvalidError{Reason: "the form is malformed: " + err.Error()}
	}
	rec, err := record(fields)
	if err != nil {
		return "", err
	}
	for _, t := range rec.Topics {
		if Reserved(t) {
			return "", auth.Forbidden("Topics under " + Path + " are the hub's own.")
		}
	}
	if err := httpapi.MayPublish(g, rec.Topics); err != nil {
		return "", err
	}
	results, err := m.hub.Publish(r.Context(), rec)
	if err != nil {
		return "", err
	}
	if rec.PublisherID != "" {
		return rec.PublisherID, nil
	}
	return results[0].ID.URN(), nil
}

// record returns an update as a log record. Its id may be used again by another update:
// it does not deduplicate. Unknown fields are ignored.
func record(fields url.Values) (eventlog.Record, error) {
	rec := eventlog.Record{
		Type:        fields.Get("type"),
		Data:        []byte(fields.Get("data")),
		Private:     fields.Has("private"), // present, whatever the value
		PublisherID: fields.Get("id"),
	}
	seen := map[string]bool{}
	for _, t := range fields["topic"] {
		if !seen[t] { // an alternate topic may repeat the canonical one
			seen[t] = true
			rec.Topics = append(rec.Topics, t)
		}
	}
	if rec.Type == "message" {
		rec.Type = "" // the same on the wire
	}
	if v := fields.Get("retry"); v != "" {
		ms, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return rec, &hub.InvalidError{Reason: fmt.Sprintf("the field retry is a reconnection time in whole milliseconds, up to %d", hub.MaxRetry.Milliseconds())}
		}
		rec.Retry = time.Duration(ms) * time.Millisecond
	}
	return rec, hub.Check(&rec)
}
