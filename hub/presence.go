package hub

import (
	"encoding/base64"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/topic"
)

// A StreamID identifies an open stream. It is a random UUID of version 4 (RFC 9562 §5.4),
// so that clients cannot guess one.
type StreamID [16]byte

// String returns the ID's text form: 22 bytes of unpadded base64url (RFC 4648 §5).
func (id StreamID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseStreamID parses the text form that String returns. It reports false for any other
// text.
func ParseStreamID(s string) (id StreamID, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return StreamID(b), true
}

// A Peer describes the client that reads a stream. All fields may be empty.
type Peer struct {
	Subject   string // the subject of its token; "": no token or subject
	Remote    string // its network address, or that of the proxy before it
	UserAgent string // only the first maxUserAgent bytes are kept
	TokenID   string // the id of its token; "": no token or id
	Ticket    uint64 // the number of the ticket it used; 0: none
	Payload   string // JSON from its token that others may see; "": none
}

// maxUserAgent, in bytes, is enough to distinguish browsers. Anything longer is likely
// made up.
const maxUserAgent = 200

// A StreamState says how far behind a stream is.
type StreamState string

const (
	CaughtUp   StreamState = "caught_up"   // it has sent all events there are for it
	Lagging    StreamState = "lagging"     // events wait for it in the window: its peer is slower than publishers, or its turn has not come
	CatchingUp StreamState = "catching_up" // it reads from the log
)

// A StreamInfo describes one open stream.
type StreamInfo struct {
	ID StreamID
	Peer
	Selectors []string
	Types     []string // event types asked for; nil: all
	Envelope  Envelope
	Opened    time.Time
	State     StreamState
	Place     eventlog.ID // everything it asked for up to this position has been sent
	Behind    int         // bytes in the window that it has still to send; 0 while it reads from the log
	Bytes     int64       // bytes of memory held for its request, including what it shares with other streams
	Outcome   Outcome     // what became of the filter's Event; "" without one
}

// An Outcome is what became of an event on one stream.
type Outcome string

const (
	Delivered     Outcome = "delivered"
	Pending       Outcome = "lagging"        // the stream has not reached the event yet
	NotSubscribed Outcome = "not_subscribed" // none of the stream's selectors matches one of the event's topics
	OtherType     Outcome = "type_not_asked_for"
	Withheld      Outcome = "banned"      // the topics by which the stream would receive it are banned
	NoGrant       Outcome = "no_grant"    // the event is private, and the stream's grant covers none of its topics
	BeganLater    Outcome = "began_later" // the stream began after the event
)

// A StreamFilter selects open streams for [Hub.Streams], [Hub.CountStreams] and
// [Hub.End]. A stream must match every field that is not zero; the zero value selects all
// streams.
type StreamFilter struct {
	ID      StreamID
	Topics  topic.Selectors // streams that may receive events of any of these, see [topic.Selectors.Meets]
	Subject string
	TokenID string
	Ticket  uint64
	banned  *banned // streams of which these bans cover all selectors

	// Selector selects streams that asked for exactly this selector, as it is spelled.
	Selector string

	// Event does not narrow the selection. It makes [Hub.Streams] report, in Outcome,
	// what became of this event on each stream.
	Event *eventlog.Event
}

// presence is what a [Stream] shows of itself to other goroutines. It does not change once
// the stream is open.
type presence struct {
	id     StreamID
	remote string
	opened int64       // Unix time in nanoseconds
	start  eventlog.ID // the position where it began
}

// ID returns the stream's ID, by which an operator may end it.
func (st *Stream) ID() StreamID { return st.id }

// An inquiry finds out what became of an event on streams.
type inquiry struct {
	event *eventlog.Event
	bans  *banned
	open  []string // those of the event's topics that are not banned
	look  func()
	feeds map[*feed.Feed]answer // answers by feed, since streams of a feed ask for the same
}

// An answer says whether a feed asks for an event.
type answer struct {
	asked bool // it selects one of the event's topics
	open  bool // and one of those is not banned
}

func (h *Hub) inquire(e *eventlog.Event, look func()) *inquiry {
	q := &inquiry{event: e, bans: h.bans.now.Load(), open: e.Topics, look: look, feeds: map[*feed.Feed]answer{}}
	if q.bans != nil {
		q.open = nil
		for i := range e.Topics {
			if one := e.Topics[i : i+1]; !q.bans.Selectors.MatchInTurns(one, look) {
				q.open = append(q.open, one...)
			}
		}
	}
	return q
}

func (q *inquiry) of(f *feed.Feed) answer {
	a, known := q.feeds[f]
	if !known {
		a.asked = f.Selectors().MatchInTurns(q.event.Topics, q.look)
		a.open = a.asked && (q.bans == nil || f.Selectors().MatchInTurns(q.open, q.look))
		q.feeds[f] = a
	}
	return a
}

// shows reports whether a grant covers the event.
func (q *inquiry) shows(grant *topic.Selectors) bool {
	return !q.event.Private || grant.MatchInTurns(q.event.Topics, q.look)
}

// Watch makes the hub call f when a stream has opened, and again when it has closed. f
// runs in the goroutine that opens or closes the stream and must not block. Call Watch at
// most once, before any stream opens.
func (h *Hub) Watch(f func(i StreamInfo, open bool)) { h.watch = f }

func (st *Stream) info(ask *inquiry) StreamInfo {
	i := StreamInfo{
		ID:        st.id,
		Peer:      st.describe(),
		Selectors: st.cursor.Feed().Selectors().Texts(),
		Types:     st.cursor.Feed().Types(),
		Envelope:  st.form().envelope,
		Opened:    time.Unix(0, st.opened),
		Bytes:     st.weight.bytes() + st.cursor.Feed().Weight(),
	}
	i.State, i.Behind, i.Place = st.progress()
	if ask != nil {
		i.Outcome = st.outcome(ask, i.Place)
	}
	return i
}

// describe returns the stream's peer.
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
	e, feed := ask.event, ask.of(st.cursor.Feed())
	switch {
	case !feed.asked:
		return NotSubscribed
	case !st.cursor.Feed().WantsType(e.Type):
		return OtherType
	case !ask.shows(st.cursor.Grant()):
		return NoGrant
	case e.ID.Compare(st.start) <= 0:
		return BeganLater
	case !feed.open && e.ID.Compare(ask.bans.since) > 0: // the event was published after the bans began
		return Withheld
	case e.ID.Compare(place) <= 0:
		return Delivered
	}
	return Pending
}

// progress returns the stream's state, how many bytes of the window it has still to send,
// and the position up to which everything has been sent.
func (st *Stream) progress() (s StreamState, behind int, sent eventlog.ID) {
	p := st.cursor.Progress()
	switch {
	case p.CatchingUp:
		s = CatchingUp
	case p.Behind > 0:
		s = Lagging
	default:
		s = CaughtUp
	}
	return s, p.Behind, p.Reached
}
