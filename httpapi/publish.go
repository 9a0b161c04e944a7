package httpapi

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tidings-sse/tidings/auth"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/hub"
	"github.com/tidings-sse/tidings/topic"

	"github.com/tidings-sse/tidings/edge"
)

// These header values are shared by all answers, which saves an allocation each.
var (
	jsonType   = []string{"application/json"}
	ndjsonType = []string{edge.NDJSON}
)

const (
	// maxItems is how many events one batch may have.
	maxItems = 10_000
	// itemSize is about how many bytes one item takes besides its text until the batch
	// has been answered.
	itemSize = 512
)

// publish appends one event to the log, or with NDJSON one for each line.
func (a *api) publish(w http.ResponseWriter, r *http.Request) {
	g, err := a.Auth.Publisher(r)
	if err != nil {
		a.Refuse(w, r, err)
		return
	}
	held := a.Hold()
	defer held.Release()
	mediaType, params := edge.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType == edge.NDJSON {
		a.publishBatch(w, r, g, &held)
		return
	}
	var rec eventlog.Record
	var res eventlog.Result
	body, p, err := a.request(w, r, nil, &held)
	if err == nil {
		err = p.addBody(mediaType, params, body)
	}
	if err == nil {
		rec, res, err = a.publishOne(r, g, &p)
	}
	if err != nil {
		a.Refuse(w, r, err)
		return
	}
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(a.appendAnswer(make([]byte, 0, answerBytes), &rec, res))
}

// answerBytes is the length of most answers at most.
const answerBytes = 64

// appendAnswer appends the result for a record as a line of JSON: the id, "duplicate"
// if the event was there before, or a problem.
func (a *api) appendAnswer(dst []byte, rec *eventlog.Record, res eventlog.Result) []byte {
	if res.Err != nil {
		return edge.AppendLine(dst, a.Problem(res.Err))
	}
	dst = append(dst, `{"id":`...)
	if rec.PublisherID == "" { // the log's own ids need no quoting
		dst = append(res.ID.Append(append(dst, '"')), '"')
	} else {
		dst, _ = jsontext.AppendQuote(dst, rec.PublisherID) // ids are valid UTF-8
	}
	if res.Duplicate {
		dst = append(dst, `,"duplicate":true`...)
	}
	return append(dst, "}\n"...)
}

func (a *api) publishOne(r *http.Request, g *auth.Grant, p *publication) (rec eventlog.Record, res eventlog.Result, err error) {
	if rec, err = p.record(g, r.Header.Get("Idempotency-Key"), ""); err == nil {
		err = a.MayPublish(g, rec.Topics)
	}
	if err != nil {
		return rec, res, err
	}
	results, err := a.hub.Publish(r.Context(), rec)
	if err != nil {
		return rec, res, err
	}
	return rec, results[0], results[0].Err
}

// request reads the body, into room if it fits, and the fields in the path and query.
func (a *api) request(w http.ResponseWriter, r *http.Request, room []byte, held *edge.Hold) (body []byte, p publication, err error) {
	if body, err = a.Body(w, r, room, held); err == nil {
		err = p.addQuery(r)
	}
	return body, p, err
}

// A batch is the memory for publishing one batch. Events keep no reference to it.
type batch struct {
	body     []byte
	problems []*edge.Problem // one for each item; nil: the item is the next of recs
	recs     []eventlog.Record
	answer   []byte
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// Larger buffers and batches are allocated for one request and not kept.
const (
	largestRoom = 64 << 10
	mostItems   = 1 << 10
)

// release makes b available to the next batch, unless it is too large to keep.
func (b *batch) release() {
	if max(cap(b.body), cap(b.answer)) > largestRoom || max(cap(b.problems), cap(b.recs)) > mostItems {
		return
	}
	clear(b.problems)
	clear(b.recs)
	b.body, b.problems, b.recs, b.answer = b.body[:0], b.problems[:0], b.recs[:0], b.answer[:0]
	batches.Put(b)
}

// publishBatch publishes the event of each line. A line that is wrong does not hold up
// the others.
func (a *api) publishBatch(w http.ResponseWriter, r *http.Request, g *auth.Grant, held *edge.Hold) {
	b := batches.Get().(*batch)
	body, base, err := a.request(w, r, b.body, held)
	if err == nil { // for all items, before the first is read
		err = held.Take(itemSize * int64(min(bytes.Count(body, []byte("\n"))+1, maxItems)))
	}
	if err != nil {
		a.Refuse(w, r, err)
		return
	}
	b.body = body
	key := r.Header.Get("Idempotency-Key")
	for line := range bytes.Lines(b.body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if len(b.problems) == maxItems {
			edge.NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("A batch may have %d events; nothing of this one was published.", maxItems)).Write(w)
			return
		}
		p := base.clone()
		if len(b.recs) > 0 {
			p.like = b.recs[len(b.recs)-1].Topics
		}
		rec, err := a.item(g, p, line, key, strconv.Itoa(len(b.problems)))
		if err != nil {
			b.problems = append(b.problems, a.Problem(err))
			continue
		}
		b.problems, b.recs = append(b.problems, nil), append(b.recs, rec)
	}
	if len(b.problems) == 0 {
		edge.NewProblem(http.StatusBadRequest, `Send one JSON object a line, as in {"topic":"news","data":"hello"}.`).Write(w)
		return
	}
	results, err := a.hub.Publish(r.Context(), b.recs...)
	if err != nil { // the log may still have the records
		a.Problem(err).Write(w)
		return
	}
	next := 0 // index into results
	for _, problem := range b.problems {
		if problem != nil {
			b.answer = edge.AppendLine(b.answer, problem)
			continue
		}
		b.answer = a.appendAnswer(b.answer, &b.recs[next], results[next])
		next++
	}
	w.Header()["Content-Type"] = ndjsonType
	_, _ = w.Write(b.answer)
	b.release()
}

// item returns the record of one line. name distinguishes the lines that share the
// batch's key.
func (a *api) item(g *auth.Grant, p publication, line []byte, key, name string) (rec eventlog.Record, err error) {
	if err = p.addJSON(line); err == nil {
		rec, err = p.record(g, key, name)
	}
	if err == nil {
		err = hub.Check(&rec)
	}
	if err == nil {
		err = a.MayPublish(g, rec.Topics)
	}
	return rec, err
}

// A publication gathers an event's fields from path, query and body.
type publication struct {
	topics []string
	like   []string            // another event's topics, whose memory is shared if they are the same
	values [len(fields)][]byte // the other fields; nil: not given
}

// A field is a field of an event that may be given only once.
type field int

const (
	fieldData field = iota
	fieldType
	fieldID
	fieldRetry
	fieldPrivate
)

var fields = [...]string{"data", "type", "id", "retry", "private"}

// clone returns a copy to which fields can be added without changing p.
func (p *publication) clone() publication {
	return publication{topics: slices.Clip(p.topics), like: p.like, values: p.values}
}

// get returns a field's value and whether it was given.
func (p *publication) get(f field) (value string, ok bool) {
	return string(p.values[f]), p.values[f] != nil
}

// set adds a field by name. topic may be given several times, any other field once.
func (p *publication) set(name, value string) error {
	if name == "topic" {
		p.addTopic(value)
		return nil
	}
	f := slices.Index(fields[:], name)
	if f < 0 {
		return &topic.InvalidError{Reason: fmt.Sprintf(
			"there is no field %q: put your payload in data=, or send it whole as text/plain; the other fields are topic, type, id, retry and private", edge.Clip(name, 64))}
	}
	return p.give(field(f), []byte(value))
}

// give adds a field. It keeps value without copying it.
func (p *publication) give(f field, value []byte) error {
	if p.values[f] != nil {
		return &topic.InvalidError{Reason: fields[f] + " is given twice"}
	}
	p.values[f] = value
	return nil
}

func (p *publication) addTopic(topic string) { p.topics = edge.AddTopic(p.topics, topic) }

func (p *publication) addQuery(r *http.Request) error {
	if t := pathTopic(r); t != "" {
		p.addTopic(t)
	}
	q, err := edge.Query(r)
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

// record returns the publication as a log record. An id, or an Idempotency-Key, which
// takes precedence, makes the log store it once for each publisher; item distinguishes
// the items of a batch that share one key.
func (p *publication) record(g *auth.Grant, key, item string) (eventlog.Record, error) {
	rec := eventlog.Record{Topics: p.topics, Data: p.values[fieldData]}
	name, _ := p.get(fieldType)
	rec.Type = edge.EventType(name)
	if id, ok := p.get(fieldID); ok {
		if err := checkID(id); err != nil {
			return rec, err
		}
		rec.PublisherID = id
		rec.Key = scope(g, "id\x00"+id)
	}
	if key != "" {
		if len(key) > hub.MaxIDBytes || !utf8.ValidString(key) {
			return rec, &topic.InvalidError{Reason: fmt.Sprintf("an Idempotency-Key may be %d bytes of UTF-8", hub.MaxIDBytes)}
		}
		rec.Key = scope(g, "key\x00"+key+"\x00"+item)
	}
	if v, ok := p.get(fieldRetry); ok {
		var err error
		if rec.Retry, err = edge.ParseRetry(v, time.Millisecond); err != nil {
			return rec, err
		}
	}
	switch v, ok := p.get(fieldPrivate); {
	case !ok:
	case v == "", v == "1", v == "true", v == "on":
		rec.Private = true
	default:
		return rec, &topic.InvalidError{Reason: "the field private is empty, 1, true or on; leave it out for a public event"}
	}
	return rec, nil
}

// checkID returns an error if id cannot be used on this path. Clients send an id back
// in a header, where some encode other characters than ASCII as UTF-8 and some as
// Latin-1, and fetch refuses them.
func checkID(id string) error {
	if err := hub.CheckID(id); err != nil {
		return err
	}
	if strings.ContainsFunc(id, func(r rune) bool { return r > unicode.MaxASCII }) {
		return &topic.InvalidError{Reason: "the id must be ASCII: clients send it back in a Last-Event-ID header, where nothing else survives; percent-encode it, or put what it says into data"}
	}
	return nil
}
