package disklog

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidings-sse/tidings/eventlog"
)

// A history records what the log has acknowledged.
type history struct {
	mu    sync.Mutex
	count int // of events acknowledged
	told
}

// told is what the log had acknowledged at one moment.
type told struct {
	where    string
	relaxed  bool // the newest events may be lost to a power cut
	retained int  // how many events retention leaves
	acked    []eventlog.Event
	newest   eventlog.ID          // of all ever acknowledged, even if lost since
	gone     map[eventlog.ID]bool // true: deleted; false: being deleted
}

func (h *history) appended(results []eventlog.Result, recs []eventlog.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, r := range results {
		h.acked = append(h.acked, eventlog.Event{ID: r.ID, Record: recs[i]})
		if r.ID.Compare(h.newest) > 0 {
			h.newest = r.ID
		}
	}
	h.count += len(results)
}

func (h *history) deleting(id eventlog.ID) { h.mark(id, false) }
func (h *history) deleted(id eventlog.ID)  { h.mark(id, true) }

func (h *history) mark(id eventlog.ID, done bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone == nil {
		h.gone = map[eventlog.ID]bool{}
	}
	h.gone[id] = done
}

// opened removes from the history what a power cut was allowed to lose.
func (h *history) opened(t *testing.T, l *Log) {
	if !h.relaxed {
		return
	}
	found := map[eventlog.ID]bool{}
	for _, e := range all(t, l) {
		found[e.ID] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked = slices.DeleteFunc(h.acked, func(e eventlog.Event) bool { return !found[e.ID] })
}

// snapshot copies what has been acknowledged so far.
func (h *history) snapshot(where string) *told {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &told{where, h.relaxed, h.retained, slices.Clone(h.acked), h.newest, maps.Clone(h.gone)}
	slices.SortFunc(s.acked, func(a, b eventlog.Event) int { return a.ID.Compare(b.ID) })
	return s
}

// check opens what a power cut has left and compares it with the history.
func (h *told) check(t *testing.T, fs vfs.FS) {
	fail := func(format string, args ...any) { t.Errorf("%s: %s", h.where, fmt.Sprintf(format, args...)) }
	l, err := openQuiet("data", Options{FS: fs, tune: small, Relaxed: h.relaxed})
	if err != nil {
		fail("after %d events: %v", len(h.acked), err)
		return
	}
	defer func() {
		if err := l.Close(); err != nil {
			fail("Close: %v", err)
		}
	}()
	b, err := l.Bounds(t.Context())
	if err != nil {
		fail("%v", err)
		return
	}
	found := map[eventlog.ID]*eventlog.Event{}
	for _, e := range all(t, l) {
		found[e.ID] = e
		var w, i int
		if _, err := fmt.Sscanf(string(e.Data), "%d/%d", &w, &i); err != nil || !reflect.DeepEqual(e.Record, testRecord(w, i)) {
			fail("event %v is torn: %+v", e.ID, e.Record)
		}
	}
	for i, e := range h.acked {
		if e.ID.Compare(b.Last) > 0 {
			if !h.relaxed {
				fail("event %v is gone: the log ends with %v", e.ID, b.Last)
			}
			break
		}
		h.checkEvent(fail, i, found[e.ID], b.Origin)
		if _, gone := h.gone[e.ID]; gone && e.ID.Compare(b.Origin) > 0 {
			if place, err := l.ByPublisherID(t.Context(), e.PublisherID); err != nil || place != e.ID {
				fail("the publisher's id of %v, which was deleted: %v, %v", e.ID, place, err)
			}
		}
		if f := found[e.ID]; f != nil && f.Key != "" && i >= len(h.acked)-10 {
			results, err := l.Append(t.Context(), e.Record)
			if err != nil || !results[0].Duplicate || results[0].ID != e.ID {
				fail("the key of %v: %+v, %v", e.ID, results, err)
			}
		}
	}
	results, err := l.Append(t.Context(), testRecord(99, 1))
	if err != nil || results[0].ID.Compare(b.Last) <= 0 || results[0].ID.Compare(h.newest) <= 0 {
		fail("a new event after %v, and %v: %+v, %v", b.Last, h.newest, results, err)
	}
}

// checkEvent checks the i-th event, which is not beyond the end. found may be nil.
func (h *told) checkEvent(fail func(string, ...any), i int, found *eventlog.Event, origin eventlog.ID) {
	e := h.acked[i]
	deleted, deleting := h.gone[e.ID]
	switch {
	case e.ID.Compare(origin) <= 0:
		if i >= len(h.acked)-h.retained+8 { // events that are not acknowledged yet count too
			fail("event %v was dropped, the %d-th from the end", e.ID, len(h.acked)-i)
		}
	case found == nil:
		if !deleting {
			fail("event %v is gone", e.ID)
		}
	case deleted && !h.relaxed:
		fail("event %v was deleted, and is back", e.ID)
	case !reflect.DeepEqual(found.Record, e.Record):
		fail("event %v is %+v, was %+v", e.ID, found.Record, e.Record)
	}
}
