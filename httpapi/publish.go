package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/sse"
)

const ndjson = "application/x-ndjson"

// The types of answers, as a header has them.
var (
	jsonType   = []string{"application/json"}
	ndjsonType = []string{ndjson}
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
	if mediaType == ndjson {
		a.publishBatch(w, r, g, base, body)
		room := body // or it would be on the heap for others, too
		rooms.Put(&room)
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
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(published{ID: id, Duplicate: res.Duplicate}.append(make([]byte, 0, answerBytes)))
}

// published answers for one event. An item of a batch that failed has the
// fields of its problem instead.
type published struct {
	ID        string `json:"id,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
	*Problem
}

// answerBytes is how long most answers are at most.
const answerBytes = 64

// append appends one line of JSON. Most answers are an id and no more.
func (p published) append(dst []byte) []byte {
	if p.Duplicate || p.Problem != nil {
		line := new(bytes.Buffer)
		encode(line, p)
		return append(dst, line.Bytes()...)
	}
	dst = append(dst, `{"id":`...)
	dst, _ = jsontext.AppendQuote(dst, p.ID) // ids are valid UTF-8
	return append(dst, "}\n"...)
}

func (a *api) publishOne(r *http.Request, g *auth.Grant, p *publication) (id string, res eventlog.Result, err error) {
	rec, err := p.record(g, r.Header.Get("Idempotency-Key"), "")
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
	mediaType, params = parseMediaType(r.Header.Get("Content-Type"))
	if r.ContentLength > a.MaxBody { // said before a byte is read
		return nil, "", nil, tooLargeProblem(a.MaxBody)
	}
	var room []byte
	if mediaType == ndjson {
		room = *rooms.Get().(*[]byte)
	}
	from := r.Body
	if r.ContentLength < 0 { // else it is no longer than that
		from = http.MaxBytesReader(w, from, a.MaxBody)
	}
	body, err = readAll(from, r.ContentLength, room)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); err != nil && !tooLarge {
		err = NewProblem(http.StatusBadRequest, "The body broke off: "+err.Error()+".")
	}
	return body, mediaType, params, err
}

// parseMediaType reads a Content-Type. One that nobody can read is one of those
// whose body is the data.
func parseMediaType(contentType string) (mediaType string, params map[string]string) {
	switch contentType {
	case "", "text/plain", "application/json", ndjson, "application/x-www-form-urlencoded": // which nearly all are
		return contentType, nil
	}
	mediaType, params, _ = mime.ParseMediaType(contentType)
	return mediaType, params
}

// rooms are what the bodies of batches are read into: their events keep nothing
// of them.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// readAll reads into room, if that is large enough, or else returns no more
// memory than it has read: events keep it.
func readAll(r io.Reader, length int64, room []byte) ([]byte, error) {
	if length < 0 || length > 64<<10 { // only said, so far
		b, err := io.ReadAll(r)
		return bytes.Clone(b), err
	}
	b := room
	if int64(cap(b)) < length {
		b = make([]byte, length)
	}
	b = b[:length]
	n, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) { // of no length
		err = nil
	}
	return b[:n], err
}

func tooLargeProblem(limit int64) *Problem {
	return NewProblem(http.StatusRequestEntityTooLarge,
		fmt.Sprintf("A body may have %d bytes. Publish a link to what is larger, or start the hub with a higher --max-body.", limit))
}

// publishBatch adds each line's event; one that is wrong does not hold up the
// others.
func (a *api) publishBatch(w http.ResponseWriter, r *http.Request, g *auth.Grant, base publication, body []byte) {
	key := r.Header.Get("Idempotency-Key")
	lines := min(bytes.Count(body, []byte("\n"))+1, maxItems)
	answers := make([]published, 0, lines)
	recs := make([]eventlog.Record, 0, lines) // of the answers that are no problem yet
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if len(answers) == maxItems {
			NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("A batch may have %d events; nothing of this one was published.", maxItems)).Write(w)
			return
		}
		rec, err := a.item(g, base.clone(), line, key, strconv.Itoa(len(answers)))
		if err != nil {
			answers = append(answers, published{Problem: a.problem(err)})
			continue
		}
		recs = append(recs, rec)
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
	out := make([]byte, 0, answerBytes*len(answers))
	next := 0 // of the results
	for _, answer := range answers {
		if answer.Problem == nil {
			answer = a.answer(&recs[next], results[next])
			next++
		}
		out = answer.append(out)
	}
	w.Header()["Content-Type"] = ndjsonType
	_, _ = w.Write(out)
}

// item is the event of one line. Its name tells it apart from others under the
// batch's key.
func (a *api) item(g *auth.Grant, p publication, line []byte, key, name string) (rec eventlog.Record, err error) {
	if err = p.addJSON(line); err == nil {
		rec, err = p.record(g, key, name)
	}
	if err == nil {
		err = hub.Check(&rec)
	}
	if err == nil {
		err = a.mayPublish(g, rec.Topics)
	}
	return rec, err
}

// answer tells what became of an item.
func (a *api) answer(rec *eventlog.Record, res eventlog.Result) published {
	if res.Err != nil {
		return published{Problem: a.problem(res.Err)}
	}
	return published{ID: publishedID(rec, res), Duplicate: res.Duplicate}
}

// A publication gathers an event's fields from path, query and body.
type publication struct {
	topics []string
	values [len(fields)][]byte // the other fields; nil is not given
}

// A field is one that may be given once.
type field int

const (
	fieldData field = iota
	fieldType
	fieldID
	fieldRetry
	fieldPrivate
)

var fields = [...]string{"data", "type", "id", "retry", "private"}

// clone returns one that fields can be added to without p getting them.
func (p *publication) clone() publication {
	return publication{topics: slices.Clip(p.topics), values: p.values}
}

// get returns a field and whether it was given.
func (p *publication) get(f field) (value string, ok bool) {
	return string(p.values[f]), p.values[f] != nil
}

// set adds a field by its name. Topics add up, anything else may be given once.
func (p *publication) set(name, value string) error {
	if name == "topic" {
		p.addTopic(value)
		return nil
	}
	f := slices.Index(fields[:], name)
	if f < 0 {
		return &hub.InvalidError{Reason: fmt.Sprintf(
			"there is no field %q: put your payload in data=, or send it whole as text/plain; the other fields are topic, type, id, retry and private", clip(name, 64))}
	}
	return p.give(field(f), []byte(value))
}

// give adds a field, whose value stays as it is.
func (p *publication) give(f field, value []byte) error {
	if p.values[f] != nil {
		return &hub.InvalidError{Reason: fields[f] + " is given twice"}
	}
	p.values[f] = value
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
	if t := pathTopic(r); t != "" {
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
func (p *publication) record(g *auth.Grant, key, item string) (eventlog.Record, error) {
	rec := eventlog.Record{Topics: p.topics, Data: p.values[fieldData]}
	if rec.Type, _ = p.get(fieldType); rec.Type == sse.DefaultType {
		rec.Type = "" // the same on the wire
	}
	if id, ok := p.get(fieldID); ok {
		if err := hub.CheckID(id); err != nil {
			return rec, err
		}
		rec.PublisherID = id
		rec.Key = scope(g, "id\x00"+id)
	}
	if key != "" {
		if len(key) > hub.MaxIDBytes || !utf8.ValidString(key) {
			return rec, &hub.InvalidError{Reason: fmt.Sprintf("an Idempotency-Key may be %d bytes of UTF-8", hub.MaxIDBytes)}
		}
		rec.Key = scope(g, "key\x00"+key+"\x00"+item)
	}
	if v, ok := p.get(fieldRetry); ok {
		ms, err := strconv.ParseUint(v, 10, 32)
		if err != nil || ms == 0 {
			return rec, &hub.InvalidError{Reason: fmt.Sprintf("the field retry is a reconnection time in whole milliseconds, from 1 to %d", hub.MaxRetry.Milliseconds())}
		}
		rec.Retry = time.Duration(ms) * time.Millisecond
	}
	switch v, ok := p.get(fieldPrivate); {
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
