package eventlog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// A Record is one event as its publisher sent it. Engines interpret only the fields that
// their indexes need.
type Record struct {
	Topics  []string // at least one; the first is the canonical one
	Type    string   // "" is an unnamed event
	Data    []byte
	Retry   time.Duration // the reconnection time sent with the event; 0: none
	Private bool          // sent only to streams with a grant for one of the topics

	// PublisherID is the publisher's own id, or "". Subscribers receive it
	// instead of the log's ID, and can resume from it as well.
	PublisherID string

	// Key makes appending idempotent while the event is retained; "" does
	// not. It must include its scope, such as the publisher's subject.
	Key string
}

// An Event is a record with its position in the log.
type Event struct {
	Record
	ID   ID
	Time time.Time // when it was appended; never decreases along the log
}

// A Result is the outcome of appending one record.
type Result struct {
	ID        ID
	Duplicate bool // the log already had the event, by its Key

	// Err is nil or [ErrKeyReused]. It concerns this record alone.
	Err error
}

// A Query limits which events a read yields. The zero Query yields all.
type Query struct {
	// Topics, if not empty, is a hint for the engine's indexes: only events with
	// one of these topics are wanted. The engine may consider others too, so
	// Match must check.
	Topics []string

	// PublisherID, if not "", is such a hint as well: only events with this
	// publisher's id are wanted.
	PublisherID string

	Match func(*Event) bool // nil matches all
	UpTo  ID                // inclusive; zero: the end of the log
	Limit int               // on the number of events; 0: none
}

// Retention limits what a log keeps. A zero field sets no limit. The oldest events are
// dropped first, whatever their topics.
type Retention struct {
	Age    time.Duration
	Bytes  int64 // as counted in Bounds.Bytes
	Events int64
}

// Bounds are the ends of a log. Every ID after Origin and up to Last is a position that
// reading can continue from, though not necessarily an event's: positions may be sparse.
// Events up to Origin are not retained.
type Bounds struct {
	Origin ID    // the position just before the oldest retained event
	Last   ID    // the newest event, or Origin if there is none
	Events int64 // retained, without deleted ones
	Bytes  int64 // what Retention.Bytes limits; the engine decides what it counts
}

// A Topic describes the retained events of one topic.
type Topic struct {
	Name   string
	Events int64
	Bytes  int64 // of these events, counted as in Bounds
	Last   ID    // the newest of them
}

// A Log is one ordered sequence of retained events. Its methods are safe for concurrent
// use. After Close, appending and reading return [ErrClosed].
type Log interface {
	// Append adds records and returns a result for each. On [ErrUncertain], the outcome
	// of all records is unknown. On any other error, such as [ErrNoSpace], [ErrFailed]
	// or the context's, none was added. The engine may notice a moment late that the
	// context has ended.
	Append(ctx context.Context, recs ...Record) ([]Result, error)

	// Read yields the events that match q, oldest first, beginning after the given
	// position. It stops at the end of the log. An error is the last element:
	// [TrimmedError], [ErrAhead], [ErrEpoch], the context's or the engine's.
	Read(ctx context.Context, after ID, q Query) iter.Seq2[*Event, error]

	// Tail is like Read, but waits for new events at the end of the log.
	Tail(ctx context.Context, after ID) iter.Seq2[*Event, error]

	// Newest returns the newest n events of a topic that match, oldest first. A nil
	// match matches all. It calls match for the newest event first, and stops once it
	// has n.
	Newest(ctx context.Context, topic string, n int, match func(*Event) bool) ([]*Event, error)

	// At returns the position just before the first event of time t or later. The
	// error is a [TrimmedError] if such an event may have been dropped.
	At(ctx context.Context, t time.Time) (ID, error)

	// ByPublisherID returns the position of the oldest event with that id, or
	// ErrNotFound. Deleted events count until retention drops their positions.
	ByPublisherID(ctx context.Context, id string) (ID, error)

	// Delete removes the events that Read would yield, up to the current end of the
	// log, and returns how many it removed. The zero position means the log's origin.
	// The positions of deleted events stay: ByPublisherID finds them, and reading from
	// one continues with the next event.
	Delete(ctx context.Context, after ID, q Query) (int, error)

	// Await waits until reading after id no longer returns [ErrAhead] merely because this
	// node of several is behind. It then returns nil, or the error with which reading
	// would begin. A log on one node does not wait.
	Await(ctx context.Context, id ID) error

	// OnBury registers a function that is called whenever events may have been deleted,
	// by whichever node, before Delete returns on this one: what a caller keeps of events
	// that it has read may be out of date. The function must not call the log, nor wait for
	// a lock that is held while something calls Delete.
	OnBury(func())

	// Topics yields every topic that has retained events, in no particular order.
	Topics(ctx context.Context) iter.Seq2[Topic, error]

	// Bounds returns the current ends and size of the log.
	Bounds(ctx context.Context) (Bounds, error)

	// Close ends the log and all its Tails. A second Close returns ErrClosed.
	Close() error
}

var (
	// ErrUncertain reports an Append whose outcome is unknown. It can be tried again
	// safely if all records have keys.
	ErrUncertain = errors.New("eventlog: submitted, outcome unknown: try again with the same key")

	// ErrKeyReused is the [Result].Err of a record whose Key belongs to an event with
	// other content.
	ErrKeyReused = errors.New("eventlog: this key was used for other content")

	// ErrAhead reports a position beyond the end of the log.
	ErrAhead = errors.New("eventlog: position is beyond the end of the log")

	// ErrEpoch reports a position of another epoch, and so possibly of another log.
	ErrEpoch = errors.New("eventlog: position belongs to another log")

	// ErrUnavailable reports an Append or Delete that was not submitted, because the
	// engine cannot be reached at present. It can be tried again.
	ErrUnavailable = errors.New("eventlog: the engine cannot be reached; nothing was submitted; try again later")

	// ErrNotFound reports that no event has the publisher's id.
	ErrNotFound = errors.New("eventlog: not found")

	// ErrNoSpace reports an Append that was refused because the disk is nearly full.
	ErrNoSpace = errors.New("eventlog: too little space left to append; reading continues")

	// ErrFailed reports that the log has stopped, because a write or sync failed.
	ErrFailed = errors.New("eventlog: a write failed; the log has stopped")

	// ErrClosed reports that the log was closed.
	ErrClosed = errors.New("eventlog: closed")
)

// LostError reports a position among events that the engine had acknowledged and then lost,
// as after a failover to a server that did not have them. It wraps [ErrEpoch].
type LostError struct {
	Branch ID // the last position before the lost events; reading can continue from it
}

func (e *LostError) Error() string {
	return fmt.Sprintf("eventlog: the engine has lost this position; the log continues after %s", e.Branch)
}

func (e *LostError) Unwrap() error { return ErrEpoch }

// TrimmedError reports a position before the retained events.
type TrimmedError struct {
	Origin ID // the position from which reading can continue
}

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("eventlog: no longer retained; the log begins after %s", e.Origin)
}
