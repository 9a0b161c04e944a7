package hub

import (
	"encoding/base64"
	"sync"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// A StreamID names an open stream. It is random, so that nobody can guess one.
type StreamID [16]byte

// String returns the ID's text form: 22 bytes of [A-Za-z0-9_-].
func (id StreamID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseStreamID reads what String wrote.
func ParseStreamID(s string) (id StreamID, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return StreamID(b), true
}

// A Peer is who reads a stream.
type Peer struct {
	Subject   string // of its token; "" without one
	Remote    string // its address, or that of the proxy before it
	UserAgent string // kept up to maxUserAgent bytes
	TokenID   string // its token's; "" without one
	Ticket    uint64 // the number of the ticket by which it came; 0: none
	Payload   string // JSON that its token has for others to see; "" without one
}

// maxUserAgent is enough to tell browsers apart; beyond it there is only what
// a client makes up.
const maxUserAgent = 200

// A StreamState says how far behind a stream is.
type StreamState string

const (
	CaughtUp   StreamState = "caught_up"   // it has been sent all there is for it
	Lagging    StreamState = "lagging"     // events wait for it: its peer is slower than what is published, or its turn has not come
	CatchingUp StreamState = "catching_up" // it reads on from the log
)

// A StreamInfo is what is known of one open stream.
type StreamInfo struct {
	ID StreamID
	Peer
	Selectors []string
	Types     []string // nil: all
	Envelope  Envelope
	Opened    time.Time
	State     StreamState
	Place     eventlog.ID // all it asked for up to here has been sent
	Behind    int         // bytes that wait for it in the window; 0 when it reads from the log
	Bytes     int64       // that are held for what it asked for, with those that it shares with others
	Outcome   Outcome     // of the filter's event
}

// An Outcome is what became of an event on one stream.
type Outcome string

const (
	Delivered     Outcome = "delivered"
	Pending       Outcome = "lagging"        // it is on its way: the stream is not there yet
	NotSubscribed Outcome = "not_subscribed" // no selector of the stream's has one of its topics
	OtherType     Outcome = "type_not_asked_for"
	Withheld      Outcome = "banned"      // the topics by which the stream gets it are banned
	NoGrant       Outcome = "no_grant"    // the event is private, and the stream's token grants none of its topics
	BeganLater    Outcome = "began_later" // the stream asked for what comes after it
)

// A StreamFilter narrows [Hub.Streams] and [Hub.End]. Zero fields narrow nothing.
type StreamFilter struct {
	ID      StreamID
	Topics  Selectors // streams that may get events of any of these, see [Selectors.Meets]
	Subject string
	TokenID string
	Ticket  uint64
	banned  *banned // streams that these leave nothing of

	// Selector leaves streams that asked for this one, as it is spelt.
	Selector string

	// Event asks what became of it on each of the streams.
	Event *eventlog.Event
}

// presence is what a [Stream] shows of itself.
type presence struct {
	mu      sync.Mutex  // guards what follows
	reached eventlog.ID // the position up to which the client has been sent all

	id     StreamID
	remote string
	opened int64       // Unix time in nanoseconds
	start  eventlog.ID // where it began
}

// reach notes that the client has been sent all up to a position.
func (p *presence) reach(pos eventlog.ID) {
	p.mu.Lock()
	p.reached = pos
	p.mu.Unlock()
}

// ID names the stream, to whom may end it.
func (st *Stream) ID() StreamID { return st.id }

// An inquiry asks what became of an event on streams.
type inquiry struct {
	event *eventlog.Event
	bans  *banned
	open  []string // of its topics that are not banned
	look  func()
	feeds map[*feed]answer // streams of a feed ask for the same
}

// An answer is what a feed has to do with an event.
type answer struct {
	asked bool // it selects one of the event's topics,
	open  bool // one of them that is not banned
}

func (h *Hub) inquire(e *eventlog.Event, look func()) *inquiry {
	q := &inquiry{event: e, bans: h.bans.now.Load(), open: e.Topics, look: look, feeds: map[*feed]answer{}}
	if q.bans != nil {
		q.open = nil
		for i := range e.Topics {
			if one := e.Topics[i : i+1]; !q.bans.sel.matchInTurns(one, look) {
				q.open = append(q.open, one...)
			}
		}
	}
	return q
}

func (q *inquiry) of(f *feed) answer {
	a, known := q.feeds[f]
	if !known {
		a.asked = f.sel.matchInTurns(q.event.Topics, q.look)
		a.open = a.asked && (q.bans == nil || f.sel.matchInTurns(q.open, q.look))
		q.feeds[f] = a
	}
	return a
}

// shows reports whether a grant shows its holder the event.
func (q *inquiry) shows(grant *Selectors) bool {
	return !q.event.Private || grant.matchInTurns(q.event.Topics, q.look)
}

// Watch has f called with each stream that opens, and again when it has ended.
// It must not block. Call Watch before there are any.
func (h *Hub) Watch(f func(i StreamInfo, open bool)) { h.watch = f }

func (st *Stream) info(ask *inquiry) StreamInfo {
	i := StreamInfo{
		ID:        st.id,
		Peer:      st.describe(),
		Selectors: st.feed.sel.text,
		Types:     st.feed.typeNames(),
		Envelope:  st.feed.key.envelope,
		Opened:    time.Unix(0, st.opened),
		Bytes:     st.weight.bytes() + st.feed.weight(),
	}
	i.State, i.Behind, i.Place = st.progress()
	if ask != nil {
		i.Outcome = st.outcome(ask, i.Place)
	}
	return i
}

// describe returns what is known of the stream's peer.
func (st *Stream) describe() Peer {
	of := st.weight.holder()
	p := Peer{Subject: of.subject, TokenID: of.tokenID, Ticket: of.ticket, Remote: st.remote}
	if st.weight.agent != nil {
		p.UserAgent = st.weight.agent.key
	}
	if st.weight.payload != nil {
		p.Payload = st.weight.payload.key
	}
	return p
}

func (st *Stream) outcome(ask *inquiry, place eventlog.ID) Outcome {
	e, feed := ask.event, ask.of(st.feed)
	switch {
	case !feed.asked:
		return NotSubscribed
	case !st.feed.wantsType(e.Type):
		return OtherType
	case !ask.shows(st.cursor.grant):
		return NoGrant
	case e.ID.Compare(st.start) <= 0:
		return BeganLater
	case !feed.open && e.ID.Compare(ask.bans.since) > 0: // it came after the bans began
		return Withheld
	case e.ID.Compare(place) <= 0:
		return Delivered
	}
	return Pending
}

// progress tells how far behind a stream is, by how many bytes of the window,
// and up to where all has been sent.
func (st *Stream) progress() (s StreamState, behind int, sent eventlog.ID) {
	f := st.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	st.presence.mu.Lock()
	sent, off := st.reached, st.cursor.off
	st.presence.mu.Unlock()
	if st.cohort != nil {
		if at := st.cohort.seats[st.seat].at.Load(); at.off != off {
			sent, off = at.place, at.off
		}
	}
	switch {
	case !st.cursor.attached:
		return CatchingUp, 0, sent
	case off < f.base: // fallen out, and about to find out
		return CatchingUp, 0, sent
	case off < f.end():
		return Lagging, int(f.end() - off), sent
	}
	return CaughtUp, 0, sent
}
