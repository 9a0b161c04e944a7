package disklog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tidings-sse/tidings/eventlog"
)

// AppendRecord appends a record to dst in the form that entries of a shared sequence
// hold: an event's value without its time.
func AppendRecord(dst []byte, r *eventlog.Record) []byte {
	return appendBody(append(dst, kindOf(r)), r)
}

// DecodeRecord parses what AppendRecord wrote. The event has no ID and no time, and shares
// no memory with value.
func DecodeRecord(value []byte) (*eventlog.Event, error) {
	if len(value) == 0 {
		return nil, errEncoding
	}
	return decodeBody(value[0], value[1:], 0, eventlog.ID{})
}

// A Change is what one entry of a shared sequence changes in a copy.
type Change struct {
	Entry  uint64        // the entry's number, greater than that of the change before
	Time   time.Time     // of the entry and of its events; not before that of the change before
	Mark   []byte        // what Log.Marks returns for the entry
	Events []ChangeEvent // ascending; the positions are greater than all before
	Bury   []uint64      // the positions of events to delete, without Events

	// Buried is how many of these Apply found and deleted.
	Buried int

	// Floor, if it is greater than all before, is the position up to which retention
	// drops events, and Dropped the time of the newest of these. The copy removes
	// the events in the background, and the marks of entries before Forget at once.
	Floor   uint64
	Dropped time.Time
	Forget  uint64

	// Terms, if not nil, replaces the terms of all positions.
	Terms []Term

	Notes []Note
}

// A ChangeEvent is an event that a change adds.
type ChangeEvent struct {
	Event *eventlog.Event // with its position in ID.Lo; Apply sets the rest of the ID and the time
	Value []byte          // as AppendRecord wrote it
}

// alone reports whether the change has a commit of its own.
func (c *Change) alone() bool { return len(c.Bury) > 0 || c.Terms != nil }

// Apply makes changes in order. Each commit contains the number of the entry that it
// reaches, so that after a crash the copy is as after one of the entries. Apply syncs
// nothing if the log is Relaxed. After an error, Applied says which changes were made.
func (l *Log) Apply(ctx context.Context, changes []Change) error {
	if err := errors.Join(ctx.Err(), l.failed()); err != nil {
		return err
	}
	for len(changes) > 0 {
		n, size := 0, 0
		for n < len(changes) && size < maxGroup && (n == 0 || !changes[n].alone() && !changes[n-1].alone()) {
			for _, e := range changes[n].Events {
				size += len(e.Value)
			}
			n++
		}
		if err := l.apply(ctx, changes[:n]); err != nil {
			return fmt.Errorf("disklog: apply entry %d: %w", changes[0].Entry, err)
		}
		changes = changes[n:]
	}
	return nil
}

func (l *Log) apply(ctx context.Context, run []Change) error {
	if len(run[0].Bury) > 0 { // see Log.bury
		l.prune.Lock()
		defer l.prune.Unlock()
	}
	err := l.change(context.WithoutCancel(ctx), func(w *writer) error { return w.apply(run) })
	if err == nil && (run[0].Buried > 0 || run[0].Terms != nil) {
		l.forgotten()
		l.scrubSoon()
	}
	return err
}

// apply adds changes to the batch.
func (w *writer) apply(run []Change) error {
	c := w.l.copied // only the writer changes it
	if run[0].Entry <= c.entry {
		return fmt.Errorf("the copy has reached entry %d", c.entry)
	}
	if first := &run[0]; len(first.Bury) > 0 {
		n, err := w.bury(first.Bury)
		if err != nil {
			return err
		}
		first.Buried = n
	}
	for i := range run {
		w.applyOne(&run[i])
		c.entry, c.time = run[i].Entry, run[i].Time.UnixNano()
		if run[i].Floor > c.floor {
			c.floor, c.dropped = run[i].Floor, unixNano(run[i].Dropped)
		}
	}
	w.reach(c)
	if terms := run[0].Terms; terms != nil {
		w.setLineage(newLineage(w.l.lineage.Load().epoch, terms...))
	}
	return nil
}

// unixNano returns 0 for the zero time.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func (w *writer) applyOne(c *Change) {
	for i := range c.Events {
		e := c.Events[i].Event
		at := e.ID.Lo
		e.ID, e.Time = w.l.id(at), c.Time
		w.value = append(w.value[:0], c.Events[i].Value[0])
		w.value = binary.BigEndian.AppendUint64(w.value, uint64(c.Time.UnixNano()))
		w.value = append(w.value, c.Events[i].Value[1:]...)
		w.next, w.at.reserved = at+1, at
		w.topics = w.topics[:0]
		for _, t := range e.Topics {
			w.topics = append(w.topics, hashOf(t))
		}
		w.put(e, w.value, w.topics)
	}
	for _, n := range c.Notes {
		key := append([]byte{noteSpace}, n.Key...)
		if n.Value == nil {
			_ = w.batch.Delete(key, nil)
		} else {
			_ = w.batch.Set(key, n.Value, nil)
		}
	}
	if c.Forget > 0 {
		_ = w.batch.DeleteRange(markKey(0), markKey(c.Forget), nil)
	}
	_ = w.batch.Set(markKey(c.Entry), append(appendUint64s(nil, uint64(c.Time.UnixNano())), c.Mark...), nil)
}

// reach notes how far the copy has got.
func (w *writer) reach(c copied) {
	_ = w.batch.Set(copiedKey, c.encode(), nil)
	w.shows = append(w.shows, func() {
		l := w.l
		close(l.copied.moved)
		c.moved = make(chan struct{})
		l.copied = c
		if c.floor > l.at.origin {
			select {
			case l.excess <- struct{}{}:
			default:
			}
		}
	})
}

func (w *writer) setLineage(g *lineage) {
	_ = w.batch.Set(lineageKey, g.encode(), nil)
	w.shows = append(w.shows, func() {
		w.l.lineage.Store(g)
		w.l.life++                // what a reader has read meanwhile has IDs of the terms before
		w.l.window.reset(w.l.tip) // its events have IDs of the terms before
		w.l.wake()
	})
}

// owns reports whether the index of keys leads to e. In a copy, a later event may have got
// the key before e was removed, because a copy removes events later than it applies the
// entry that drops them.
func (w *writer) owns(e *eventlog.Event) bool {
	if !w.l.options.Copy {
		return true
	}
	if a, ok := w.keys[e.Key]; ok && a.event.ID.Lo != e.ID.Lo {
		return false
	}
	at, err := get(w.l.db, hashKey(nil, keySpace, hashOf(e.Key)), func(v []byte) (uint64, error) { return position(v), nil })
	return err == nil && at == e.ID.Lo
}
