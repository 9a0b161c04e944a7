package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/eventlog/disklog"
	"github.com/tidings-sse/tidings/internal/route"
	"github.com/tidings-sse/tidings/topic"
)

// A model is a hub and a plain slice of what was published, in order.
type model struct {
	t         *testing.T
	rng       *rand.Rand
	disk      *vfs.MemFS // the disk, whose power can be cut; nil: the log is in memory
	retention eventlog.Retention
	log       eventlog.Log
	hub       *Hub
	all       []published
	subs      []*modelStream
}

type published struct {
	id     eventlog.ID
	name   string // the id on the wire
	topics []string
	typ    string
	data   string
	secret bool
	gone   bool // deleted: only streams that had begun to send it may still deliver it
}

// A modelStream is a stream and how far it has been delivered.
type modelStream struct {
	selectors []string
	types     []string
	grant     []string
	ids       *Spelling
	positions Positions
	st        *Stream
	at        int    // index in all of the event that may come next
	lastID    string // the id that a client would send to resume
}

// TestModel publishes, subscribes, reads, disconnects, resumes, deletes, and restarts the
// hub, cleanly or with a power cut, all at random. It checks that every stream receives
// what the plain slice says.
func TestModel(t *testing.T) {
	for name, disk := range map[string]func() *vfs.MemFS{
		"memory": func() *vfs.MemFS { return nil },
		"disk":   vfs.NewCrashableMem,
	} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprint(name, "/", seed), func(t *testing.T) {
				m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 1)), disk: disk()}
				m.retention = eventlog.Retention{Events: int64(50 + m.rng.IntN(400))}
				m.log = m.open()
				m.start()
				defer func() { m.stop(); _ = m.log.Close() }()
				for range 400 {
					m.step()
				}
				for _, s := range m.subs {
					m.drainStream(s, len(m.all)+1)
				}
			})
		}
	}
}

func (m *model) open() eventlog.Log {
	if m.disk == nil {
		return eventlog.NewMemory(m.retention)
	}
	log, err := disklog.Open("data", disklog.Options{FS: m.disk, Retention: m.retention, MinFree: -1})
	if err != nil {
		m.t.Fatal(err)
	}
	return log
}

func (m *model) start() {
	var err error
	// The pump tries all templates, some or none; the rest take too long for it. The
	// cache of matches has room or has none.
	b := budget.New(0)
	if matches := b.Share(budget.Matches); m.rng.IntN(2) == 0 {
		matches.Take(matches.Most())
	}
	if m.hub, err = New(m.log, Options{Budget: b}); err != nil {
		m.t.Fatal(err)
	}
	m.hub.feeds.SetWork([]int{route.DefaultWork, 120, 0}[m.rng.IntN(3)])
	for _, s := range m.subs {
		m.reopen(s)
	}
}

func (m *model) stop() {
	for _, s := range m.subs {
		s.st.Close()
	}
	m.hub.Close()
}

// restart stops the hub and starts a new one, and closes and opens a log on disk.
func (m *model) restart() {
	m.stop()
	if m.disk != nil {
		if err := m.log.Close(); err != nil {
			m.t.Fatal(err)
		}
		m.log = m.open()
	}
	m.start()
}

// cutPower ends the hub in the middle of publishing, and starts a new one with what the
// disk has. Acknowledged events must be there; the others are there as they were
// published, or not at all.
func (m *model) cutPower() {
	recs := make([]eventlog.Record, 1+m.rng.IntN(20))
	for i := range recs {
		recs[i] = m.record(len(m.all) + i)
	}
	var acked atomic.Int64
	published := make(chan struct{})
	go func() {
		defer close(published)
		for _, r := range recs {
			if _, err := m.hub.Publish(context.Background(), r); err != nil {
				m.t.Error(err)
				return
			}
			acked.Add(1)
		}
	}()
	for enough := int64(m.rng.IntN(len(recs))); acked.Load() < enough; {
		runtime.Gosched()
	}
	least := int(acked.Load())
	after := m.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: m.rng.IntN(101), RNG: m.rng})
	<-published // on a disk that has been cut off
	m.stop()
	_ = m.log.Close()
	m.disk = after
	m.log = m.open()

	last := m.origin()
	if n := len(m.all); n > 0 {
		last = m.all[n-1].id
	}
	n := 0
	for e, err := range m.log.Read(context.Background(), last, eventlog.Query{}) {
		if err != nil || n == len(recs) || string(e.Data) != string(recs[n].Data) {
			m.t.Fatalf("after a power cut, the %d-th of %d is %v, %v", n, len(recs), e, err)
		}
		m.add(e.ID, recs[n])
		n++
	}
	if n < least {
		m.t.Fatalf("after a power cut %d events are there, and %d were acknowledged", n, least)
	}
	m.start()
}

func (m *model) origin() eventlog.ID {
	b, err := m.log.Bounds(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	return b.Origin
}

func (m *model) step() {
	switch n := m.rng.IntN(100); {
	case n < 50:
		m.publish(1 + m.rng.IntN(20))
	case n < 60 && len(m.subs) < 20:
		m.subscribe()
	case n < 65 && len(m.subs) > 0:
		m.subs[m.rng.IntN(len(m.subs))].st.Beat()
	case n < 85 && len(m.subs) > 0:
		m.drainStream(m.subs[m.rng.IntN(len(m.subs))], 1+m.rng.IntN(40))
	case n < 97 && len(m.subs) > 0:
		m.resume(m.subs[m.rng.IntN(len(m.subs))])
	case n == 97 && len(m.all) > 0:
		m.delete(m.rng.IntN(len(m.all)))
	case n == 98 && m.disk != nil:
		m.cutPower()
	case n == 99:
		m.restart()
	}
}

func (m *model) publish(n int) {
	for range n {
		r := m.record(len(m.all))
		results, err := m.hub.Publish(context.Background(), r)
		if err != nil {
			m.t.Fatal(err)
		}
		m.add(results[0].ID, r)
	}
}

// record returns the n-th record to publish.
func (m *model) record(n int) eventlog.Record {
	r := eventlog.Record{
		Topics: []string{"a", "b", "orders/1", "orders/2", "other"}[m.rng.IntN(5):][:1],
		Type:   []string{"", "price"}[m.rng.IntN(2)],
		Data:   fmt.Append(nil, n, strings.Repeat("x", m.rng.IntN(2000))),

		Private: m.rng.IntN(3) == 0,
	}
	if m.rng.IntN(4) == 0 && r.Topics[0] != "b" {
		r.Topics = append(slices.Clone(r.Topics), "b")
	}
	if m.rng.IntN(5) == 0 {
		r.PublisherID = fmt.Sprint("p", n)
	}
	return r
}

func (m *model) add(id eventlog.ID, r eventlog.Record) {
	name := id.String()
	if r.PublisherID != "" {
		name = r.PublisherID
	}
	m.all = append(m.all, published{id: id, name: name, topics: r.Topics, typ: r.Type, data: string(r.Data), secret: r.Private})
}

// delete deletes an event, if it is still there.
func (m *model) delete(i int) {
	p := &m.all[i]
	n, err := m.hub.DeleteID(context.Background(), p.name)
	if retained := p.id.Compare(m.origin()) > 0; err != nil || n > 1 || retained && !p.gone && n != 1 || p.gone && n > 0 {
		m.t.Fatalf("Delete of %s = %d, %v; retained: %v, deleted before: %v", p.name, n, err, retained, p.gone)
	}
	p.gone = true
}

func (m *model) subscribe() {
	s := &modelStream{
		selectors: [][]string{{"a"}, {"a", "b"}, {"*"}, {"orders/{id}"}, {"orders/{id}", "b"}, {"{+x}"}, {"{x}rs{/y}", "a"}}[m.rng.IntN(7)],
		types:     [][]string{nil, {"price"}, {"message"}}[m.rng.IntN(3)],
		grant:     [][]string{nil, {"*"}, {"a"}, {"orders/{id}", "other"}}[m.rng.IntN(4)],
		ids:       []*Spelling{nil, urns}[m.rng.IntN(2)],
		positions: Positions(m.rng.IntN(3)),
	}
	m.reopen(s)
	m.subs = append(m.subs, s)
}

// reopen opens a stream as its client would: after the last id that it saw, or live if it
// has seen none.
func (m *model) reopen(s *modelStream) {
	if s.lastID == "" {
		s.at = len(m.all)
	}
	sub := Subscription{Types: s.types, From: From{LastEventID: s.lastID}}
	var err error
	if sub.Selectors, err = topic.Parse(s.selectors...); err != nil {
		m.t.Fatal(err)
	}
	if sub.Grant, err = topic.Parse(s.grant...); err != nil {
		m.t.Fatal(err)
	}
	s.st, err = m.hub.Stream(context.Background(), sub, StreamOptions{Retry: time.Second, Heartbeat: time.Hour, IDs: s.ids, Positions: s.positions})
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) resume(s *modelStream) {
	s.st.Close()
	m.reopen(s)
}

// drainStream reads at most n events and checks each.
func (m *model) drainStream(s *modelStream, n int) {
	for read := 0; read < n; {
		expected := m.next(s)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if expected == len(m.all) {
			ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond) // there must be no more
		}
		b, err := nextWrite(ctx, s.st)
		cancel()
		if err != nil {
			if expected < len(m.all) {
				m.t.Fatalf("stream of %v %v %v waits for %q: %v", s.selectors, s.types, s.grant, m.all[expected].name, err)
			}
			return
		}
		for _, e := range parse(m.t, b) {
			if e.id != "" {
				s.lastID = e.id
			}
			if e.typ == PositionType || !e.event && e.id != "" {
				m.position(s, e)
			}
			if e.typ == PositionType || !e.event {
				continue
			}
			read++
			if e.typ == GapType {
				m.gap(s, e.data)
				continue
			}
			i := m.next(s)
			for k := s.at; k < i; k++ {
				if m.all[k].gone && m.all[k].wire(s) == e.id { // the stream had begun to send it
					i = k
				}
			}
			if i == len(m.all) || e.id != m.all[i].wire(s) || e.data != m.all[i].data || e.typ != typeName(m.all[i].typ) {
				m.t.Fatalf("stream of %v %v %v got %s %.10q; the model is at %d of %d", s.selectors, s.types, s.grant, e.id, e.data, i, len(m.all))
			}
			s.at = i + 1
		}
	}
}

// position checks that a reported position is right: the stream has received all that it
// asked for up to there.
func (m *model) position(s *modelStream, e block) {
	at, err := parseID(e.id)
	if e.event != (s.positions == PositionEvents) || e.event && e.data != "{}" || s.positions == NoPositions || err != nil {
		m.t.Fatalf("a stream with positions %d has %+v, %v", s.positions, e, err)
	}
	if i := m.next(s); i < len(m.all) && m.all[i].id.Compare(at) <= 0 {
		m.t.Fatalf("stream of %v %v %v is said to be at %v, and has not got %v", s.selectors, s.types, s.grant, at, m.all[i].id)
	}
}

// next returns the index of the next event that a stream asks for, retained or not, that
// has not been deleted.
func (m *model) next(s *modelStream) int {
	for i := s.at; i < len(m.all); i++ {
		p := m.all[i]
		if !p.gone && p.selectedBy(s.selectors) && (!p.secret || p.selectedBy(s.grant)) && (s.types == nil || slices.Contains(s.types, typeName(p.typ))) {
			return i
		}
	}
	return len(m.all)
}

// wire returns the event's id on a stream.
func (p *published) wire(s *modelStream) string {
	if s.ids != nil && p.name == p.id.String() {
		return p.id.URN()
	}
	return p.name
}

func (p *published) selectedBy(selectors []string) bool {
	return slices.ContainsFunc(selectors, func(sel string) bool {
		return slices.ContainsFunc(p.topics, func(topic string) bool {
			switch sel {
			case "*", "{+x}", topic:
				return true
			case "orders/{id}", "{x}rs{/y}":
				return strings.HasPrefix(topic, "orders/")
			}
			return false
		})
	})
}

// gap checks that a reported gap is right: retention has passed the stream's position. If
// that was a publisher's id, the hub may no longer know where it was.
func (m *model) gap(s *modelStream, data string) {
	var g Gap
	if err := json.Unmarshal([]byte(data), &g); err != nil || g.Reason != Trimmed && (g.Reason != Unknown || g.Requested[0] != 'p') {
		m.t.Fatalf("gap %s, %v", data, err)
	}
	to, err := parseID(g.ResumedAfter)
	if err != nil {
		m.t.Fatal(err)
	}
	b, err := m.log.Bounds(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	at := slices.IndexFunc(m.all, func(p published) bool { return p.id.Compare(to) > 0 })
	if at < 0 {
		at = len(m.all)
	}
	if g.Reason == Trimmed && (at <= s.at || to.Compare(b.Origin) > 0) {
		m.t.Fatalf("a gap up to %v, but the stream was at %d of %d and the log begins after %v", to, s.at, at, b.Origin)
	}
	if g.Reason == Unknown && m.all[s.at-1].id.Compare(b.Origin) > 0 {
		m.t.Fatalf("%s is retained and said to be unknown", g.Requested)
	}
	s.at = at
}

type block struct {
	event         bool
	id, typ, data string
}

// parse splits the bytes of a stream into blocks. Lines at the end without a blank line
// count as a block, without an event.
func parse(t *testing.T, b []byte) (blocks []block) {
	t.Helper()
	e, lines := block{typ: "message"}, 0
	for line := range strings.Lines(string(b)) {
		line, whole := strings.CutSuffix(line, "\n")
		if !whole {
			t.Fatalf("%q does not end with a whole line", b)
		}
		if line == "" {
			if !e.event {
				t.Fatalf("%q has a block without an event, which some clients hand out as one", b)
			}
			blocks = append(blocks, e)
			e, lines = block{typ: "message"}, 0
			continue
		}
		lines++
		switch name, value, _ := strings.Cut(line, ": "); name {
		case "id":
			e.id = value
		case "event":
			e.typ = value
		case "data":
			e.event, e.data = true, value
		case "retry", ":":
		default:
			t.Fatalf("a line %q", line)
		}
	}
	if e.event {
		t.Fatalf("%q does not end with a whole block", b)
	}
	if lines > 0 {
		blocks = append(blocks, e)
	}
	return blocks
}
