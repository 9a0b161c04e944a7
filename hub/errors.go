package hub

import (
	"errors"

	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/internal/route"
)

// Errors that a hub returns beside those of its log and [topic.InvalidError].
var (
	// ErrClosed reports a hub that was closed or whose log has failed.
	ErrClosed = feed.ErrClosed

	// ErrOverBudget reports that clients make the hub hold as much memory as it may; see
	// package budget. A later attempt may succeed.
	ErrOverBudget = errors.New("hub: clients make it hold as much as it may")
	// ErrBusy reports a subscription that needs a search of the log, when too many other
	// searches are waiting. A later attempt may succeed.
	ErrBusy = errors.New("hub: too many searches of the log wait for their turn")

	// ErrTooManySelectors reports a subscription that does not fit into the memory that the
	// hub has for what all subscriptions ask for: selectors, grants and peers.
	ErrTooManySelectors = errors.New("hub: what all subscriptions ask for takes too much memory")
	// ErrTooManyTemplates reports a subscription with a URI Template that would have to be
	// tried on every topic, when the hub has as many of those as it may.
	ErrTooManyTemplates = route.ErrTooManyTemplates
	// ErrTooManyBans reports a ban that exceeds what a hub keeps: 1000 selectors in all, 100
	// of them URI Templates, 1 MiB of text, or templates that together take too long to
	// match.
	ErrTooManyBans = errors.New("hub: too many topics are banned")

	// ErrDrained ends the subscribers of a hub that drains.
	ErrDrained = errors.New("hub: drained")
	// ErrExpired ends a stream when its grant expires.
	ErrExpired = errors.New("hub: the stream's grant has expired")
	// ErrKicked ends a stream on an operator's order. Its client may reconnect.
	ErrKicked = errors.New("hub: the stream was ended by an operator")
	// ErrRevoked ends a stream whose client will be refused from now on.
	ErrRevoked = errors.New("hub: the stream was ended for good by an operator")
	// ErrStalled ends a stream whose peer accepts no data.
	ErrStalled = errors.New("hub: the stream's peer takes nothing")
	// ErrEventTrimmed ends a stream that has sent a part of an event when retention drops
	// that event. The client discards the part, resumes, and receives a gap.
	ErrEventTrimmed = errors.New("hub: retention has dropped an event that was being sent")
	// ErrEventDeleted ends a stream that has sent a part of an event when an operator
	// deletes that event. The client discards the part and resumes after the event.
	ErrEventDeleted = feed.ErrDeleted
)
