package hub

import (
	"bytes"
	"context"
	"crypto/rand"
	"iter"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/tidings-sse/tidings/budget"
	"github.com/tidings-sse/tidings/internal/feed"
	"github.com/tidings-sse/tidings/topic"
)

// registry holds the open streams, in parts by the first bits of their IDs, so that many
// connects at once do not wait for one lock.
type registry [64]struct {
	mu      sync.Mutex
	streams map[StreamID]*Stream
}

// part returns the index of the part that holds the stream.
func (id StreamID) part() int { return int(id[0] / 4) }

func (g *registry) add(st *Stream, remote string) {
	_, _ = rand.Read(st.id[:])                                  // never returns an error, as documented
	st.id[6], st.id[8] = st.id[6]&0x0f|0x40, st.id[8]&0x3f|0x80 // a UUID of version 4, for programs that write it as one
	st.remote, st.opened = remote, time.Now().UnixNano()
	part := &g[st.id.part()]
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.streams == nil {
		part.streams = map[StreamID]*Stream{}
	}
	part.streams[st.id] = st
}

// remove removes st and reports whether it was there.
func (g *registry) remove(st *Stream) bool {
	part := &g[st.id.part()]
	part.mu.Lock()
	defer part.mu.Unlock()
	_, ok := part.streams[st.id]
	if delete(part.streams, st.id); len(part.streams) == 0 {
		part.streams = nil // release its memory: a Go map does not shrink
	}
	return ok
}

func (g *registry) size() (n int) {
	for i := range g {
		g[i].mu.Lock()
		n += len(g[i].streams)
		g[i].mu.Unlock()
	}
	return n
}

// find yields the streams with IDs greater than after that f selects, one part of the
// registry at a time, in no order within a part. A yielded slice is valid until the next
// one. find compares selectors in turns, and only after it has released the locks,
// because streams that open and close wait for those. It ends with t's error. t is nil
// for a filter that does not narrow feeds and a caller that need not take turns.
func (g *registry) find(f StreamFilter, after StreamID, t *feed.Turns) iter.Seq2[[]*Stream, error] {
	return func(yield func([]*Stream, error) bool) {
		var found []*Stream
		verdicts := verdicts{filter: &f, of: map[*feed.Feed]bool{}, turns: t}
		for i := after.part(); i < len(g); i++ {
			if f.ID != (StreamID{}) && i != f.ID.part() {
				continue
			}
			found = g.findIn(i, &f, after, found[:0])
			err := verdicts.keep(&found)
			if len(found) == 0 && err == nil {
				continue
			}
			if !yield(found, err) || err != nil {
				return
			}
			clear(found)
		}
	}
}

// findIn appends to found the streams of a part with IDs greater than after whose peers f
// selects.
func (g *registry) findIn(part int, f *StreamFilter, after StreamID, found []*Stream) []*Stream {
	p := &g[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.ID != (StreamID{}) {
		if st := p.streams[f.ID]; st != nil && f.matchesPeer(st) && after.before(st.id) {
			found = append(found, st)
		}
		return found
	}
	for _, st := range p.streams {
		if f.matchesPeer(st) && after.before(st.id) {
			found = append(found, st)
		}
	}
	return found
}

func (id StreamID) before(other StreamID) bool { return bytes.Compare(id[:], other[:]) < 0 }

// maxVerdicts is how many verdicts on feeds are cached.
const maxVerdicts = 4096

// verdicts caches by feed what a filter says, since streams of a feed ask for the same.
type verdicts struct {
	filter *StreamFilter
	of     map[*feed.Feed]bool
	turns  *feed.Turns
}

// keep removes from found the streams that the filter does not select.
func (v *verdicts) keep(found *[]*Stream) error {
	if v.turns == nil {
		return nil
	}
	if v.turns.Look(); v.filter.narrowsFeeds() {
		*found = slices.DeleteFunc(*found, func(st *Stream) bool { return v.turns.Err() != nil || !v.on(st.cursor.Feed()) })
	}
	return v.turns.Err()
}

// on reports whether the filter selects the streams of a feed.
func (v *verdicts) on(f *feed.Feed) bool {
	ok, known := v.of[f]
	if !known {
		if v.turns.Look(); len(v.of) == maxVerdicts {
			clear(v.of)
		}
		ok = v.filter.matchesFeed(f, v.turns.Look)
		v.of[f] = ok
	}
	return ok
}

// isEmpty reports whether the filter selects all streams.
func (f *StreamFilter) isEmpty() bool {
	return f.ID == StreamID{} && f.Subject == "" && f.TokenID == "" && f.Ticket == 0 && !f.narrowsFeeds()
}

// narrowsFeeds reports whether the filter depends on what streams ask for.
func (f *StreamFilter) narrowsFeeds() bool {
	return len(f.Topics.Texts()) > 0 || f.banned != nil || f.Selector != ""
}

func (f *StreamFilter) matchesPeer(st *Stream) bool {
	of := st.weight.holder()
	return (f.Subject == "" || of.subject == f.Subject) && (f.TokenID == "" || of.tokenID == f.TokenID) && (f.Ticket == 0 || of.ticket == f.Ticket)
}

func (f *StreamFilter) matchesFeed(of *feed.Feed, look func()) bool {
	if f.Selector != "" {
		if _, ok := slices.BinarySearch(of.Selectors().Texts(), f.Selector); !ok {
			return false
		}
	}
	return (len(f.Topics.Texts()) == 0 || f.Topics.MeetsInTurns(of.Selectors(), look)) && (f.banned == nil || f.banned.cover(of.Selectors(), look))
}

// maxStreamsBytes is how many bytes of stream descriptions a page holds. Its last stream
// may exceed this.
const maxStreamsBytes = 256 << 10

// A StreamPage is a list of open streams, in the order of their IDs. Its memory is
// counted in the budget until Close.
type StreamPage struct {
	Streams []StreamInfo
	More    bool // more streams follow the last one

	lists   *budget.Share
	bytes   int64
	largest int64 // counted as well: room to encode the largest stream
}

// Close releases the page and gives its bytes back to the budget.
func (p *StreamPage) Close() {
	p.lists.Give(p.bytes + p.largest)
	p.Streams, p.bytes, p.largest = nil, 0, 0
}

// add appends i if the budget has room for it, and reports whether it has.
func (p *StreamPage) add(i StreamInfo) bool {
	n := i.size()
	more := n + max(0, 2*n-p.largest)
	if !p.lists.Take(more) {
		return false
	}
	p.bytes, p.largest = p.bytes+n, max(p.largest, 2*n)
	p.Streams = append(p.Streams, i)
	return true
}

// size returns about how many bytes i takes, including its texts: most belong to the
// stream, which may be gone before the page.
func (i *StreamInfo) size() int64 {
	n := 2 * int(unsafe.Sizeof(*i)) // twice, since append doubles the slice
	for _, texts := range [][]string{i.Selectors, i.Types} {
		for _, text := range texts {
			n += len(text) + int(unsafe.Sizeof(text))
		}
	}
	return int64(n + len(i.Subject) + len(i.TokenID) + len(i.Remote) + len(i.UserAgent) + len(i.Payload))
}

// Streams lists the open streams that f selects and whose IDs are greater than after, in
// the order of their IDs: at most limit, or fewer if they are large. The zero StreamID
// begins with the first. Streams takes turns with reads of the log, so it may wait. The
// caller must close the page. The error is the context's or [ErrOverBudget].
func (h *Hub) Streams(ctx context.Context, f StreamFilter, after StreamID, limit int) (*StreamPage, error) {
	page := &StreamPage{lists: h.budget.Share(budget.Lists)}
	var ask *inquiry
	err := h.eachPart(ctx, f, after, func(found []*Stream, t *feed.Turns) (bool, error) {
		if f.Event != nil && ask == nil {
			ask = h.inquire(f.Event, t.Look)
		}
		slices.SortFunc(found, func(a, b *Stream) int { return bytes.Compare(a.id[:], b.id[:]) })
		for _, st := range found {
			if page.More = len(page.Streams) == limit || page.bytes >= maxStreamsBytes; page.More {
				return false, nil
			}
			if t.Look(); t.Err() != nil {
				return false, t.Err()
			}
			if !page.add(st.info(ask)) {
				return false, ErrOverBudget
			}
		}
		return true, nil
	})
	if err != nil {
		page.Close()
		return nil, err
	}
	return page, nil
}

// CountStreams returns how many open streams f selects. Like [Hub.Streams] it takes turns
// with reads of the log, unless f is the zero value. The error is the context's.
func (h *Hub) CountStreams(ctx context.Context, f StreamFilter) (n int, err error) {
	if f.isEmpty() {
		return h.registry.size(), nil
	}
	err = h.eachPart(ctx, f, StreamID{}, func(found []*Stream, _ *feed.Turns) (bool, error) {
		n += len(found)
		return true, nil
	})
	return n, err
}

// eachPart calls do with the streams that f selects and whose IDs are greater than after,
// in parts and in turns, until do returns false or an error. If do takes long for each
// stream, it must call t.Look before each.
func (h *Hub) eachPart(ctx context.Context, f StreamFilter, after StreamID, do func(found []*Stream, t *feed.Turns) (more bool, err error)) error {
	t := h.feeds.Slots.Turns(ctx, f.looksFor())
	defer t.End()
	for found, err := range h.registry.find(f, after, t) {
		if err != nil {
			return err
		}
		if more, err := do(found, t); err != nil || !more {
			return err
		}
	}
	return t.Err()
}

// looksFor returns the selectors that the filter compares with those of streams.
func (f *StreamFilter) looksFor() *topic.Selectors {
	if f.banned != nil {
		return &f.banned.Selectors
	}
	return &f.Topics
}

// End calls [Stream.End] with cause on the streams that f selects, and returns how many
// those are. It does not wait until they have closed.
func (h *Hub) End(f StreamFilter, cause error) (n int) {
	h.eachStream(f, func(st *Stream) {
		st.End(cause)
		n++
	})
	return n
}

// PeerOf returns the peer of an open stream. It reports false if no open stream has the
// ID.
func (h *Hub) PeerOf(id StreamID) (p Peer, ok bool) {
	h.eachStream(StreamFilter{ID: id}, func(st *Stream) {
		p, ok = st.describe(), true
	})
	return p, ok
}

// eachStream calls do with each stream that f selects. It takes turns if it has to
// compare selectors.
func (h *Hub) eachStream(f StreamFilter, do func(*Stream)) {
	var t *feed.Turns
	if f.narrowsFeeds() {
		t = h.feeds.Slots.Turns(context.Background(), f.looksFor())
		defer t.End()
	}
	for found := range h.registry.find(f, StreamID{}, t) {
		for _, st := range found {
			do(st)
		}
	}
}
