package hub

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
)

// maxWindow is how many bytes of events one feed keeps for streams that are behind.
// What all windows together hold is counted: beyond that share of the budget, a
// window keeps nothing, and its streams read the log.
const maxWindow = 1 << 20

// A feed is what subscribers who asked for the same share: the newest events,
// encoded once, in a contiguous window. A stream is an offset into it. The
// window holds what somebody still has to take, and nothing while all are
// caught up; who falls out of it reads on from the log.
type feed struct {
	key   feedKey
	sel   Selectors
	types map[string]struct{} // nil: all
	grant Selectors           // of all who share an enveloped feed
	held  *budget.Share       // by the windows of all feeds
	all   *totals             // of all feeds

	refs   int   // guarded by the hub's lock, as is the next
	counts int64 // bytes of what it asks for, and of the templates that it bears, as taken

	mu       sync.Mutex // guards all below; taken inside the hub's lock, never the other way
	window              // what it once held does not change while a stream may have a part of it
	room     *room      // whose memory it is; nil: it holds nothing
	guards   int64      // bytes of what guards private events in it
	counted  int64      // bytes of all that it holds, as taken from held
	attached int        // streams with an offset
	behind   int        // those of them who have something to take
	joining  int        // streams that are about to attach
	waiting  []*cursor
}

// A window is the newest events of a feed.
type window struct {
	run
	start eventlog.ID // it holds all that was routed here after this position
}

// A room is memory for a window, which others can use once no stream has a part
// of it.
type room struct {
	buf   []byte
	marks []mark
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// A window that was larger than this leaves its memory to the collector: the next
// one may have no more than a few bytes in it, which is all that is counted.
const (
	largestRoom = 4 << 10
	mostMarks   = 32
)

// release lets others use the memory of w, which nobody will look at any more.
func (r *room) release(w window) {
	if cap(w.bytes) > largestRoom || cap(w.marks) > mostMarks {
		return
	}
	clear(w.marks)
	r.buf, r.marks = w.bytes[:0], w.marks[:0]
	rooms.Put(r)
}

// feedKey names what is shared: canonical selectors, and the options that
// change bytes. It never names the user, nor, with one exception, what a token
// grants: private events stand in the window for all, and each cursor steps
// over those that it may not see. Envelopes are the exception, since they
// list the topics that are granted.
type feedKey struct {
	selectors, types, grant string
	form
}

// A form is how events are written.
type form struct {
	envelope Envelope
	chunked  bool
	mercure  bool
}

func newFeed(s Subscription, as form, held *budget.Share) (*feed, error) {
	f := &feed{sel: s.Selectors, held: held, key: feedKey{selectors: listKey(s.Selectors.text), form: as}}
	if as.envelope != Bare {
		f.grant, f.key.grant = s.Grant, s.Grant.canonical()
	}
	if len(s.Types) > MaxTypes {
		return nil, invalid("a subscription may name %d types, not %d; without any, it gets all", MaxTypes, len(s.Types))
	}
	asked := 0
	for _, text := range slices.Concat(s.Selectors.text, s.Types) {
		asked += len(text)
	}
	if asked > MaxSubscriptionBytes {
		return nil, invalid("the topics and types of a subscription may have %d bytes in all, not %d; * and URI Templates select many topics at once", MaxSubscriptionBytes, asked)
	}
	if len(s.Types) == 0 {
		return f, nil
	}
	f.types = map[string]struct{}{}
	for _, t := range s.Types {
		if t == "" {
			return nil, invalid("the type must not be empty; the unnamed type is message")
		}
		f.types[strings.Clone(t)] = struct{}{} // a part of an address would keep all of it
	}
	f.key.types = listKey(slices.Sorted(maps.Keys(f.types)))
	return f, nil
}

// listKey makes one string of several, so that no two lists give the same.
func listKey(texts []string) string {
	var b []byte
	for _, t := range texts { // quoting would copy all that is there for each of a thousand
		b = append(strconv.AppendInt(b, int64(len(t)), 10), ':')
		b = append(b, t...)
	}
	return string(b)
}

// wants reports whether an event, which the log may have found by topic, is
// asked for, and not banned.
func (f *feed) wants(e *eventlog.Event, b *banned) bool {
	return f.wantsType(e.Type) && f.sel.Match(b.open(e.Topics))
}

func (f *feed) wantsType(t string) bool {
	if f.types == nil {
		return true
	}
	_, ok := f.types[typeName(t)]
	return ok
}

// typeNames lists the types that are asked for; nil is all.
func (f *feed) typeNames() []string { return slices.Sorted(maps.Keys(f.types)) }

// last is the place of the newest event routed here.
func (w *window) last() eventlog.ID {
	if len(w.marks) == 0 {
		return w.start
	}
	return w.marks[len(w.marks)-1].id
}

// from returns what there is after an offset, as much as a stream is given at
// a time.
func (w *window) from(off uint64) run {
	next := w.upTo(off)
	to := max(min(w.upTo(off+peekSize)+1, len(w.marks)), next+1)
	return w.slice(off, next, to)
}

// add routes an event here, appended at a time, as the bytes and the guard that encode
// gives, and wakes the streams that it concerns. An event may match by several of its
// topics; it is added once.
func (f *feed) add(e *eventlog.Event, at int64, encode func(*feed) ([]byte, guard)) {
	if !f.wantsType(e.Type) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last() == e.ID {
		return
	}
	if f.attached+f.joining == 0 { // nobody to take it: the log has it
		f.empty()
		f.start = e.ID
	} else {
		b, g := encode(f)
		// A copy of a large event for each feed would hold up live delivery. The bytes are
		// nobody's to change, see route, and what follows goes into a new buffer.
		large := len(b) > pageBytes
		if large && len(f.bytes)+len(b) > maxWindow {
			f.empty()
		}
		if f.room == nil {
			f.room = rooms.Get().(*room)
			f.bytes, f.marks = f.room.buf, f.room.marks
			*f.room = room{} // the window may outgrow them
		}
		if large && len(f.bytes) == 0 {
			f.bytes = b[:len(b):len(b)]
		} else {
			f.bytes = append(f.bytes, b...)
		}
		f.marks = append(f.marks, mark{f.end(), e.ID, g, at})
		f.guards += g.size()
		f.setBehind(f.attached)
		f.shrink()
	}
	f.wake()
}

// wake wakes whoever waits.
func (f *feed) wake() {
	for _, c := range f.waiting {
		c.at = 0
		c.waker.Wake()
	}
	clear(f.waiting)
	f.waiting = f.waiting[:0]
}

// skip notes that events up to a place have not come here: streams that have not got
// beyond them have to read the log.
func (f *feed) skip(to eventlog.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last() == to { // it has come
		return
	}
	f.empty()
	f.start = to
	f.base++ // no cursor is in the window any more
	f.setBehind(f.attached)
	f.wake()
}

// pass skips an event that nobody knows to be wanted here.
func (f *feed) pass(e *eventlog.Event) {
	if f.wantsType(e.Type) {
		f.skip(e.ID)
	}
}

// restart empties the window, which holds what comes after head from now on. A
// stream that has not taken all of it reads the log.
func (f *feed) restart(head eventlog.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.empty()
	f.start = head
}

// shrink drops the oldest events beyond the limit, and all where the budget has no
// room for them: streams that are behind then read the log.
func (f *feed) shrink() {
	if len(f.bytes) > maxWindow {
		f.drop(f.upTo(f.end() - maxWindow/2)) // half, so that this is not done for each event
	}
	if !f.count() { // what is left may still be more than was there before: one large event
		f.empty()
	}
}

// count counts what the window holds, and reports whether there may be so much.
func (f *feed) count() bool {
	n := int64(cap(f.bytes)) + int64(cap(f.marks))*int64(unsafe.Sizeof(mark{})) + f.guards
	if n > f.counted && !f.held.Take(n-f.counted) {
		return false
	}
	if n < f.counted {
		f.held.Give(f.counted - n)
	}
	f.counted = n
	return true
}

// drop drops the oldest n events, which are not all. The caller counts what is left.
func (f *feed) drop(n int) {
	if n == 0 {
		return
	}
	for _, m := range f.marks[:n] {
		f.guards -= m.private.size()
	}
	last := f.marks[n-1]
	size := last.end - f.base
	f.start, f.base = last.id, last.end
	f.bytes = slices.Clone(f.bytes[size:])
	f.marks = slices.Clone(f.marks[n:])
}

// empty drops all events.
func (f *feed) empty() {
	f.start, f.base = f.last(), f.end()
	f.bytes, f.marks, f.room, f.guards = nil, nil, nil, 0
	f.held.Give(f.counted)
	f.counted = 0
}

// A cursor is one subscriber's place in a feed. The feed's lock guards it.
type cursor struct {
	off      uint64      // of the next byte to take from the window
	place    eventlog.ID // of the last event that is done with
	partOf   eventlog.ID // the one after it that was taken in part,
	part     int         // and how much of it; 0: none
	waker    Waker
	grant    *Selectors // the private events that it may see
	at       int32      // index in the feed's waiting, plus one; 0: not in it
	attached bool
	joining  bool
}

// wait has c notified of the next event.
func (f *feed) wait(c *cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enqueue(c)
}

func (f *feed) enqueue(c *cursor) {
	if c.at == 0 {
		f.waiting = append(f.waiting, c)
		c.at = int32(len(f.waiting))
	}
}

func (f *feed) dequeue(c *cursor) {
	if c.at == 0 {
		return
	}
	last := f.waiting[len(f.waiting)-1]
	f.waiting[c.at-1], last.at = last, c.at
	f.waiting[len(f.waiting)-1] = nil
	f.waiting = f.waiting[:len(f.waiting)-1]
	c.at = 0
}

// join has the window keep what comes, for c is about to attach: else, with
// nobody attached, each event that comes would put c off again.
func (f *feed) join(c *cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !c.joining {
		c.joining = true
		f.joining++
	}
}

func (f *feed) joined(c *cursor) {
	if c.joining {
		c.joining = false
		f.joining--
	}
}

// attach puts c into the window at its place. It fails if the window begins
// after that.
func (f *feed) attach(c *cursor) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.place.Compare(f.start) < 0 {
		return false
	}
	f.joined(c)
	c.off = f.starts(f.after(c.place))
	c.attached = true
	f.setAttached(f.attached + 1)
	if c.off < f.end() {
		f.setBehind(f.behind + 1)
	} else {
		f.tidy()
	}
	return true
}

// peekSize is how much of a window a stream is given at a time.
const peekSize = 256 << 10

// peek returns what c has still to take, without what it may not see. A cursor
// that is caught up has nothing, and is woken at the next event; one that has
// fallen out of the window is detached.
func (f *feed) peek(c *cursor) run {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.off < f.base {
		f.release(c)
		return run{}
	}
	if c.off < f.end() && c.part == 0 {
		f.stepOver(c)
	}
	if c.off == f.end() {
		f.enqueue(c)
		return run{}
	}
	r := f.from(c.off)
	return r.slice(c.off, 0, r.visible(c.grant, 1, len(r.marks))) // it sees the first, or has seen a part of it
}

// advance moves c on by n bytes, to a part of the event after a place. It
// reports whether there is more; if not, c is caught up, and is woken at the next
// event.
func (f *feed) advance(c *cursor, n int, place, partOf eventlog.ID, part int) (more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.place, c.partOf, c.part = place, partOf, part
	if !c.attached {
		return true
	}
	c.off += uint64(n)
	switch {
	case c.off < f.base: // the window has moved on meanwhile
		f.release(c)
	case c.off == f.end():
		f.caughtUp()
		f.enqueue(c)
		return false
	}
	return true
}

// stepOver moves c past what it may not see.
func (f *feed) stepOver(c *cursor) {
	from := f.upTo(c.off)
	next := f.hidden(c.grant, from, len(f.marks))
	if next > from {
		c.off, c.place = f.marks[next-1].end, f.marks[next-1].id
		if c.off == f.end() {
			f.caughtUp()
		}
	}
}

// leave takes c out of the feed.
func (f *feed) leave(c *cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dequeue(c)
	f.joined(c)
	if c.attached {
		f.release(c)
	}
	f.tidy()
}

func (f *feed) release(c *cursor) {
	c.attached = false
	f.setAttached(f.attached - 1)
	if c.off < f.end() {
		f.caughtUp()
	}
}

// caughtUp notes that one less is behind.
func (f *feed) caughtUp() {
	f.setBehind(f.behind - 1)
	f.tidy()
}

// setAttached and setBehind keep the hub's totals in step with the feed's numbers.
func (f *feed) setAttached(n int) {
	f.all.attached.Add(int64(n - f.attached))
	f.attached = n
}

func (f *feed) setBehind(n int) {
	if n != f.behind { // most events find the streams as the last one left them
		f.all.behind.Add(int64(n - f.behind))
		f.behind = n
	}
}

// tidy empties the window when nobody needs it. Nobody has a part of it then: who
// does is behind until it is done with that, in a Fanout, too.
func (f *feed) tidy() {
	if f.behind == 0 && f.joining == 0 && f.room != nil {
		w, r := f.window, f.room
		f.empty()
		r.release(w)
	}
}
