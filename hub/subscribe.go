package hub

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/internal/pace"
	"github.com/tidings-sse/tidings/topic"
)

// A batch that Go code reads from the log ends with the event that reaches one of these
// limits: a number of events, or their bytes.
const (
	batchSize  = 256
	batchBytes = 64 << 10
)

// A Subscription says what a subscriber asks for. The zero value is invalid, because
// Selectors must select something.
type Subscription struct {
	Selectors topic.Selectors
	Types     []string // receive only events of these types; empty: all. "message" is the unnamed type
	From      From

	// Grant selects the topics whose private events the subscriber may see. The zero
	// value shows none, [topic.Everything] shows all.
	Grant topic.Selectors

	// OnPartial is called before the subscription begins if the search for From.Last
	// reached its limits, so that there may be more events than it found. nil: nothing is
	// called.
	OnPartial func()
}

// A reader reads the events of a subscription from the log for Go code. One goroutine at
// a time may use it.
type reader struct {
	hub    *Hub
	feed   *feed.Feed
	waiter feed.Waiter // wakes ready
	ready  signal
	grant  *topic.Selectors
	place  eventlog.ID // everything up to here has been returned
	begin  begin       // where the subscription begins; its pending events are removed as they are read
	gapped bool        // the gap that it begins with has been returned
}

// read starts a subscription for Go code. The errors are those of [Hub.Stream].
func (h *Hub) read(ctx context.Context, s Subscription) (*reader, error) {
	f, err := h.join(s, form{})
	if err != nil {
		return nil, err
	}
	r := &reader{hub: h, feed: f, ready: newSignal(), grant: s.Grant.Shared()}
	r.waiter = feed.NewWaiter(r.ready)
	if r.begin, err = h.find(ctx, f, s); err != nil {
		r.close()
		return nil, err
	}
	r.place = r.begin.place
	return r, nil
}

func (r *reader) close() {
	r.begin.forget()
	if r.feed.Leave(&r.waiter) {
		r.hub.leave()
	}
}

// follow calls yield with retained and then live events until yield returns false. It
// returns [ErrDrained] when the hub drains and the reader's time has come, or the error
// of the context, the log or the hub.
func (r *reader) follow(ctx context.Context, yield func(*eventlog.Event) bool) error {
	begun := r.hub.drain.begun
	var moment <-chan time.Time
	for {
		if err := cmp.Or(ctx.Err(), r.hub.Err()); err != nil {
			return err
		}
		r.feed.Wait(&r.waiter) // wait first, so that no event is missed between reading and waiting
		events, err := r.next(ctx, r.hub.feeds.HeadRouted(), nil)
		for _, e := range events {
			if !yield(e) {
				return nil
			}
		}
		if err != nil {
			return err
		}
		if len(events) > 0 { // there may be more
			r.ready.Wake()
		}
		select {
		case <-r.ready:
		case <-begun:
			begun = nil
			timer := time.NewTimer(r.hub.drain.moment(time.Now()))
			defer timer.Stop()
			moment = timer.C
		case <-moment:
			return ErrDrained
		case <-r.hub.Done():
		case <-ctx.Done():
		}
	}
}

// nextPaced does what next does, but takes a turn with other reads of the log.
func (r *reader) nextPaced(ctx context.Context, end eventlog.ID) ([]*eventlog.Event, error) {
	pace, err := r.hub.feeds.Slots.Begin(ctx, r.feed.Selectors())
	if err != nil {
		return nil, err
	}
	defer pace.End()
	return r.next(ctx, end, pace)
}

// next returns a batch: the gap, pending events, or the next events up to head. With a
// pace it ends the batch when others are to get their turn, and may then return no
// events.
func (r *reader) next(ctx context.Context, head eventlog.ID, pace *pace.Pace) ([]*eventlog.Event, error) {
	if gap := r.begin.gap; gap != nil && !r.gapped {
		r.gapped = true
		return []*eventlog.Event{gap}, nil
	}
	for len(r.begin.pending) > 0 {
		events, err := r.recall(ctx)
		if err != nil || len(events) > 0 {
			return events, err
		}
	}
	if r.place.Compare(head) >= 0 {
		return nil, nil
	}
	b := r.hub.feeds.Banned()
	wants := func(e *eventlog.Event) bool { return r.feed.Wants(e, b) && feed.Sees(r.grant, e) }
	match, stopped := wants, false
	if pace != nil {
		match = func(e *eventlog.Event) bool {
			stopped = pace.Over()
			return wants(e) || stopped
		}
	}
	q := eventlog.Query{Topics: r.feed.Selectors().Exact(), Match: match, UpTo: head, Limit: batchSize}
	var events []*eventlog.Event
	size := int64(0)
	for e, err := range r.hub.log.Read(ctx, r.place, q) {
		var trimmed *eventlog.TrimmedError
		switch {
		case errors.As(err, &trimmed):
			// Return what was read. If nothing was, retention has overtaken the reader.
			if len(events) > 0 {
				return events, nil
			}
			return r.gap(r.place, trimmed), nil
		case err != nil:
			return events, err
		}
		r.place = e.ID
		if stopped && !wants(e) {
			return events, nil
		}
		events = append(events, feed.Shown(e, r.grant))
		if size += e.Footprint(); stopped || size >= batchBytes {
			return events, nil
		}
	}
	if len(events) < batchSize {
		r.place = head
	}
	return events, nil
}

// recall returns the next batch of pending events. It returns none if all that it read
// were deleted or banned meanwhile, and a gap if retention has dropped some.
func (r *reader) recall(ctx context.Context) (events []*eventlog.Event, err error) {
	b := r.hub.feeds.Banned()
	for _, e := range r.begin.events { // if not nil, these are all pending events
		if r.feed.Wants(e, b) {
			events = append(events, feed.Shown(e, r.grant))
		}
	}
	if r.begin.events != nil {
		r.begin.forget()
		return events, nil
	}
	size := int64(0)
	for n, id := range r.begin.pending {
		if n == batchSize || size >= batchBytes {
			r.begin.pending = r.begin.pending[n:]
			return events, nil
		}
		for e, err := range r.hub.log.Read(ctx, id.Prev(), eventlog.Query{UpTo: id}) {
			var trimmed *eventlog.TrimmedError
			switch {
			case errors.As(err, &trimmed) && len(events) == 0:
				r.begin.pending = slices.DeleteFunc(r.begin.pending, func(id eventlog.ID) bool { return id.Compare(trimmed.Origin) <= 0 })
				return r.gap(id.Prev(), trimmed), nil
			case err != nil:
				r.begin.pending = r.begin.pending[n:]
				if trimmed != nil { // return what was read; the gap comes next
					err = nil
				}
				return events, err
			}
			if r.feed.Wants(e, b) {
				events = append(events, feed.Shown(e, r.grant))
				size += e.Footprint()
			}
		}
	}
	r.begin.forget()
	return events, nil
}

// gap returns the gap after a position, and moves the reader to the oldest retained
// event.
func (r *reader) gap(place eventlog.ID, trimmed *eventlog.TrimmedError) []*eventlog.Event {
	if r.place.Compare(trimmed.Origin) < 0 {
		r.place = trimmed.Origin
	}
	return []*eventlog.Event{r.hub.gap(form{}, place.String(), trimmed.Origin, Trimmed)}
}

// Subscribe yields the events of a subscription, beginning where s.From says, until ctx
// ends, the loop breaks, or there is an error, which is the last element. A gap is an
// event of [GapType]. If the hub drains, the error is [ErrDrained]; otherwise the errors
// are those of [Hub.Stream]. The events are shared and must not be modified.
func (h *Hub) Subscribe(ctx context.Context, s Subscription) iter.Seq2[*eventlog.Event, error] {
	return func(yield func(*eventlog.Event, error) bool) {
		r, err := h.read(ctx, s)
		if err == nil {
			defer r.close()
			err = r.follow(ctx, func(e *eventlog.Event) bool { return yield(e, nil) })
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// Retained returns an iterator over the retained events of a subscription, oldest first.
// They end at position end: a subscription from there receives what follows. The errors
// are those of [Hub.Stream]; in the iterator an error is the last element, and may be
// [ErrOverBudget]. The iterator takes turns with reads for streams. The caller need not
// range over it.
func (h *Hub) Retained(ctx context.Context, s Subscription) (events iter.Seq2[*eventlog.Event, error], end eventlog.ID, err error) {
	r, err := h.read(ctx, s)
	if err != nil {
		return nil, eventlog.ID{}, err
	}
	pending := r.begin.newest
	r.close() // it only reads, and needs no wake
	end = r.begin.end
	return func(yield func(*eventlog.Event, error) bool) {
		if pending.listed > 0 && !pending.lists.Take(pending.listed) { // close gave the bytes back, since the caller may never range over this
			yield(nil, ErrOverBudget)
			return
		}
		r.begin.newest = pending
		defer r.begin.forget()
		for {
			events, err := r.nextPaced(ctx, end)
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(events) == 0 && len(r.begin.pending) == 0 && r.place.Compare(end) >= 0 {
				return
			}
		}
	}, end, nil
}
