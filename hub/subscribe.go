package hub

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// What a subscriber takes from the log at a time ends with the event that reaches one
// of these.
const (
	batchSize  = 256
	batchBytes = 64 << 10
)

// A Subscription says what a subscriber asks for.
type Subscription struct {
	Selectors Selectors
	Types     []string // only events of these types; none means all. "message" is the unnamed one
	From      From

	// Grant selects the topics whose private events may be seen; the zero
	// value shows none, [Everything] all.
	Grant Selectors

	// OnPartial, unless nil, is called before the subscription begins if From.Last
	// found fewer events than there may be: it had looked at as many as it may.
	OnPartial func()
}

// A Batch is what a subscriber is to be given next.
type Batch struct {
	// Events, in log order. A gap is among them, as an event of [GapType].
	Events []*eventlog.Event

	// Place is where reading goes on after the batch. It moves on without
	// events too, past those that were not asked for.
	Place eventlog.ID

	// Retry, unless zero, is the reconnection time to pass on: the hub drains.
	Retry time.Duration
}

// A Subscriber is a place in the log and what is wanted from there, for Go
// code; a [Stream] is the same for a response. One goroutine at a time may use
// it.
type Subscriber struct {
	hub    *Hub
	feed   *feed
	cursor cursor // only ever waits: a subscriber reads the log
	ready  signal
	begin  begin // where it began, and what of that is pending
	told   bool  // the gap that it began with was given
	drain  drainTimer
	closed bool // guarded by hub.mu
}

// Open starts a subscription, at the place that s.From names. Close ends it.
// The error is an [InvalidError], [ErrTooManyTemplates], [ErrTooManySelectors],
// [ErrBusy], or the hub's.
func (h *Hub) Open(ctx context.Context, s Subscription) (*Subscriber, error) {
	f, err := h.join(s, form{})
	if err != nil {
		return nil, err
	}
	sub := &Subscriber{hub: h, feed: f, ready: newSignal()}
	sub.cursor = cursor{grant: s.Grant.shared(), waker: sub.ready}
	if sub.begin, err = h.find(ctx, f, s); err != nil {
		sub.Close()
		return nil, err
	}
	sub.cursor.place = sub.begin.place
	return sub, nil
}

// Close ends the subscription.
func (s *Subscriber) Close() {
	s.drain.stop()
	s.begin.forget()
	s.feed.leave(&s.cursor)
	s.hub.part(s.feed, &s.closed)
}

// Start returns the place just before the first event that will be delivered,
// and whether that is a gap.
func (s *Subscriber) Start() (_ eventlog.ID, gap bool) { return s.begin.start, s.begin.gap != nil }

// Next waits until there is something to give, but no longer than idle, after
// which it returns a batch without events; a negative idle waits without end.
// It returns [ErrDrained] when the hub drains and the subscriber's moment has
// come, else the context's error or the hub's.
func (s *Subscriber) Next(ctx context.Context, idle time.Duration) (Batch, error) {
	timeout, stop := after(idle)
	defer stop()
	for {
		if err := ctx.Err(); err != nil {
			return Batch{}, err
		}
		if err := s.hub.Err(); err != nil {
			return Batch{}, err
		}
		s.drain.begin(&s.hub.drain, s.ready.Wake)
		if retry, ok := s.drain.retry(); ok {
			return Batch{Place: s.cursor.place, Retry: retry}, nil
		}
		if s.drain.due() {
			return Batch{}, ErrDrained
		}
		s.feed.wait(&s.cursor) // first, so that nothing slips in between
		events, err := s.read(ctx, s.hub.headNow(), nil)
		if err != nil || len(events) > 0 {
			return Batch{Events: events, Place: s.cursor.place}, err
		}
		select {
		case <-s.ready:
		case <-s.drain.begun(&s.hub.drain):
		case <-s.hub.pumped:
		case <-ctx.Done():
		case <-timeout:
			// The place may have moved on past what nobody was woken for.
			events, err := s.read(ctx, s.hub.headNow(), nil)
			return Batch{Events: events, Place: s.cursor.place}, err
		}
	}
}

// readPaced is read for a client that reads what is retained: in turn with others, and
// for so long at a time.
func (s *Subscriber) readPaced(ctx context.Context, end eventlog.ID) ([]*eventlog.Event, error) {
	pace, err := s.hub.pages.begin(ctx, &s.feed.sel)
	if err != nil {
		return nil, err
	}
	defer pace.end()
	return s.read(ctx, end, pace)
}

// read returns what is pending, or the next events up to head, and moves on. With a
// pace it stops when others are to get their turn, perhaps without events.
func (s *Subscriber) read(ctx context.Context, head eventlog.ID, pace *pace) ([]*eventlog.Event, error) {
	if gap := s.begin.gap; gap != nil && !s.told {
		s.told = true
		return []*eventlog.Event{gap}, nil
	}
	for len(s.begin.pending) > 0 {
		events, err := s.recall(ctx)
		if err != nil || len(events) > 0 {
			return events, err
		}
	}
	if s.cursor.place.Compare(head) >= 0 {
		return nil, nil
	}
	b := s.hub.bans.now.Load()
	wants := func(e *eventlog.Event) bool { return s.feed.wants(e, b) && s.cursor.grant.sees(secrecy(e)) }
	match, stopped := wants, false
	if pace != nil {
		match = func(e *eventlog.Event) bool {
			stopped = pace.over()
			return wants(e) || stopped
		}
	}
	q := eventlog.Query{Topics: s.feed.sel.topics(), Match: match, UpTo: head, Limit: batchSize}
	var events []*eventlog.Event
	size := int64(0)
	for e, err := range s.hub.log.Read(ctx, s.cursor.place, q) {
		var trimmed *eventlog.ErrTrimmed
		switch {
		case errors.As(err, &trimmed):
			// What was read is good. If nothing was, retention has passed us.
			if len(events) > 0 {
				return events, nil
			}
			return s.gap(s.cursor.place, trimmed), nil
		case err != nil:
			return events, err
		}
		s.cursor.place = e.ID
		if stopped && !wants(e) {
			return events, nil
		}
		events = append(events, shown(e, s.cursor.grant))
		if size += e.Footprint(); stopped || size >= batchBytes {
			return events, nil
		}
	}
	if len(events) < batchSize {
		s.cursor.place = head
	}
	return events, nil
}

// recall returns the next of what is pending: nothing, if all that it read was deleted or
// banned meanwhile. If retention has dropped some, it returns a gap.
func (s *Subscriber) recall(ctx context.Context) (events []*eventlog.Event, err error) {
	b := s.hub.bans.now.Load()
	for _, e := range s.begin.events { // which are all
		if s.feed.wants(e, b) {
			events = append(events, shown(e, s.cursor.grant))
		}
	}
	if s.begin.events != nil {
		s.begin.forget()
		return events, nil
	}
	size := int64(0)
	for n, id := range s.begin.pending {
		if n == batchSize || size >= batchBytes {
			s.begin.pending = s.begin.pending[n:]
			return events, nil
		}
		for e, err := range s.hub.log.Read(ctx, id.Prev(), eventlog.Query{UpTo: id}) {
			var trimmed *eventlog.ErrTrimmed
			switch {
			case errors.As(err, &trimmed) && len(events) == 0:
				s.begin.pending = slices.DeleteFunc(s.begin.pending, func(id eventlog.ID) bool { return id.Compare(trimmed.Origin) <= 0 })
				return s.gap(id.Prev(), trimmed), nil
			case err != nil:
				s.begin.pending = s.begin.pending[n:]
				if trimmed != nil { // what was read is good
					err = nil
				}
				return events, err
			}
			if s.feed.wants(e, b) {
				events = append(events, shown(e, s.cursor.grant))
				size += e.Footprint()
			}
		}
	}
	s.begin.forget()
	return events, nil
}

// gap returns the gap after a place, and moves on to what is retained.
func (s *Subscriber) gap(place eventlog.ID, trimmed *eventlog.ErrTrimmed) []*eventlog.Event {
	if s.cursor.place.Compare(trimmed.Origin) < 0 {
		s.cursor.place = trimmed.Origin
	}
	return []*eventlog.Event{s.hub.gap(s.feed.key.form, place.String(), trimmed.Origin, Trimmed)}
}

// Subscribe ranges over the events of a subscription until ctx ends, the loop
// breaks, or an error comes, which is the last; a drained hub ends it with
// [ErrDrained]. Gaps are events of [GapType].
func (h *Hub) Subscribe(ctx context.Context, s Subscription) iter.Seq2[*eventlog.Event, error] {
	return func(yield func(*eventlog.Event, error) bool) {
		sub, err := h.Open(ctx, s)
		if err != nil {
			yield(nil, err)
			return
		}
		defer sub.Close()
		for {
			batch, err := sub.Next(ctx, -1)
			for _, e := range batch.Events {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// Retained yields, oldest first, what the log holds of a subscription from its
// place on, and ends at end: subscribe from there for what comes.
func (h *Hub) Retained(ctx context.Context, s Subscription) (events iter.Seq2[*eventlog.Event, error], end eventlog.ID, err error) {
	sub, err := h.Open(ctx, s)
	if err != nil {
		return nil, eventlog.ID{}, err
	}
	pending := sub.begin.newest
	sub.Close() // nothing is to wake it
	end = sub.begin.end
	return func(yield func(*eventlog.Event, error) bool) {
		if pending.listed > 0 && !pending.lists.Take(pending.listed) { // Close gave it back, for nobody may range over this
			yield(nil, ErrOverBudget)
			return
		}
		sub.begin.newest = pending
		defer sub.begin.forget()
		for {
			batch, err := sub.readPaced(ctx, end)
			for _, e := range batch {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(batch) == 0 && len(sub.begin.pending) == 0 && sub.cursor.place.Compare(end) >= 0 {
				return
			}
		}
	}, end, nil
}
