package feed

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/eventlog"
	"github.com/tidings-sse/tidings/internal/route"
	"github.com/tidings-sse/tidings/sse"
	"github.com/tidings-sse/tidings/topic"
)

// A Request is what a subscriber asks for. The caller has checked it.
type Request struct {
	Selectors topic.Selectors
	Types     []string // only events of these types; empty: all. "message" is the unnamed type
	Form      Form

	// Shown, unless nil, selects the topics that are shown in the events themselves, which
	// are then encoded once for each such list.
	Shown *topic.Selectors
}

// A Feed is what subscriptions with the same selectors, types and form share: the newest
// events, encoded once, in a contiguous window. A cursor is an offset into the window.
// The window keeps only what a cursor has still to send, and is empty while all are
// caught up. A cursor that falls out of it reads from the log.
type Feed struct {
	set   *Set
	key   key
	sel   topic.Selectors
	types map[string]struct{} // nil: all
	grant *topic.Selectors    // see Request.Shown

	refs         int                       // subscribers; guarded by the set's lock
	subscription route.Subscription[*Feed] // guarded by the set's lock

	mu        sync.Mutex    // guards all below; taken inside the set's lock
	window                  // contents never change while a stream may refer to them
	room      *room         // the origin of the window's memory; nil: the window is empty
	guards    int64         // bytes of the topics that guard private events in the window
	counted   int64         // bytes of the window, as taken from
	countedIn *budget.Share // one of the set's; nil: nothing is counted
	reached   uint64        // the offset that the foremost cursor has reached
	attached  int           // cursors with an offset in the window
	behind    int           // those of them with something to send
	joining   int           // cursors that are about to attach
	waiting   []*Waiter
}

// A key identifies a feed: canonical selectors, and the options that change bytes. It
// never contains the user and, with one exception, not what a token grants: the window
// holds private events for all, and each cursor steps over those it may not see. Feeds
// whose events show topics are the exception.
type key struct {
	selectors, types, grant string
	form                    Form
}

func newFeed(s *Set, r Request) *Feed {
	f := &Feed{set: s, sel: r.Selectors, grant: r.Shown, key: key{selectors: topic.ListKey(r.Selectors.Texts()), form: r.Form}}
	if f.grant != nil {
		f.key.grant = f.grant.Key()
	}
	if len(r.Types) > 0 {
		f.types = map[string]struct{}{}
		for _, t := range r.Types {
			f.types[strings.Clone(t)] = struct{}{} // a substring would keep the whole URL in memory
		}
		f.key.types = topic.ListKey(slices.Sorted(maps.Keys(f.types)))
	}
	f.subscription = route.Subscription[*Feed]{Of: f, Selectors: &f.sel, Bytes: f.size()}
	return f
}

// SelectorSize is about how many bytes a selector or a type costs beside its text: a
// string, a map entry, a feed in a list.
const SelectorSize = 128

// size returns about how many bytes a feed's selectors and types take, without what its
// templates compile to.
func (f *Feed) size() int64 {
	n := int(unsafe.Sizeof(*f)) + len(f.key.selectors) + len(f.key.types) + len(f.key.grant)
	for _, text := range f.sel.Texts() {
		n += len(text) + SelectorSize
	}
	for name := range f.types {
		n += len(name) + SelectorSize
	}
	return int64(n)
}

// Selectors returns what the feed's subscribers asked for. It must not be modified.
func (f *Feed) Selectors() *topic.Selectors { return &f.sel }

// Types returns the types asked for, sorted; nil means all.
func (f *Feed) Types() []string { return slices.Sorted(maps.Keys(f.types)) }

// Form returns how the feed's events are written.
func (f *Feed) Form() Form { return f.key.form }

// Weight returns how many bytes the feed would count for if it had all its templates
// alone.
func (f *Feed) Weight() int64 { return f.subscription.Weight() }

// Counted returns how many bytes the feed counts for now.
func (f *Feed) Counted() int64 { return f.subscription.Counted() }

// Wants reports whether the feed asks for e by a topic that b does not ban.
func (f *Feed) Wants(e *eventlog.Event, b *Banned) bool {
	return f.WantsType(e.Type) && f.sel.Match(b.Open(e.Topics))
}

// WantsType reports whether the feed asks for events of a type; "" is the unnamed one.
func (f *Feed) WantsType(t string) bool {
	if f.types == nil {
		return true
	}
	if t == "" {
		t = sse.DefaultType
	}
	_, ok := f.types[t]
	return ok
}

// shown returns e as the feed's subscribers are shown it.
func (f *Feed) shown(e *eventlog.Event) *eventlog.Event {
	if f.grant == nil {
		return e
	}
	return Shown(e, f.grant)
}

// add appends e to the window and wakes the streams that wait. at is when e was appended
// to the log, in Unix nanoseconds; encode returns its bytes and its guard. An event may
// match by several of its topics; it is added once.
func (f *Feed) add(e *eventlog.Event, at int64, encode func(*Feed) ([]byte, guard)) {
	if !f.WantsType(e.Type) {
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
		large := len(b) > PageBytes
		if large && len(f.bytes)+len(b) > MaxWindow {
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

// skip notes that events up to a position were not added to the feed. Streams that have
// not passed them must read the log.
func (f *Feed) skip(to eventlog.ID) {
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
func (f *Feed) pass(e *eventlog.Event) {
	if f.WantsType(e.Type) {
		f.skip(e.ID)
	}
}

// restart empties the window, which from now on holds what comes after head. A stream
// that has not sent all of it reads the log.
func (f *Feed) restart(head eventlog.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.empty()
	f.start = head
}
