package hub

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
)

// StreamOptions configures a [Stream]. The zero value is a stream without a reconnection
// time and without an expiry, but [Stream.Serve] needs a Heartbeat.
type StreamOptions struct {
	Retry     time.Duration // the reconnection time sent first; 0: none
	Heartbeat time.Duration // silence after which [Stream.Serve] sends a heartbeat; must be positive; only Serve uses it
	Envelope  Envelope      // how events are encoded; zero: [Bare]
	Framing   *Framing      // the frames of its transport, one for each block; nil: none
	Expires   time.Time     // when the stream ends with [ErrExpired]; zero: never
	Peer      Peer          // the client, as [Hub.Streams] lists it; zero: unknown
	OnClose   func()        // called once when the stream closes; not if [Hub.Stream] fails; nil: nothing is called
	Request   int64         // bytes of its request that the caller holds while it is open; 0: none are counted

	Positions Positions // how the stream reports its position; zero: [PositionEvents]
	IDs       *Spelling // how the hub's ids are written; nil: as the log writes them
}

// A Stream is a subscription encoded as the body of one response: its first position,
// events, heartbeats, and a reconnection time when the hub drains.
//
// [Stream.Serve] writes it from the caller's goroutine. A loop that writes many streams
// calls [Stream.Peek] and [Stream.Advance], which is what Serve does, whenever the waker of
// [Stream.Cursor] was woken. One goroutine at a time may use a Stream, apart from
// [Stream.End] and [Stream.OnOver].
//
// [Stream.Close] must be called in the end.
type Stream struct {
	hub *Hub

	// The fields that each write uses come first, so that they share cache lines: with
	// many streams none is in the CPU cache.
	own    []byte                // blocks of this stream alone, sent before all else
	end    atomic.Pointer[error] // the cause given to End
	leave  atomic.Int64          // the reconnection time to send because the hub drains; 0: none
	listed int64                 // bytes of the positions for From.Last that are still to be sent, as counted in the budget
	cursor feed.Cursor

	gapped    bool // it began with a gap
	positions Positions
	presence

	ownPlace  eventlog.ID // the client has everything up to here once own is sent; zero: unchanged
	weight    weight
	expiry    *expiry       // nil: the stream does not expire
	heartbeat time.Duration // see StreamOptions
	onClose   func()
	onOver    atomic.Pointer[func()] // set by OnOver; nil: nothing is called
}

// Stream opens a stream at the position that s.From names. ctx applies to the opening
// alone. The caller must call [Stream.Close]. The error is a [topic.InvalidError],
// [ErrTooManyTemplates], [ErrTooManySelectors], [ErrBusy], [ErrOverBudget], [ErrDrained],
// the context's, the log's or the hub's.
func (h *Hub) Stream(ctx context.Context, s Subscription, o StreamOptions) (*Stream, error) {
	grant := s.Grant.Shared()
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
		s.Grant = *grant // the feed keeps the shared one
	}
	f, err := h.join(s, form{o.Envelope, o.Framing, o.IDs})
	if err != nil {
		h.weights.part(&weight)
		return nil, err
	}
	st := &Stream{hub: h, heartbeat: o.Heartbeat, onClose: o.OnClose, weight: weight}
	st.cursor.Open(f, eventlog.ID{}, grant, newSignal())
	begin, err := h.find(ctx, f, s)
	if err != nil {
		st.Close()
		return nil, err
	}
	st.start, st.gapped = begin.start, begin.gap != nil
	st.cursor.Skip(begin.place)
	if len(begin.pending) > 0 {
		st.cursor.Skip(begin.start)
		st.cursor.Recall(begin.pending, begin.events, begin.place)
		st.listed = begin.listed
	}
	st.cursor.Reach(begin.start)
	if st.positions = o.Positions; begin.gap != nil {
		// The gap has an id, so it sets the position. Reconnection time and gap are one
		// block: a client that is cut off before the end of the block asks for the same
		// again.
		begin.gap.Retry = o.Retry
		st.own = st.form().Append(nil, begin.gap)
	} else {
		st.says(st.positions.append(nil, o.Retry, st.form(), begin.start), eventlog.ID{})
	}
	st.endAt(o.Expires)
	h.registry.add(st, o.Peer.Remote)
	h.changes.Add(1)
	if h.watch != nil {
		h.watch(st.info(nil), true)
	}
	h.counters.connects.Add(1)
	if _, draining := h.Draining(); draining { // Drain may have listed the streams before
		st.onClose = nil // the caller learns it from the error
		st.End(ErrDrained)
		st.Close()
		return nil, ErrDrained
	}
	return st, nil
}

func (st *Stream) form() form { return st.cursor.Feed().Form().(form) }

// Close closes the stream and releases what it holds. If [Stream.End] was not called
// before, the stream counts as closed by its client. Bytes that Peek returned are no
// longer valid.
func (st *Stream) Close() {
	if st.hub.registry.remove(st) {
		st.hub.changes.Add(1)
		if st.onClose != nil {
			st.onClose()
		}
		if st.hub.watch != nil {
			st.hub.watch(st.info(nil), false)
		}
		st.hub.counters.disconnect(reasonOf(st.ended()))
	}
	if st.expiry != nil {
		st.expiry.stop()
	}
	st.uncountList()
	if st.cursor.Close() {
		st.hub.leave()
		st.hub.weights.part(&st.weight)
	}
}

// Cursor returns how far the stream has got in what it shares with others, for a loop of
// this module that writes many streams (internal/park).
func (st *Stream) Cursor() *feed.Cursor { return &st.cursor }

// Start returns the position just before the first event of the stream, in its spelling
// of ids, and whether the stream begins with a gap.
func (st *Stream) Start() (id string, gap bool) { return st.form().place(st.start), st.gapped }
