package eventlog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// A Record is one event as its publisher gave it. Engines store it and look at
// no more of it than their indexes need.
type Record struct {
	Topics  []string // at least one; the first is the canonical one
	Type    string   // "" is an unnamed event
	Data    []byte
	Retry   time.Duration // a reconnection time to pass on; 0: none
	Private bool

	// PublisherID is the publisher's own id, or "". It goes on the wire in
	// place of the log's and can be resumed from as well.
	PublisherID string

	// Key makes appending idempotent while the event is retained; "" does
	// not. Its scope, such as the publisher's subject, is part of it.
	Key string
}

// An Event is a record with its place in the log.
type Event struct {
	Record
	ID   ID
	Time time.Time // when it was appended; never runs backward along the log
}

// A Result says where a record went.
type Result struct {
	ID        ID
	Duplicate bool // the log had it already, by its Key

	// Err is nil or [ErrKeyReused]: the fate of this record alone.
	Err error
}

// A Query narrows a read.
type Query struct {
	// Topics, if not empty, is an index hint: only events with one of these
	// topics are asked for, and an engine may return others too. Match still
	// decides.
	Topics []string

	// PublisherID, if not "", is such a hint as well: only events with this
	// publisher's id are asked for.
	PublisherID string

	Match func(*Event) bool // nil matches all
	UpTo  ID                // inclusive; zero is the end of the log
	Limit int               // 0 is no limit
}

// Retention bounds what a log keeps; zero fields set no bound. The oldest
// events go first, whatever their topics.
type Retention struct {
	Age    time.Duration
	Bytes  int64
	Events int64
}

// Bounds are the ends of the log. Every ID after Origin and up to Last is or
// was an event's; those up to Origin are not retained.
type Bounds struct {
	Origin ID // the place just before the oldest retained event
	Last   ID // the newest event, or Origin if there is none
	Events int64
	Bytes  int64 // as retention counts them
}

// A Topic is what the log knows of one.
type Topic struct {
	Name   string
	Events int64
	Bytes  int64
	Last   ID
}

// A Log is one ordered, retained sequence of events. Its methods may be called
// by several goroutines at once.
type Log interface {
	// Append adds records and returns a result for each. After an error the
	// outcome of all of them is unknown if it is ErrUncertain, else none of
	// them was added. A context that ends may be noticed a moment late.
	Append(ctx context.Context, recs ...Record) ([]Result, error)

	// Read yields what matches q, oldest first, beginning after the given
	// place. It ends at the end of the log. An error comes last.
	Read(ctx context.Context, after ID, q Query) iter.Seq2[*Event, error]

	// Tail is Read without end: it waits for what comes.
	Tail(ctx context.Context, after ID) iter.Seq2[*Event, error]

	// Newest returns the newest n events of a topic that match, oldest first;
	// a nil match matches all. It calls match with the newest first, and not again
	// once it has n.
	Newest(ctx context.Context, topic string, n int, match func(*Event) bool) ([]*Event, error)

	// At returns the place just before the first event of that time or later.
	// It is ErrTrimmed if such an event may have been dropped.
	At(ctx context.Context, t time.Time) (ID, error)

	// ByPublisherID returns the place of the oldest event with that id, or
	// ErrNotFound. Deleted events count, until retention passes their places.
	ByPublisherID(ctx context.Context, id string) (ID, error)

	// Delete removes what Read would yield, as far as the log goes now, and
	// returns how many events that were. The zero place is the log's origin.
	// The events' own places stay, and ByPublisherID finds them: reading from one
	// goes on with what follows.
	Delete(ctx context.Context, after ID, q Query) (int, error)

	// Topics yields what is retained of each topic, in no particular order.
	Topics(ctx context.Context) iter.Seq2[Topic, error]

	Bounds(ctx context.Context) (Bounds, error)
	Close() error
}

var (
	ErrUncertain = errors.New("eventlog: submitted, outcome unknown: try again with the same key")
	ErrKeyReused = errors.New("eventlog: this key was used for other content")
	ErrAhead     = errors.New("eventlog: place is beyond the end of the log")
	ErrEpoch     = errors.New("eventlog: place belongs to another log")
	ErrNotFound  = errors.New("eventlog: not found")
	ErrNoSpace   = errors.New("eventlog: too little space is left to append; reading goes on")
	ErrFailed    = errors.New("eventlog: a write failed; the log has stopped")
	ErrClosed    = errors.New("eventlog: closed")
)

// ErrTrimmed reports a place that retention has passed.
type ErrTrimmed struct {
	Origin ID // from where reading can go on
}

func (e *ErrTrimmed) Error() string {
	return fmt.Sprintf("eventlog: no longer retained; the log begins after %s", e.Origin)
}
