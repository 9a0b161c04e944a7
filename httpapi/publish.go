package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
)

// maxItems is how many events one batch may have.
const maxItems = 10_000

// publish adds one event, or with NDJSON one a line.
func (a *api) publish(w http.ResponseWriter, r *http.Request) {
	g, err := a.Auth.Publisher(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	body, mediaType, params, err := a.body(w, r)
	if err != nil {
		a.problem(err).Write(w)
		return
	}
	base := publication{}
	if err := base.addQuery(r); err != nil {
		a.problem(err).Write(w)
		return
	}
	if mediaType == "application/x-ndjson" {
		a.publishBatch(w, r, g, base, body)
		return
	}
	var id string
	var res eventlog.Result
	if err = base.addBody(mediaType, params, body); err == nil {
		id, res, err = a.publishOne(r, g, &base)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusCreated)
	encode(w, published{ID: id, Duplicate: res.Duplicate})
}

// published answers for one event. An item of a batch that failed has the
// fields of its problem instead.
type published struct {
	ID        string `json:"id,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
	*Problem
}

func (a *api) publishOne(r *http.Request, g *auth.Grant, p *publication) (id string, res eventlog.Result, err error) {
	rec, err := p.record(r.Header, g, "")
	if err == nil {
		err = a.mayPublish(g, rec.Topics)
	}
	if err != nil {
		return "", res, err
	}
	results, err := a.hub.Publish(r.Context(), rec)
	if err != nil {
		return "", res, err
	}
	return publishedID(&rec, results[0]), results[0], results[0].Err
}

func publishedID(rec *eventlog.Record, res eventlog.Result) string {
	return hub.WireID(&eventlog.Event{Record: *rec, ID: res.ID})
}

// body reads the request's body within the limit and tells what it is.
func (a *api) body(w http.ResponseWriter, r *http.Request) (body []byte, mediaType string, params map[string]string, err error) {
	if ce := r.Header.Get("Content-Encoding"); ce != "" && ce != "identity" {
		return nil, "", nil, NewProblem(http.StatusUnsupportedMediaType, "Send the body without Content-Encoding.")
	}
	if ct := r.Header.Get("Content-Type"); ct != "" {
		mediaType, params, _ = mime.ParseMediaType(ct) // a type that nobody can read is one of those whose body is the data
	}
	if r.ContentLength > a.MaxBody { // said before a byte is read
		return nil, "", nil, tooLargeProblem(a.MaxBody)
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, a.MaxBody))
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		err = NewProblem(http.StatusBadRequest, "The body broke off: "+err.Error()+".")
	}
	return body, mediaType, params, err
}

func tooLargeProblem(limit int64) *Problem {
	return NewProblem(http.StatusRequestEntityTooLarge,
		fmt.Sprintf("A body may have %d bytes. Publish a link to what is larger, or start the hub with a higher --max-body.", limit))
}

// publishBatch adds each line's event; one that is wrong does not hold up the
// others.
func (a *api) publishBatch(w http.ResponseWriter, r *http.Request, g *auth.Grant, base publication, body []byte) {
	var (
		answers []published
		recs    []eventlog.Record
		places  []int // of recs in answers
	)
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if len(answers) == maxItems {
			NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("A batch may have %d events; nothing of this one was published.", maxItems)).Write(w)
			return
		}
		item := base.clone()
		err := item.addJSON(line)
		var rec eventlog.Record
		if err == nil {
			rec, err = item.record(r.Header, g, strconv.Itoa(len(answers)))
		}
		if err == nil {
			err = hub.Check(&rec)
		}
		if err == nil {
			err = a.mayPublish(g, rec.Topics)
		}
		if err != nil {
			answers = append(answers, published{Problem: a.problem(err)})
			continue
		}
		recs = append(recs, rec)
		places = append(places, len(answers))
		answers = append(answers, published{})
	}
	if len(answers) == 0 {
		NewProblem(http.StatusBadRequest, `Send one JSON object a line, as in {"topic":"news","data":"hello"}.`).Write(w)
		return
	}
	results, err := a.hub.Publish(r.Context(), recs...)
	if err != nil {
		a.problem(err).Write(w)
		return
	}
	for i, res := range results {
		if res.Err != nil {
			answers[places[i]] = published{Problem: a.problem(res.Err)}
			continue
		}
		answers[places[i]] = published{ID: publishedID(&recs[i], res), Duplicate: res.Duplicate}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	for _, answer := range answers {
		encode(w, answer)
	}
}

// A publication gathers an event's fields from path, query and body.
type publication struct {
	topics []string
	values map[string]string // the other fields, by name
}

func (p *publication) clone() publication {
	c := publication{topics: append([]string(nil), p.topics...), values: map[string]string{}}
	for k, v := range p.values {
		c.values[k] = v
	}
	return c
}

// set adds a field. Topics add up, anything else may be given once.
func (p *publication) set(name, value string) error {
	switch name {
	case "topic":
		p.addTopic(value)
		return nil
	case "data", "type", "id", "retry", "private":
	default:
		return &hub.InvalidError{Reason: fmt.Sprintf(
			"there is no field %q: put your payload in data=, or send it whole as text/plain; the other fields are topic, type, id, retry and private", clip(name, 64))}
	}
	if _, ok := p.values[name]; ok {
		return &hub.InvalidError{Reason: name + " is given twice"}
	}
	if p.values == nil {
		p.values = map[string]string{}
	}
	p.values[name] = value
	return nil
}

// addTopic adds a topic unless it is there: the path and the body may both
// name it.
func (p *publication) addTopic(topic string) {
	for _, t := range p.topics[:min(len(p.topics), hub.MaxTopics)] {
		if t == topic {
			return
		}
	}
	p.topics = append(p.topics, topic)
}

func (p *publication) addQuery(r *http.Request) error {
	if t := r.PathValue("topic"); t != "" {
		p.addTopic(t)
	}
	q, err := parseQuery(r)
	if err != nil {
		return err
	}
	return p.addValues(q)
}

func (p *publication) addValues(q url.Values) error {
	for name, values := range q {
		for _, v := range values {
			if err := p.set(name, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// record is the publication as the log takes it. An id, or an idempotency key,
// which beats it, makes it go in once for all of its publisher's; item tells a
// batch's apart.
func (p *publication) record(h http.Header, g *auth.Grant, item string) (eventlog.Record, error) {
	rec := eventlog.Record{
		Topics:      p.topics,
		Type:        p.values["type"],
		Data:        []byte(p.values["data"]),
		PublisherID: p.values["id"],
	}
	if rec.Type == "message" {
		rec.Type = "" // the same on the wire
	}
	if id, ok := p.values["id"]; ok {
		if err := hub.CheckID(id); err != nil {
			return rec, err
		}
		rec.Key = scope(g, "id\x00"+id)
	}
	if key := h.Get("Idempotency-Key"); key != "" {
		if len(key) > hub.MaxIDBytes || !utf8.ValidString(key) {
			return rec, &hub.InvalidError{Reason: fmt.Sprintf("an Idempotency-Key may be %d bytes of UTF-8", hub.MaxIDBytes)}
		}
		rec.Key = scope(g, "key\x00"+key+"\x00"+item)
	}
	if v, ok := p.values["retry"]; ok {
		ms, err := strconv.ParseUint(v, 10, 32)
		if err != nil || ms == 0 {
			return rec, &hub.InvalidError{Reason: fmt.Sprintf("the field retry is a reconnection time in whole milliseconds, from 1 to %d", hub.MaxRetry.Milliseconds())}
		}
		rec.Retry = time.Duration(ms) * time.Millisecond
	}
	switch v, ok := p.values["private"]; {
	case !ok:
	case v == "", v == "1", v == "true", v == "on":
		rec.Private = true
	default:
		return rec, &hub.InvalidError{Reason: "the field private is empty, 1, true or on; leave it out for a public event"}
	}
	return rec, nil
}

// clip cuts a caller's text for a message.
func clip(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }
