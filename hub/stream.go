package hub

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/sse"
)

// StreamOptions configures a [Stream].
type StreamOptions struct {
	Retry     time.Duration // the reconnection time to begin with
	Heartbeat time.Duration // how long the stream may be silent
	Envelope  bool          // data is the event's envelope
	Expires   time.Time     // when the stream has to end; zero: never
	Peer      Peer          // who reads it
}

// A Stream is a subscription as the bytes of one response: its beginning,
// events, heartbeats, and a drain's farewell. One goroutine at a time may use
// it, apart from End.
//
// It is caught up, and takes from its feed's window; or it catches up, and is
// given pages of the log until it can join the window. Where it begins makes
// no difference.
type Stream struct {
	hub  *Hub
	feed *feed
	o    StreamOptions

	presence
	cursor  cursor
	told    eventlog.ID       // the place that the client has as its last event ID
	pending []*eventlog.Event // to go out before what follows the cursor's place
	begin   []byte
	buf     *[takeSize]byte // while there is something to take
	drain   drainTimer
	end     atomic.Pointer[error] // the cause
	expiry  *time.Timer           // nil: never
	closed  bool                  // guarded by hub.mu

	batch     batch // what Next is about to give
	catchesUp bool  // it has read from the log since it last took from the window
}

// Stream starts a subscription as a stream, at the place that s.From names.
// Close ends it. Errors are those of [Hub.Open].
func (h *Hub) Stream(ctx context.Context, s Subscription, o StreamOptions) (*Stream, error) {
	f, err := h.join(s, o.Envelope)
	if err != nil {
		return nil, err
	}
	st := &Stream{hub: h, feed: f, o: o, cursor: newCursor(s.Grant)}
	begin, err := h.find(ctx, f, s)
	if err != nil {
		st.Close()
		return nil, err
	}
	st.cursor.place, st.pending, st.told = begin.place, begin.pending, begin.start
	st.start, st.given = begin.start, begin.start
	st.begin = sse.AppendRetry(nil, o.Retry)
	if begin.gap {
		// The gap brings the place to go on from. Told beforehand, a stream
		// that is cut between the two would never hear of the gap; so what
		// comes first is the place that leads to it.
		if b, err := sse.AppendID(st.begin, begin.asked); err == nil {
			st.begin = b // else it was no id, and the client has none to send
		}
	} else {
		st.begin = appendPlace(st.begin, begin.start)
	}
	st.endAt(o.Expires)
	h.registry.add(st, o.Peer)
	h.counters.connects.Add(1)
	return st, nil
}

// Close ends the stream. Unless [Stream.End] has said why, its client has gone.
func (st *Stream) Close() {
	if st.hub.registry.remove(st) {
		st.hub.counters.disconnects[reasonOf(st.ended())].Add(1)
	}
	st.drain.stop()
	if st.expiry != nil {
		st.expiry.Stop()
	}
	st.feed.leave(&st.cursor)
	st.hub.part(st.feed, &st.closed)
}

// Next returns what is to be written next, waiting for it if need be; what it
// returned before has been written. The bytes are whole blocks, or a part of an
// event that is large, and valid until the next call. It returns [ErrDrained] when the hub drains and the stream's
// moment has come, the cause that [Stream.End] was given, [ErrExpired], else
// the context's error or the hub's.
func (st *Stream) Next(ctx context.Context) ([]byte, error) {
	st.wrote(&st.hub.counters)
	b, err := st.next(ctx)
	if err != nil && ctx.Err() == nil {
		st.End(err)
	}
	st.gives(len(b), &st.hub.counters)
	return b, err
}

func (st *Stream) next(ctx context.Context) ([]byte, error) {
	if b := st.begin; b != nil {
		st.begin = nil
		return b, nil
	}
	var heartbeat *time.Timer
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := st.hub.Err(); err != nil {
			return nil, err
		}
		if st.cursor.part > 0 { // nothing comes between the parts of an event
			return st.take(ctx)
		}
		if err := st.ended(); err != nil {
			return nil, err
		}
		if retry, ok := st.drain.begin(&st.hub.drain); ok {
			return sse.AppendRetry(nil, retry), nil
		}
		if st.drain.due() {
			return nil, ErrDrained
		}
		if b, err := st.take(ctx); err != nil || len(b) > 0 {
			return b, err
		}
		if heartbeat == nil {
			heartbeat = time.NewTimer(st.o.Heartbeat)
			defer heartbeat.Stop()
		}
		select {
		case <-st.cursor.ready:
		case <-st.drain.begun(&st.hub.drain):
		case <-st.drain.moment():
		case <-st.hub.pumped:
		case <-ctx.Done():
		case <-heartbeat.C:
			return st.beat(ctx)
		}
	}
}

// beat is what a stream sends that has been silent: its place, if the log has
// moved on, so that a quiet topic's place does not age past retention.
func (st *Stream) beat(ctx context.Context) ([]byte, error) {
	// All up to the head is in the window. If there is nothing to take after
	// the head was read, the client has all up to there.
	head := st.hub.headNow()
	if b, err := st.take(ctx); err != nil || len(b) > 0 {
		return b, err
	}
	if head.Compare(st.told) <= 0 {
		return sse.AppendComment(nil, ""), nil
	}
	st.cursor.place, st.told = head, head
	st.batch = batch{place: head}
	return appendPlace(nil, head), nil
}

// take returns what the stream can have at once. If that is nothing, it is
// caught up and will be notified.
func (st *Stream) take(ctx context.Context) ([]byte, error) {
	if len(st.pending) > 0 {
		return st.takePending(), nil
	}
	for {
		if st.cursor.attached {
			if st.buf == nil {
				st.buf = takeBuffers.Get().(*[takeSize]byte)
			}
			if b := st.feed.take(st.buf[:0], &st.cursor); len(b) > 0 {
				st.told = st.cursor.place
				st.batch = batch{st.cursor.place, st.cursor.events, st.cursor.oldest}
				st.catchesUp = false
				return b, nil
			}
			takeBuffers.Put(st.buf) // an idle stream holds none
			st.buf = nil
			if st.cursor.attached {
				return nil, nil
			}
		}
		head, err := st.hub.reach(ctx, st.cursor.place)
		if err != nil {
			return nil, err
		}
		if st.feed.attach(&st.cursor) {
			continue
		}
		if b, err := st.catchUp(ctx, head); err != nil || len(b) > 0 {
			return b, err
		}
	}
}

// takeSize is how much a stream copies from a window at a time: it holds no
// more while its peer is slow.
const takeSize = 16 << 10

var takeBuffers = sync.Pool{New: func() any { return new([takeSize]byte) }}

func (st *Stream) takePending() []byte {
	var b []byte
	n := 0
	for _, e := range st.pending {
		b = appendWire(b, e, st.o.Envelope)
		st.told = e.ID
		if n++; len(b) >= takeSize {
			break
		}
	}
	if st.pending = st.pending[n:]; len(st.pending) == 0 {
		st.pending = nil // the array is not to stay for the stream's life
	}
	st.batch = batch{place: st.told, events: n}
	return b
}

// catchUp returns the next page from the log. It may be empty.
func (st *Stream) catchUp(ctx context.Context, head eventlog.ID) ([]byte, error) {
	if !st.catchesUp {
		st.catchesUp = true
		st.hub.counters.catchUps.Add(1)
	}
	pg, err := st.hub.pages.get(ctx, st.feed, st.cursor.place, head)
	var trimmed *eventlog.ErrTrimmed
	if errors.As(err, &trimmed) && st.cursor.part == 0 {
		gap := st.hub.gap(st.cursor.place.String(), trimmed.Origin, Trimmed)
		st.cursor.place, st.told = trimmed.Origin, trimmed.Origin
		st.batch = batch{place: trimmed.Origin}
		return appendWire(nil, gap, false), nil
	}
	if err != nil {
		return nil, err
	}
	b, all := pg.seenBy(&st.cursor.grant)
	if part := st.cursor.part; part > 0 {
		if pg.first != st.cursor.partOf {
			return nil, errTorn
		}
		b, st.cursor.part = b[part:], 0
	}
	st.cursor.place = pg.next
	st.batch = batch{place: pg.next, events: pg.events - pg.hiddenFrom(&st.cursor.grant)}
	if len(b) > 0 {
		st.told = pg.last
	}
	if !all {
		st.told = eventlog.ID{} // some place before; the next heartbeat tells
	}
	if pg.next == head {
		st.feed.join(&st.cursor)
	}
	return b, nil
}

// errTorn ends a stream that has sent a part of an event which is gone since,
// deleted or no longer retained. Its client drops the part and resumes.
var errTorn = errors.New("hub: an event that was being sent is gone")

func appendPlace(dst []byte, place eventlog.ID) []byte {
	dst, _ = sse.AppendID(dst, place.String()) // an ID's text is always valid
	return dst
}
