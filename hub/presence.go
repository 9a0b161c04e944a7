package hub

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"slices"
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

// registry holds the open streams, in parts, so that a storm of connects does
// not wait for one lock.
type registry [64]struct {
	mu      sync.Mutex
	streams map[StreamID]*Stream
}

func (g *registry) add(st *Stream, remote string) {
	_, _ = rand.Read(st.id[:])                                  // never fails, as documented
	st.id[6], st.id[8] = st.id[6]&0x0f|0x40, st.id[8]&0x3f|0x80 // a UUID of version 4, for who writes it so
	st.remote, st.opened = remote, time.Now().UnixNano()
	part := &g[st.id[0]%64]
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.streams == nil {
		part.streams = map[StreamID]*Stream{}
	}
	part.streams[st.id] = st
}

// remove reports whether st was there.
func (g *registry) remove(st *Stream) bool {
	part := &g[st.id[0]%64]
	part.mu.Lock()
	defer part.mu.Unlock()
	_, ok := part.streams[st.id]
	if delete(part.streams, st.id); len(part.streams) == 0 {
		part.streams = nil // a map does not shrink
	}
	return ok
}

func (g *registry) size() (n int) {
	for i := range g {
		g[i].mu.Lock()
		n += len(g[i].streams)
		g[i].mu.Unlock()
	}
	return n
}

// find returns the streams that a filter leaves, in no order. It compares selectors
// only after it has let go of the locks, for streams that open and close wait for those.
func (g *registry) find(f StreamFilter) (found []*Stream) {
	for i := range g {
		g[i].mu.Lock()
		for _, st := range g[i].streams {
			if f.matchesPeer(st) {
				found = append(found, st)
			}
		}
		g[i].mu.Unlock()
	}
	if len(f.Topics.text) == 0 && f.banned == nil {
		return found
	}
	verdicts := map[*feed]bool{} // streams of a feed ask for the same
	return slices.DeleteFunc(found, func(st *Stream) bool {
		ok, known := verdicts[st.feed]
		if !known {
			ok = f.matchesFeed(st.feed)
			verdicts[st.feed] = ok
		}
		return !ok
	})
}

func (f *StreamFilter) matchesPeer(st *Stream) bool {
	of := st.weight.holder()
	return (f.ID == StreamID{} || st.id == f.ID) && (f.Subject == "" || of.subject == f.Subject) &&
		(f.TokenID == "" || of.tokenID == f.TokenID) && (f.Ticket == 0 || of.ticket == f.Ticket)
}

func (f *StreamFilter) matchesFeed(of *feed) bool {
	return (len(f.Topics.text) == 0 || f.Topics.Meets(&of.sel)) && (f.banned == nil || f.banned.cover(&of.sel))
}

// Streams lists open streams in the order of their ids, at most limit of them
// after one, and tells how many there are in all.
func (h *Hub) Streams(f StreamFilter, after StreamID, limit int) (page []StreamInfo, total int) {
	found := h.registry.find(f)
	total = len(found)
	found = slices.DeleteFunc(found, func(st *Stream) bool { return bytes.Compare(st.id[:], after[:]) <= 0 })
	slices.SortFunc(found, func(a, b *Stream) int { return bytes.Compare(a.id[:], b.id[:]) })
	for _, st := range found[:min(limit, len(found))] {
		page = append(page, st.info(f.Event))
	}
	return page, total
}

// Watch has f called with each stream that opens, and again when it has ended.
// It must not block. Call Watch before there are any.
func (h *Hub) Watch(f func(i StreamInfo, open bool)) { h.watch = f }

// End ends the streams that a filter leaves, and returns how many those are.
func (h *Hub) End(f StreamFilter, cause error) int {
	found := h.registry.find(f)
	for _, st := range found {
		st.End(cause)
	}
	return len(found)
}

func (st *Stream) info(e *eventlog.Event) StreamInfo {
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
	if e != nil {
		i.Outcome = st.outcome(e, i.Place)
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

func (st *Stream) outcome(e *eventlog.Event, place eventlog.ID) Outcome {
	switch {
	case !st.feed.sel.Match(e.Topics):
		return NotSubscribed
	case !st.feed.wantsType(e.Type):
		return OtherType
	case !st.cursor.grant.sees(secrecy(e)):
		return NoGrant
	case e.ID.Compare(st.start) <= 0:
		return BeganLater
	case st.hub.bans.now.Load().hides(st.feed, e):
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
