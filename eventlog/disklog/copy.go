package disklog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tidings-sse/tidings/eventlog"
)

// A copy has these keys, too, besides those in keys.go:
//
//	a entry                the entry's time and mark
//	n key                  a note
//	m "copied"             how far the copy has got
//	m "lineage"            its epoch and terms
const (
	markSpace = 'a'
	noteSpace = 'n'
)

var (
	copiedKey  = []byte("mcopied")
	lineageKey = []byte("mlineage")
)

var errCopy = errors.New("disklog: only Apply changes a copy")

// copied is how far a copy has got.
type copied struct {
	entry   uint64 // the last one applied; 0: none
	time    int64  // of the entry, Unix nanoseconds
	floor   uint64 // retention is to remove the events up to here
	dropped int64  // the time of the newest of these, Unix nanoseconds; 0: none

	moved chan struct{} // closed and replaced when entry changes
}

func (c *copied) encode() []byte {
	return appendUint64s(nil, c.entry, uint64(c.time), c.floor, uint64(c.dropped))
}

func (c *copied) decode(b []byte) error {
	var v [4]uint64
	if !readUint64s(b, v[:]) {
		return errState
	}
	c.entry, c.time, c.floor, c.dropped = v[0], int64(v[1]), v[2], int64(v[3])
	return nil
}

// loadCopied reads what only a copy has.
func (l *Log) loadCopied() error {
	g, err := get(l.db, lineageKey, decodeLineage)
	switch {
	case err != nil:
		return err
	case g == nil || !l.options.Copy:
		g = newLineage(l.manifest.Epoch)
	}
	l.lineage.Store(g)
	_, err = get(l.db, copiedKey, func(v []byte) (struct{}, error) { return struct{}{}, l.copied.decode(v) })
	return err
}

// Applied is how far a copy has got.
type Applied struct {
	Entry uint64    // the number of the last entry that Apply has made; 0 if there is none
	Time  time.Time // its Change.Time
	Moved <-chan struct{}
}

// Applied returns how far the copy has got. Moved is closed when it gets further.
func (l *Log) Applied() Applied {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return Applied{l.copied.entry, time.Unix(0, l.copied.time), l.copied.moved}
}

// Epoch returns the epoch of the copy's positions.
func (l *Log) Epoch() uint64 { return l.lineage.Load().epoch }

// Terms returns the terms of the copy's positions, oldest first. The first one begins at 0.
func (l *Log) Terms() []Term { return l.lineage.Load().terms }

// ID returns the ID of a position of the copy.
func (l *Log) ID(at uint64) eventlog.ID { return l.id(at) }

// A Mark is what a copy keeps of an entry.
type Mark struct {
	Entry uint64
	Time  time.Time
	Data  []byte // Change.Mark
}

// LastMark returns the mark of the newest entry up to a number. ok is false if the copy has
// none.
func (l *Log) LastMark(ctx context.Context, upTo uint64) (_ Mark, ok bool, _ error) {
	for m, err := range l.marks(ctx, upTo) {
		return m, err == nil, err
	}
	return Mark{}, false, nil
}

// marks yields the marks of the entries up to a number, newest first.
func (l *Log) marks(ctx context.Context, upTo uint64) iter.Seq2[Mark, error] {
	return func(yield func(Mark, error) bool) {
		done, err := l.use(ctx)
		if err != nil {
			yield(Mark{}, err)
			return
		}
		defer done()
		it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{markSpace}, UpperBound: markKey(upTo + 1)})
		if err != nil {
			yield(Mark{}, err)
			return
		}
		for ok := it.Last(); ok; ok = it.Prev() {
			v, err := it.ValueAndErr()
			if err == nil && len(v) < 8 {
				err = errState
			}
			if err != nil {
				yield(Mark{}, errors.Join(err, it.Close()))
				return
			}
			m := Mark{position(it.Key()), time.Unix(0, int64(binary.BigEndian.Uint64(v))), append([]byte(nil), v[8:]...)}
			if !yield(m, nil) {
				_ = it.Close()
				return
			}
		}
		if err := it.Close(); err != nil {
			yield(Mark{}, err)
		}
	}
}

// Marks yields the marks of all entries that the copy has, newest first.
func (l *Log) Marks(ctx context.Context) iter.Seq2[Mark, error] { return l.marks(ctx, 1<<63) }

func markKey(entry uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{markSpace}, entry)
}

// A Note is a value that a copy keeps for its owner.
type Note struct {
	Key   string
	Value []byte // nil removes the note
}

// Notes yields all notes, ordered by key.
func (l *Log) Notes(ctx context.Context) iter.Seq2[Note, error] {
	return func(yield func(Note, error) bool) {
		done, err := l.use(ctx)
		if err != nil {
			yield(Note{}, err)
			return
		}
		defer done()
		it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{noteSpace}, UpperBound: []byte{noteSpace + 1}})
		if err != nil {
			yield(Note{}, err)
			return
		}
		for ok := it.First(); ok; ok = it.Next() {
			v, err := it.ValueAndErr()
			if err != nil {
				yield(Note{}, errors.Join(err, it.Close()))
				return
			}
			if !yield(Note{string(it.Key()[1:]), append([]byte(nil), v...)}, nil) {
				_ = it.Close()
				return
			}
		}
		if err := it.Close(); err != nil {
			yield(Note{}, err)
		}
	}
}

// Known returns the result of appending a record once more, if the copy has an event with
// its key. value is the record as AppendRecord writes it.
func (l *Log) Known(ctx context.Context, key string, value []byte) (_ eventlog.Result, known bool, _ error) {
	done, err := l.use(ctx)
	if err != nil {
		return eventlog.Result{}, false, err
	}
	defer done()
	at, err := get(l.db, hashKey(nil, keySpace, hashOf(key)), func(v []byte) (uint64, error) {
		if len(v) != 8 {
			return 0, errEncoding
		}
		return position(v), nil
	})
	if shown, _ := l.shown(); err != nil || at <= shown.origin {
		return eventlog.Result{}, false, err
	}
	same, err := get(l.db, eventKey(nil, at), func(v []byte) (same int, _ error) {
		switch {
		case len(v) < valueHeader || v[0] != kindEvent:
			return 0, nil // deleted meanwhile
		case v[0] == value[0] && string(v[valueHeader:]) == string(value[1:]):
			return 1, nil
		}
		return -1, nil
	})
	switch {
	case err != nil || same == 0:
		return eventlog.Result{}, false, err
	case same < 0:
		return eventlog.Result{Err: eventlog.ErrKeyReused}, true, nil
	}
	return eventlog.Result{ID: l.id(at), Duplicate: true}, true, nil
}

// excessSteps limits how many events Excess looks at.
const excessSteps = 1 << 16

// Excess returns the position up to which events exceed the limits of retention, and the time
// of the newest of these. ok is false if there are none, or if the copy is still removing
// others.
func (l *Log) Excess(ctx context.Context, r eventlog.Retention, now time.Time) (at uint64, newest time.Time, ok bool, err error) {
	done, err := l.use(ctx)
	if err != nil {
		return 0, newest, false, err
	}
	defer done()
	l.prune.Lock() // otherwise the origin may be ahead of the counts
	l.mu.RLock()
	state, floor := l.at, l.copied.floor
	l.mu.RUnlock()
	l.prune.Unlock()
	if state.origin < floor || state.last <= state.origin {
		return 0, newest, false, nil
	}
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: eventKey(nil, state.origin+1), UpperBound: eventKey(nil, state.last+1)})
	if err != nil {
		return 0, newest, false, err
	}
	defer func() { err = closeIter(it, err) }()
	for more, n := it.First(), 0; more && n < excessSteps; more, n = it.Next(), n+1 {
		e, err := l.decodeAt(it)
		if err != nil {
			return 0, newest, false, fmt.Errorf("disklog: excess: %w", err)
		}
		tooOld := r.Age > 0 && now.Sub(e.Time) > r.Age
		if !tooOld && over(r, &state) == 0 {
			break
		}
		at, newest, ok = e.ID.Lo, e.Time, true
		if !isTombstone(&e.Record) {
			state.events--
		}
		state.bytes -= sizeOf(len(encode(&e.Record)), &e.Record)
	}
	return at, newest, ok, it.Error()
}
