package hub

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// StreamOptions configures a [Stream].
type StreamOptions struct {
	Retry     time.Duration // the reconnection time to begin with; 0: none is set
	Heartbeat time.Duration // how long the stream may be silent
	Envelope  Envelope      // how events are given
	Chunked   bool          // each block is a chunk of HTTP/1.1 (RFC 9112 §7.1)
	Expires   time.Time     // when the stream has to end; zero: never
	Peer      Peer          // who reads it
	OnClose   func()        // called once when it has opened and closed again; nil: nothing is
	Request   int64         // bytes of its request that are held as long as it is open

	Positions Positions // how the stream names its position
	Mercure   bool      // ids are urn:uuid:…, as that protocol wants them
}

// A Stream is a subscription as the bytes of one response: its beginning,
// events, heartbeats, and a drain's farewell.
//
// [Stream.Serve] writes it from the caller's goroutine. A loop that writes many streams
// calls [Stream.Park], and then [Stream.Peek] and [Stream.Advance] whenever the waker
// was woken, which is what Serve does. Apart from End, its methods are for one goroutine
// at a time.
//
// A stream is caught up, and takes from its feed's window; or it catches up, and
// takes from pages of the log until it can join the window. Where it begins
// makes no difference.
type Stream struct {
	hub *Hub

	// For each write, what follows is looked at, and little else: with many
	// streams it is not in the processor's cache, so it lies together.
	feed    *feed
	own     []byte                // blocks of this stream alone, to go out before all else
	pending []eventlog.ID         // of events to go out first, which come before resume
	end     atomic.Pointer[error] // the cause
	leave   atomic.Int64          // a reconnection time to pass on, since the hub drains; 0: none
	run     *run                  // what Peek has found, until it is written; nil: nothing
	cursor  cursor
	cohort  *cohort // that it is in; its Fanout changes this with the feed's lock held,
	seat    int32   // and the seat there

	catchesUp bool // it has read from the log since it last took from the window
	gapped    bool // it began with a gap
	positions Positions
	closed    bool // guarded by hub.mu
	presence

	ownPlace  eventlog.ID // up to which the client has all, once it has own; zero: as before
	resume    eventlog.ID // where the log is read on from after what is pending
	listed    int64       // bytes of pending that are counted
	weight    weight
	page      *pageEntry    // that the stream reads or waits for; nil: none
	pageAt    eventlog.ID   // the place that the page follows, or the last one did
	expiry    *expiry       // nil: never
	heartbeat time.Duration // for Serve
	onClose   func()
	onOver    atomic.Pointer[func()] // nil: nothing is called
}

// Stream starts a subscription as a stream, at the place that s.From names.
// Close ends it. The
// error is an [InvalidError], [ErrTooManyTemplates], [ErrTooManySelectors], [ErrBusy],
// [ErrOverBudget], [ErrDrained], or the hub's.
func (h *Hub) Stream(ctx context.Context, s Subscription, o StreamOptions) (*Stream, error) {
	grant := s.Grant.shared()
	size := streamSize + int64(len(o.Peer.Remote)) + o.Request
	if !o.Expires.IsZero() {
		size += timerSize
	}
	weight, err := h.weights.weigh(size, o.Peer, grant)
	if err != nil {
		return nil, err
	}
	if weight.grant != nil {
		grant = weight.grant.value
		s.Grant = *grant // the feed keeps no copy
	}
	f, err := h.join(s, form{o.Envelope, o.Chunked, o.Mercure})
	if err != nil {
		h.weights.part(&weight)
		return nil, err
	}
	st := &Stream{
		hub: h, feed: f, heartbeat: o.Heartbeat, onClose: o.OnClose, weight: weight,
		cursor: cursor{grant: grant, waker: newSignal()},
	}
	begin, err := h.find(ctx, f, s)
	if err != nil {
		st.Close()
		return nil, err
	}
	st.cursor.place = begin.place
	if len(begin.pending) > 0 {
		st.cursor.place, st.resume = begin.start, begin.place
		st.pending, st.listed = begin.pending, begin.listed
		if len(begin.events) > 0 && !h.pages.crowded() {
			st.page = h.pages.made(f, begin.events, st)
		}
	}
	st.start, st.reached, st.gapped = begin.start, begin.start, begin.gap != nil
	if st.positions = o.Positions; begin.gap != nil {
		// The gap has an id, so it names the position. Both stand in one block:
		// a client that is cut before its end asks for the same again.
		begin.gap.Retry = o.Retry
		st.own = appendWire(nil, begin.gap, f.key.form)
	} else {
		st.says(st.positions.append(nil, o.Retry, f.key.form, begin.start), eventlog.ID{})
	}
	st.endAt(o.Expires)
	h.registry.add(st, o.Peer.Remote)
	h.changes.Add(1)
	if h.watch != nil {
		h.watch(st.info(nil), true)
	}
	h.counters.connects.Add(1)
	if _, draining := h.Draining(); draining { // Drain may not have found it
		st.End(ErrDrained)
		st.Close()
		return nil, ErrDrained
	}
	return st, nil
}

// Chunked reports whether the stream's blocks are chunks of HTTP/1.1.
func (st *Stream) Chunked() bool { return st.feed.key.form.chunked }

// Close ends the stream. Unless [Stream.End] has said why, its client has gone. What
// was peeked at is not to be looked at any more.
func (st *Stream) Close() {
	if st.hub.registry.remove(st) {
		st.hub.changes.Add(1)
		if st.onClose != nil {
			st.onClose()
		}
		if st.hub.watch != nil {
			st.hub.watch(st.info(nil), false)
		}
		st.hub.counters.disconnects[reasonOf(st.ended())].Add(1)
	}
	if st.expiry != nil {
		st.expiry.stop()
	}
	st.leavePage()
	st.forgetPending()
	st.feed.leave(&st.cursor)
	if st.hub.part(st.feed, &st.closed) {
		st.hub.weights.part(&st.weight)
	}
}

// Park has w woken from now on when there may be something to peek at.
func (st *Stream) Park(w Waker) {
	st.feed.mu.Lock()
	defer st.feed.mu.Unlock()
	st.cursor.waker = w
}

func (st *Stream) wake() {
	st.feed.mu.Lock()
	defer st.feed.mu.Unlock()
	st.cursor.waker.Wake()
}

// Start returns the id of the place just before the first event that the stream
// gives, and whether that is a gap.
func (st *Stream) Start() (id string, gap bool) { return st.feed.key.form.place(st.start), st.gapped }
