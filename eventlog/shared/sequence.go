package shared

import (
	"context"
	"errors"
	"iter"
	"time"
)

// A Sequence is what an engine brings along: one ordered, durable sequence of entries,
// whose contents it does not interpret. Its methods are safe for concurrent use.
//
// Entries have numbers from 1 to 2⁴⁸-1, in the order of the sequence. Numbers may have
// holes. A number, its time and its bytes are the same for every reader, whenever it
// reads, with one exception: [Sequence.Replace].
//
// A fence is a text that names the engine's present life: the time from one event
// at which acknowledged entries may have been lost, such as a failover or a restore, to
// the next. In one life no number is assigned twice.
type Sequence interface {
	// Append adds an entry, and returns when it is durable. It adds nothing if the
	// engine's life is no longer the one that fence names and the engine can check
	// that in the same step.
	//
	// An error that wraps ErrRefused means that the entry was not added and never will
	// be. Any other error means that it may have been, or may still be; Append should
	// then return soon rather than try again, because the caller submits the entry again.
	Append(ctx context.Context, fence string, entry []byte) error

	// Follow yields all entries in order, beginning with number from, or the first one
	// after it if from is a hole, and waits at the end for more. It never ends without an
	// error, and never skips an entry that was or is there:
	//
	//   - ErrTrimmed means that an entry which it should yield next has been trimmed.
	//   - ErrMoved means that the engine's life is not, or no longer, the one that fence
	//     names. Follow must not yield an entry of another life. After each loss of
	//     the connection, it therefore compares the fence before it goes on. A
	//     caller that gets such entries without ErrMoved notices only if the sequence
	//     ends before what it has applied, or differs there when it follows anew; ids
	//     could then name two events.
	//   - Any other error means that the caller should try again after a while.
	//
	// Follow survives a change of servers within one life by itself. If from is beyond the
	// end, it waits. The caller owns the slice until it asks for the next one, and the
	// entries' Data for ever; nobody modifies Data.
	Follow(ctx context.Context, fence string, from uint64) iter.Seq2[[]Entry, error]

	// Ends returns the present ends. Every entry that was acknowledged before the call
	// counts, so an engine with replicas must ask its leader.
	Ends(ctx context.Context) (Ends, error)

	// Trim removes the entries up to and including a number, which no node needs any
	// more. It is atomic for readers: First moves to its new value at once. Trimming what
	// is trimmed already is no error.
	Trim(ctx context.Context, upTo uint64) error

	// Replace puts other bytes in the place of an entry, under the same number and time, and
	// erases the old ones. It returns errors.ErrUnsupported if the engine cannot. If the
	// entry is gone, Replace does nothing.
	Replace(ctx context.Context, n uint64, entry []byte) error

	Limits() Limits

	// Close ends all calls. A second Close does nothing.
	Close() error
}

// An Engine is what the packages of the engines return: a sequence with its bus, on servers
// that may be out of reach for now.
type Engine interface {
	Sequence
	Bus

	// Check connects, and returns sentences for operators about what they should change:
	// "the stream has 1 replica: the loss of its server loses events". If there is no
	// sequence yet and create is true, Check creates it; otherwise it returns
	// ErrMissing.
	//
	// An error that wraps ErrUnusable lasts until somebody changes something: the
	// engine refuses the credentials, say, or its settings would lose events. Any other
	// error may pass by itself. Each is a sentence that says what to do.
	//
	// Before Check has returned nil, Limits returns what the engine's defaults are.
	Check(ctx context.Context, create bool) (advice []string, err error)
}

// An Entry is one entry of a sequence.
type Entry struct {
	N    uint64    // its number
	Time time.Time // when the engine added it, by the engine's clock; stored with the entry
	Data []byte
}

// Ends are the ends of a sequence.
type Ends struct {
	First uint64 // the number of the oldest entry, or the next one if there is none
	Last  uint64 // the number of the newest entry; First-1 if there is none
	Fence string // the engine's present life, as far as the engine can tell lives apart
}

// Limits are what an engine can do.
type Limits struct {
	// Entry is the size in bytes of the largest entry, at least 64 KiB.
	Entry int

	// Durable says what an acknowledgement survives, for operators: "fsynced by a
	// majority of 3 servers".
	Durable string
}

// A Bus carries messages of at most 7 KiB between nodes. Engines implement it beside
// Sequence.
type Bus interface {
	// Send sends a message to all nodes, this one included. It may be lost.
	Send(ctx context.Context, message []byte) error

	// Receive yields the messages of all nodes until ctx ends.
	Receive(ctx context.Context) iter.Seq[[]byte]
}

var (
	// ErrRefused reports an entry that was not added and never will be.
	ErrRefused = errors.New("shared: the engine refused the entry")

	// ErrFull reports an entry that was refused because the engine has no space. It
	// wraps ErrRefused.
	ErrFull error = refusal("shared: the engine is full")

	// ErrMoved reports that the engine's life is another one. It wraps ErrRefused.
	ErrMoved error = refusal("shared: the engine's life is another one; entries may have been lost")

	// ErrTrimmed reports entries that have been trimmed.
	ErrTrimmed = errors.New("shared: trimmed")

	// ErrMissing reports that the engine has no such sequence, because nobody has created
	// it, or somebody has deleted it. All methods of an Engine may return it.
	ErrMissing = errors.New("shared: the engine has no such sequence")

	// ErrUnusable reports an engine that cannot be used before somebody changes its
	// settings or ours.
	ErrUnusable = errors.New("shared: the engine cannot be used as it is")
)

// A refusal is an error that wraps ErrRefused.
type refusal string

func (r refusal) Error() string { return string(r) }
func (r refusal) Unwrap() error { return ErrRefused }
