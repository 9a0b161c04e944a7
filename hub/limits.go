package hub

import "time"

// Limits on events and subscriptions.
const (
	MaxTopics    = 100            // topics of one event, and URI Templates of one subscription
	MaxIDBytes   = 255            // bytes of a publisher's id or an idempotency key
	MaxTypeBytes = 255            // bytes of an event's type
	MaxRetry     = 24 * time.Hour // the reconnection time that an event may set: a subscriber that waits longer is as good as lost

	MaxSelectors         = 1000     // selectors of one subscription
	MaxTypes             = 100      // event types that one subscription may name
	MaxSubscriptionBytes = 64 << 10 // bytes of a subscription's selectors and types together
	MaxLast              = 10_000   // events that [From].Last returns, over all topics
)

// Names that are the hub's own.
const (
	// GapType is the type of the event that reports events that are no longer retained.
	// Its data is a [Gap]. Publishers may not use the type.
	GapType = "gap"

	// PositionType is the type of the event that reports a stream's position. Its data is
	// {} and its id is the position: an EventSource stores the id and does not call
	// onmessage. Publishers may not use the type.
	PositionType = "position"

	// Earliest, as a last event ID, asks for everything retained.
	Earliest = "earliest"
)
