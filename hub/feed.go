package hub

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/route"
	"github.com/tidings-sse/tidings/topic"
)

// A feed is what subscriptions with the same selectors, types and form share: the newest
// events, encoded once, in a contiguous window. A stream is an offset into the window.
// The window keeps only what a stream has still to send, and is empty while all are
// caught up. A stream that falls out of it reads from the log.
type feed struct {
	key   feedKey
	sel   topic.Selectors
	types map[string]struct{} // nil: all
	grant topic.Selectors     // only for feeds with envelopes: the grant of their subscribers
	held  *windowShare        // bytes of the windows of all feeds
	all   *totals             // totals over all feeds

	refs         int                       // subscribers; guarded by the hub's lock
	subscription route.Subscription[*feed] // guarded by the hub's lock

	mu        sync.Mutex    // guards all below; taken inside the hub's lock
	window                  // contents never change while a stream may refer to them
	room      *room         // the origin of the window's memory; nil: the window is empty
	guards    int64         // bytes of the topics that guard private events in the window
	counted   int64         // bytes of the window, as taken from
	countedIn *budget.Share // one of held; nil: nothing is counted
	reached   uint64        // the offset that the foremost cursor has reached
	attached  int           // cursors with an offset in the window
	behind    int           // those of them with something to send
	joining   int           // cursors that are about to attach
	waiting   []*cursor
}

// feedKey identifies a feed: canonical selectors, and the options that change bytes. It
// never contains the user and, with one exception, not what a token grants: the window
// holds private events for all, and each cursor steps over those it may not see. Feeds
// with envelopes are the exception, because an envelope lists only the granted topics.
type feedKey struct {
	selectors, types, grant string
	form
}

func newFeed(s Subscription, as form, held *windowShare) (*feed, error) {
	f := &feed{sel: s.Selectors, held: held, key: feedKey{selectors: topic.ListKey(s.Selectors.Texts()), form: as}}
	if as.envelope != Bare {
		f.grant, f.key.grant = s.Grant, s.Grant.Key()
	}
	if len(s.Types) > MaxTypes {
		return nil, topic.Invalid("a subscription may name %d types, not %d; without any, it gets all", MaxTypes, len(s.Types))
	}
	asked := 0
	for _, text := range slices.Concat(s.Selectors.Texts(), s.Types) {
		asked += len(text)
	}
	if asked > MaxSubscriptionBytes {
		return nil, topic.Invalid("the topics and types of a subscription may have %d bytes in all, not %d; * and URI Templates select many topics at once", MaxSubscriptionBytes, asked)
	}
	f.subscription = route.Subscription[*feed]{Of: f, Selectors: &f.sel}
	if len(s.Types) == 0 {
		f.subscription.Bytes = f.size()
		return f, nil
	}
	f.types = map[string]struct{}{}
	for _, t := range s.Types {
		if t == "" {
			return nil, topic.Invalid("the type must not be empty; the unnamed type is message")
		}
		f.types[strings.Clone(t)] = struct{}{} // a substring would keep the whole URL in memory
	}
	f.key.types = topic.ListKey(slices.Sorted(maps.Keys(f.types)))
	f.subscription.Bytes = f.size()
	return f, nil
}

// selectorSize is about how many bytes a selector or a type costs beside its text: a
// string, a map entry, a feed in a list.
const selectorSize = 128

// size returns about how many bytes a feed's selectors and types take, without what its
// templates compile to.
func (f *feed) size() int64 {
	n := int(unsafe.Sizeof(*f)) + len(f.key.selectors) + len(f.key.types) + len(f.key.grant)
	for _, text := range f.sel.Texts() {
		n += len(text) + selectorSize
	}
	for name := range f.types {
		n += len(name) + selectorSize
	}
	return int64(n)
}

// wants reports whether the feed asks for e by a topic that b does not ban.
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

// typeNames returns the types asked for, sorted; nil means all.
func (f *feed) typeNames() []string { return slices.Sorted(maps.Keys(f.types)) }

// add appends e to the window and wakes the streams that wait. at is when e was appended
// to the log, in Unix nanoseconds; encode returns its bytes and its guard. An event may
// match by several of its topics; it is added once.
func (f *feed) add(e *eventlog.Event, at int64, encode func(*feed) ([]byte, guard)) {
	if !f.wantsType(e.Type) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last() == e.ID {
		return
	}
	if f.attached+f.joining == 0 { // no stream needs it in the window; the log has it
		f.empty()
		f.start = e.ID
	} else {
		b, g := encode(f)
		// A copy of a large event for each feed would hold up live delivery, so its
		// window refers to the shared bytes. Nothing modifies those: route gives up a
		// large buffer, and append copies, because there is no spare capacity.
		large := len(b) > pageBytes
		if large && len(f.bytes)+len(b) > maxWindow {
			f.empty()
		}
		if f.room == nil {
			f.room = rooms.Get().(*room)
			f.bytes, f.marks = f.room.buf, f.room.marks
			*f.room = room{} // the window may move to a larger array
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

// wake wakes all waiting cursors.
func (f *feed) wake() {
	for _, c := range f.waiting {
		c.at = 0
		c.waker.Wake()
	}
	clear(f.waiting)
	f.waiting = f.waiting[:0]
}

// skip notes that events up to a position were not added to the feed. Streams that have
// not passed them must read the log.
func (f *feed) skip(to eventlog.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last() == to { // it was added
		return
	}
	f.empty()
	f.start = to
	f.base++ // every cursor is now outside the window
	f.setBehind(f.attached)
	f.wake()
}

// pass skips an event when the router could not find out in time whether the feed wants
// it.
func (f *feed) pass(e *eventlog.Event) {
	if f.wantsType(e.Type) {
		f.skip(e.ID)
	}
}

// restart empties the window, which from now on holds what comes after head. A stream
// that has not sent all of it reads the log.
func (f *feed) restart(head eventlog.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.empty()
	f.start = head
}

// A cursor is one subscriber's position in a feed. The feed's lock guards it.
type cursor struct {
	off      uint64      // the next byte to send from the window
	place    eventlog.ID // the last event that was sent or passed
	partOf   eventlog.ID // if part > 0, the event that was sent in part,
	part     int         // and how many bytes of it were sent
	waker    Waker
	grant    *topic.Selectors // selects the private events that it may see
	at       int32            // index in the feed's waiting, plus one; 0: not in it
	attached bool
	joining  bool
}

// wait adds c to the cursors that the next event wakes.
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

// join makes the feed keep new events because c is about to attach. A feed without
// attached cursors keeps nothing, so on a busy topic c would otherwise never catch up.
func (f *feed) join(c *cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !c.joining {
		c.joining = true
		f.joining++
	}
}

// part undoes join for a stream that cannot attach for now.
func (f *feed) part(c *cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joined(c)
	f.tidy()
}

func (f *feed) joined(c *cursor) {
	if c.joining {
		c.joining = false
		f.joining--
	}
}

// attach attaches c to the window at c.place. It reports false if the window begins after
// that position.
func (f *feed) attach(c *cursor) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.place.Compare(f.start) < 0 {
		return false
	}
	f.joined(c)
	c.off = f.starts(f.after(c.place))
	f.reached = max(f.reached, c.off)
	c.attached = true
	f.setAttached(f.attached + 1)
	if c.off < f.end() {
		f.setBehind(f.behind + 1)
	} else {
		f.tidy()
	}
	return true
}

// peek returns what c has still to send, up to the next event that it may not see. It
// returns an empty run for a cursor that is caught up, which the next event will wake,
// and for one that has fallen out of the window, which it detaches.
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
	return r.slice(c.off, 0, r.visible(c.grant, 1, len(r.marks))) // the first event is visible, or has been sent in part
}

// advance moves c forward by n bytes: place is its last whole event, and part bytes of
// the event partOf are sent. It reports whether there is more to send; if not, c is
// caught up, and the next event will wake it.
func (f *feed) advance(c *cursor, n int, place, partOf eventlog.ID, part int) (more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.place, c.partOf, c.part = place, partOf, part
	if !c.attached {
		return true
	}
	c.off += uint64(n)
	f.reached = max(f.reached, c.off)
	switch {
	case c.off < f.base: // the window dropped events meanwhile
		f.release(c)
	case c.off == f.end():
		f.caughtUp()
		f.enqueue(c)
		return false
	}
	return true
}

// stepOver moves c past events that it may not see.
func (f *feed) stepOver(c *cursor) {
	from := f.upTo(c.off)
	next := f.hidden(c.grant, from, len(f.marks))
	if next > from {
		c.off, c.place = f.marks[next-1].end, f.marks[next-1].id
		f.reached = max(f.reached, c.off)
		if c.off == f.end() {
			f.caughtUp()
		}
	}
}

// leave removes c from the feed.
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

// caughtUp notes that one cursor fewer is behind.
func (f *feed) caughtUp() {
	f.setBehind(f.behind - 1)
	f.tidy()
}

// setAttached and setBehind update the hub's totals together with the feed's numbers.
func (f *feed) setAttached(n int) {
	f.all.attached.Add(int64(n - f.attached))
	f.attached = n
}

func (f *feed) setBehind(n int) {
	if n != f.behind { // usually nothing changes, and an atomic write would cost
		f.all.behind.Add(int64(n - f.behind))
		f.behind = n
	}
}

// tidy empties the window when no cursor is behind or about to attach. No stream then
// refers to its memory: one that has sent only part of it still counts as behind, in a
// Fanout too.
func (f *feed) tidy() {
	if f.behind == 0 && f.joining == 0 && f.room != nil {
		w, r := f.window, f.room
		f.empty()
		r.release(w)
	}
}
