package mercure

import (
	"io"
	"net/http"
	"net/url"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/edge"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/internal/form"
	"github.com/tidings-sse/tidings/topic"
)

// publish appends an update to the log and answers with its id.
func (m *Handler) publish(w http.ResponseWriter, r *http.Request) {
	g, err := m.edge.Auth.Publisher(r)
	if err != nil {
		m.edge.Refuse(w, r, err)
		return
	}
	id, err := m.add(w, r, g)
	if err != nil {
		m.edge.Refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, id) // the client may be gone
}

func (m *Handler) add(w http.ResponseWriter, r *http.Request, g *auth.Grant) (id string, err error) {
	held := m.edge.Hold()
	defer held.Release()
	mediaType, _ := edge.ParseMediaType(r.Header.Get("Content-Type"))
	body, err := m.edge.Body(w, r, nil, &held)
	if err != nil {
		return "", err
	}
	if mediaType != "application/x-www-form-urlencoded" {
		return "", edge.NewProblem(http.StatusUnsupportedMediaType, "Send an update as a form: application/x-www-form-urlencoded.")
	}
	fields, err := form.Parse(string(body))
	if err != nil {
		return "", &topic.InvalidError{Reason: "the form is malformed: " + err.Error()}
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
	if err := m.edge.MayPublish(g, rec.Topics); err != nil {
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
		Type:        edge.EventType(fields.Get("type")),
		Data:        []byte(fields.Get("data")),
		Private:     fields.Has("private"), // present, whatever the value
		PublisherID: fields.Get("id"),
	}
	for _, t := range fields["topic"] { // an alternate topic may repeat the canonical one
		rec.Topics = edge.AddTopic(rec.Topics, t)
	}
	if v := fields.Get("retry"); v != "" {
		var err error
		if rec.Retry, err = edge.ParseRetry(v, 0); err != nil {
			return rec, err
		}
	}
	return rec, hub.Check(&rec)
}
